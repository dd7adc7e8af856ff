"""From an experiment's options to who has which examples, and what was planted in them."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Num

from demjax import data
from demjax.experiment.defaults import CONVOLUTIONAL, PUBLISHED
from demjax.experiment.experiment import Experiment


class Dealt(NamedTuple):
    """A data set that has been dealt.

    Attributes:
        dataset: The examples, with conflicts planted in them.
        y: The labels that were dealt, before any conflict.
        partition: Which examples each client has.
        kinds: The planted kind or group of each client; ``None`` where nothing was planted.
    """

    dataset: data.Dataset
    y: Int[np.ndarray, " T"]
    partition: data.Partition
    kinds: Int[np.ndarray, " N"] | None


def load(experiment: Experiment) -> data.Dataset:
    """An experiment's data set, not normalised.

    Raises:
        ValueError: If the data are missing or damaged, or not what the partition or model takes.
    """
    folder = experiment.data_dir
    one_file = experiment.dataset == "npz"
    if folder is not None and not (Path(folder).is_dir() or (one_file and Path(folder).exists())):
        raise ValueError(f"The data folder {folder} does not exist or is no folder.")
    if experiment.partition == "published" and folder is not None:
        found = data.find(experiment.dataset, Path(folder))
        if found is not None and found.shuffled:
            raise ValueError(
                f"The published partition deals {experiment.dataset!r} in the order of its "
                f"original files, but the data in {folder} are prepared by TFDS, which shuffles "
                "them; possible is a folder with the original files."
            )
    dataset = data.load(
        experiment.dataset,
        data_dir=folder,
        seed=experiment.seed,
        owners=experiment.clients,
        alpha=experiment.synthetic_alpha,
        beta=experiment.synthetic_beta,
    )
    if experiment.model in CONVOLUTIONAL and dataset.x.ndim != 4:
        raise ValueError(
            f"The model {experiment.model!r} takes pictures, but an input of "
            f"{experiment.dataset!r} has the shape {dataset.x.shape[1:]}; possible are "
            "--model linear and --model mlp."
        )
    least = CONVOLUTIONAL.get(experiment.model, 0)
    if min(dataset.x.shape[1:3], default=0) < least:
        raise ValueError(
            f"The model {experiment.model!r} takes pictures of {least}×{least} pixels or more, but "
            f"those of {experiment.dataset!r} have the shape {dataset.x.shape[1:]}."
        )
    return dataset


def check_range(x: Num[np.ndarray, " T *shape"], option: str) -> None:
    """Refuse inputs that are neither bytes nor within 0…1, where an option counts on it.

    Raises:
        ValueError: If some are outside.
    """
    if x.dtype != np.uint8 and x.size and not 0 <= x.min() <= x.max() <= 1:
        raise ValueError(
            f"{option} needs inputs that are bytes or within 0 to 1, but they are {x.min():.3g} to "
            f"{x.max():.3g}; possible is to scale them first."
        )


def deal(experiment: Experiment, dataset: data.Dataset) -> Dealt:
    """Deal a data set as an experiment's options say.

    Args:
        experiment: As ``resolve`` returns it.
        dataset: Its data set.

    Returns:
        The partition, and the data with the conflicts of the experiment.

    Raises:
        ValueError: If the data cannot be dealt as asked.
    """
    y = dataset.y
    partition, groups = _partition(experiment, dataset)
    if experiment.conflict == "none":
        return Dealt(dataset, y, partition, groups)
    dataset, kinds = _planted(experiment, dataset, partition)
    return Dealt(dataset, y, partition, kinds)


def _planted(
    experiment: Experiment, dataset: data.Dataset, partition: data.Partition
) -> tuple[data.Dataset, Int[np.ndarray, " N"]]:
    x, kinds, seed = dataset.x, experiment.kinds, experiment.seed
    assert kinds is not None
    if experiment.conflict == "relabelled":
        y = data.relabelled(dataset.y, partition, kinds, dataset.classes)
        return dataset._replace(y=y), data.planted_kinds(experiment.clients, kinds)
    if experiment.conflict == "noisy":
        assert experiment.noise is not None
        check_range(x, "--conflict noisy")
        x = data.noisy(x, partition, kinds, noise=experiment.noise, seed=seed)
    elif experiment.conflict == "permuted":
        x = data.permuted(x, partition, kinds, seed=seed)
    else:
        x = data.rotated(x, partition, kinds)
    return dataset._replace(x=x), data.planted_kinds(experiment.clients, kinds)


def _partition(
    experiment: Experiment, dataset: data.Dataset
) -> tuple[data.Partition, Int[np.ndarray, " N"] | None]:
    y = dataset.y
    if experiment.partition == "published":
        return getattr(data, PUBLISHED[experiment.dataset])(y), None
    if experiment.partition == "file":
        return _from_file(experiment, y), None
    options: dict[str, Any] = {
        "clients": experiment.clients,
        "seed": experiment.seed,
        "test_fraction": experiment.test_fraction,
    }
    few: dict[str, Any] = {
        "labels_per_client": experiment.labels_per_client,
        "sigma": experiment.label_sigma,
    }
    skew: dict[str, Any] = {
        "alpha": experiment.dirichlet_alpha,
        "min_size": experiment.min_examples,
    }
    if experiment.partition == "planted":
        options["groups"] = experiment.kinds
        options["labels_per_group"] = few.pop("labels_per_client")
        return data.planted(y, **few, **options)
    if experiment.partition == "labels":
        return data.labels(y, **few, **options), None
    if experiment.partition == "dirichlet":
        return data.dirichlet(y, **skew, **options), None
    if experiment.partition == "quantity":
        return data.quantity(y, **skew, **options), None
    if experiment.partition == "natural":
        owner = getattr(dataset, "owner", None)
        return data.natural(y, owner, train_count=dataset.train_count, **options), None
    return data.iid(y, **options), None


def _from_file(experiment: Experiment, y: Int[np.ndarray, " T"]) -> data.Partition:
    path = experiment.partition_file
    assert path is not None
    partition = data.load_partition(path, y=y)
    count = len(partition.train)
    if count != experiment.clients:
        raise ValueError(
            f"The partition in {path} has {count} clients, but {experiment.clients} were asked "
            f"for; possible is --clients {count}."
        )
    return partition
