"""From an experiment's options to who has which examples, and what was planted in them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Num

from demjax import data
from demjax.data.sources.catalogue import find
from demjax.experiment.experiment import Experiment
from demjax.registry import CONFLICTS, DATASETS, MODELS, PARTITIONS, call, options_of


class Partitioned(NamedTuple):
    """A data set, and who has which of its examples.

    Attributes:
        dataset: The examples, with conflicts planted in them.
        y: The labels that were partitioned, before any conflict.
        partition: Which examples each client has.
        true_clusters: The planted cluster of each client; ``None`` where nothing was planted.
    """

    dataset: data.Dataset
    y: Int[np.ndarray, " T"]
    partition: data.Partition
    true_clusters: Int[np.ndarray, " N"] | None


def load(experiment: Experiment) -> data.Dataset:
    """An experiment's data set, not normalised.

    Raises:
        ValueError: If the data are missing or damaged, or not what the partition or model takes.
    """
    folder, name = experiment.data_dir, experiment.dataset
    facts = DATASETS.find(name).facts
    one_file = facts.get("one_file") and folder is not None and Path(folder).exists()
    if folder is not None and not (Path(folder).is_dir() or one_file):
        raise ValueError(f"The data folder {folder} does not exist or is no folder.")
    if experiment.partition == "published" and folder is not None and "files" in facts:
        found = find(name, Path(folder))
        if found is not None and found.shuffled:
            raise ValueError(
                f"The published partition takes {name!r} in the order of its original files, but "
                f"the data in {folder} are prepared by TFDS, which shuffles them; possible is a "
                "folder with the original files."
            )
    given = {"data_dir": folder, "seed": experiment.seed, "clients": experiment.clients}
    mine = options_of(DATASETS.find(name).make, DATASETS.given)
    own = {one.name: experiment.values[one.name] for one in mine if one.name in experiment.values}
    dataset = data.load(name, **given, **own)
    if "model" in experiment.values:
        _check_images(experiment.model, name, dataset.x)
    return dataset


def partitioned(experiment: Experiment, dataset: data.Dataset) -> Partitioned:
    """Give clients the examples of its data set as an experiment says, and plant its conflict.

    Raises:
        ValueError: If the data cannot be partitioned as asked.
    """
    rule = PARTITIONS.find(experiment.partition)
    given = {
        "y": dataset.y,
        "dataset": dataset.name,
        "owner": dataset.owner,
        "train_count": dataset.train_count,
        "clients": experiment.clients,
        "seed": experiment.seed,
    }
    found = call(rule, PARTITIONS, experiment.values, **given)
    true_clusters = None
    if isinstance(found, data.Planted):
        found, true_clusters = found
    y = dataset.y
    if experiment.conflict is not None:
        dataset = _planted(experiment, dataset, found)
        count = experiment.values["true_clusters"]
        true_clusters = data.planted_clusters(experiment.clients, count)
    return Partitioned(dataset, y, found, true_clusters)


def check_range(x: Num[np.ndarray, " T *shape"], option: str) -> None:
    """Refuse inputs that are neither bytes nor within 0…1, where an option counts on it."""
    if x.dtype != np.uint8 and x.size and not 0 <= x.min() <= x.max() <= 1:
        raise ValueError(
            f"{option} needs inputs that are bytes or within 0 to 1, but they are {x.min():.3g} to "
            f"{x.max():.3g}; possible is to scale them first."
        )


def _planted(
    experiment: Experiment, dataset: data.Dataset, partition: data.Partition
) -> data.Dataset:
    conflict = CONFLICTS.find(experiment.conflict)
    if conflict.facts.get("scaled"):
        check_range(dataset.x, f"--conflict {conflict.name}")
    given = {"x": dataset.x, "y": dataset.y, "partition": partition, "classes": dataset.classes}
    found = call(conflict, CONFLICTS, experiment.values, **given, seed=experiment.seed)
    return dataset._replace(**{conflict.facts["changes"]: found})


def _check_images(model: str, dataset: str, x: Num[np.ndarray, " T *shape"]) -> None:
    """Refuse inputs that a model of images cannot take."""
    least = MODELS.find(model).facts.get("least_image", 0)
    others = [name for name in MODELS if "least_image" not in MODELS[name].facts]
    if least and x.ndim != 4:
        raise ValueError(
            f"The model {model!r} takes images, but an input of {dataset!r} has the shape "
            f"{x.shape[1:]}; possible are {' and '.join(f'--model {name}' for name in others)}."
        )
    if min(x.shape[1:3], default=0) < least:
        raise ValueError(
            f"The model {model!r} takes images of {least}×{least} pixels or more, but those of "
            f"{dataset!r} have the shape {x.shape[1:]}."
        )
