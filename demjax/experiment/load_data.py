"""From an experiment's options to who has which examples, and what was planted in them."""

import re
from functools import partial
from inspect import signature
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Num

from demjax import data
from demjax.arrays import to_float32
from demjax.backend import policy
from demjax.backend.sharding import devices_at_work
from demjax.data.rows_in_files import Inputs, changed, pieces
from demjax.data.sources.catalogue import find
from demjax.data.transforms.layout import row_side
from demjax.experiment.experiment import Experiment
from demjax.registry import (
    CONFLICTS,
    DATASETS,
    MODELS,
    PARTITIONS,
    Choice,
    call,
    options_of,
)


class Partitioned(NamedTuple):
    """A data set, and who has which of its examples.

    Attributes:
        dataset: The examples, one for each client that has it, with conflicts planted in them.
        y: The labels that were partitioned, before any conflict.
        partition: Which of those examples each client has.
        held: Which of ``dataset`` each client has: the same, but where clients share examples.
        true_clusters: The planted cluster of each client; ``None`` where nothing was planted.
    """

    dataset: data.Dataset
    y: Int[np.ndarray, " T"]
    partition: data.Partition
    held: data.Partition
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
    in_order = PARTITIONS.find(experiment.partition).facts.get("file_order")
    if in_order and folder is not None and "files" in facts:
        found = find(name, Path(folder))
        if found is not None and found.shuffled:
            raise ValueError(
                f"The {experiment.partition} partition takes {name!r} in the order of its original "
                f"files, but the data in {folder} are prepared by TFDS, which shuffles them; "
                "possible is a folder with the original files."
            )
    given = {"data_dir": folder, "seed": experiment.seed, "layout": experiment.layout}
    if experiment.clients is not None:
        given["clients"] = experiment.clients
    mine = options_of(DATASETS.find(name).make, DATASETS.given)
    own = {one.name: experiment.values[one.name] for one in mine if one.name in experiment.values}
    for clash in sorted(own.keys() & signature(data.load).parameters):
        raise ValueError(
            f"The data set {name!r} has an argument {clash!r}, which demjax.data.load has too; "
            "possible is another name for it."
        )
    dataset = data.load(name, **given, **own, by_rows=jax.process_count() > 1)
    if not policy.divides_examples(dataset.x.nbytes, devices_at_work()):
        dataset = dataset._replace(x=np.asarray(dataset.x))
    if "model" not in experiment.values:
        return dataset
    if _least_image(experiment) and dataset.x.ndim == 3 and experiment.layout == "auto":
        as_images = changed(dataset.x, lambda x: x[..., np.newaxis])  # they must be
        dataset = dataset._replace(x=as_images)
    _check_images(experiment, dataset.x)
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
        "train_count": len(dataset.y) if experiment.pool_tests else dataset.train_count,
        "seed": experiment.seed,
    }
    if experiment.clients is not None:
        given["clients"] = experiment.clients
    try:
        found = call(rule, PARTITIONS, experiment.values, **given)
    except ValueError as error:
        raise ValueError(_with_defaults(str(error), experiment, rule)) from error
    true_clusters = None
    if isinstance(found, data.Planted):
        found, true_clusters = found
    if not any(map(len, found.test)):
        raise ValueError(_no_tests(dataset, found))
    y = dataset.y
    dataset, held = data.each_its_own(dataset, found)
    if experiment.conflict is not None:
        dataset = _planted(experiment, dataset, held)
        count = experiment.values["true_clusters"]
        true_clusters = data.planted_clusters(len(found.train), count)
    return Partitioned(dataset, y, found, held, true_clusters)


def without_tests(experiment: Experiment, found: Partitioned) -> Partitioned:
    """The same with validation examples, held out of the training examples, in place of tests."""
    draw = partial(data.held_out, share=experiment.validation, seed=experiment.seed)
    # Which of a client's are drawn depends on how many it has alone: the same of both.
    return found._replace(partition=draw(found.partition), held=draw(found.held))


def _with_defaults(sentence: str, experiment: Experiment, rule: Choice) -> str:
    """A rule's sentence, and which number in it was not given by anybody."""
    mine = [option.name for option in options_of(rule.make, PARTITIONS.given)]
    for name in ("clients", *mine):
        value = experiment.values[name]
        named = re.search(rf"\b(not|not for|of the) {re.escape(str(value))}\b", sentence)
        if name not in experiment.given and type(value) is int and named:
            flag = "--" + name.replace("_", "-")
            return f"{sentence.rstrip('.')}; {value} is the default of {flag}."
    return sentence


def _no_tests(dataset: data.Dataset, partition: data.Partition) -> str:
    """Why no client has a test example, and what to do."""
    owner = dataset.owner
    if owner is None or dataset.train_count == len(dataset.y):
        return (
            "No client has a test example, since the data's own test part has none of the labels "
            "that clients train on; possible is --pool-tests."
        )
    others = len(np.unique(owner[dataset.train_count :]))
    return (
        f"None of the {len(partition.train)} clients has a test example: the test part is of "
        f"others ({others} owners), as LEAF splits data by user (-t user); possible is "
        "--pool-tests, which keeps some examples of each owner for testing, or data that are split "
        "by sample."
    )


def check_range(x: Num[Inputs, " T *shape"], option: str) -> None:
    """Refuse inputs that are neither bytes nor within 0…1, where an option counts on it."""
    if x.dtype == np.uint8 or not x.size:
        return
    ends = [(some.min(), some.max()) for some in (x[part] for part in pieces(x))]
    least, most = min(low for low, _ in ends), max(high for _, high in ends)
    if not 0 <= least <= most <= 1:
        raise ValueError(
            f"{option} needs inputs that are bytes or within 0 to 1, but they are {least:.3g} to "
            f"{most:.3g}; possible is to scale them first."
        )


def _planted(
    experiment: Experiment, dataset: data.Dataset, partition: data.Partition
) -> data.Dataset:
    conflict = CONFLICTS.find(experiment.conflict)
    if conflict.facts["changes"] == "x":
        dataset = dataset._replace(x=np.asarray(dataset.x))
    if conflict.facts.get("scaled"):
        check_range(dataset.x, f"--conflict {conflict.name}")
        if dataset.x.dtype != np.uint8:
            dataset = dataset._replace(x=to_float32(np.asarray(dataset.x)))
    given = {"x": dataset.x, "y": dataset.y, "partition": partition, "classes": dataset.classes}
    found = call(conflict, CONFLICTS, experiment.values, **given, seed=experiment.seed)
    return dataset._replace(**{conflict.facts["changes"]: found})


def _least_image(experiment: Experiment) -> int:
    """The least height and width of the images that the model takes; 0 where it takes others."""
    return MODELS.find(experiment.model).facts.get("least_image", 0)


def _check_images(experiment: Experiment, x: Num[Inputs, " T *shape"]) -> None:
    """Refuse inputs that a model of images cannot take."""
    model, dataset, least = experiment.model, experiment.dataset, _least_image(experiment)
    others = [name for name in MODELS if "least_image" not in MODELS[name].facts]
    if least and x.ndim != 4:
        raise ValueError(
            f"The model {model!r} takes images, but an input of {dataset!r} has the shape "
            f"{x.shape[1:]}; possible are {' and '.join(f'--model {name}' for name in others)}"
            f"{_rows_of_pixels(x)}."
        )
    if min(x.shape[1:3], default=0) < least:
        raise ValueError(
            f"The model {model!r} takes images of {least}×{least} pixels or more, but those of "
            f"{dataset!r} have the shape {x.shape[1:]}."
        )


def _rows_of_pixels(x: Num[Inputs, " T *shape"]) -> str:
    """The layout that makes images of rows of numbers, where they can be images."""
    found = row_side(x.shape[1]) if x.ndim == 2 else None
    if found is None:
        return ""
    side, channels = found
    layouts = "hw" if channels == 1 else "hwc or chw"
    return f", or --layout {layouts} where a row is an image of {side}×{side}×{channels}"
