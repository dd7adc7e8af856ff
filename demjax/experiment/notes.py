"""What a user may want to know of the data and of who has what, in sentences."""

from pathlib import Path

import numpy as np

from demjax import data
from demjax.data.classes import label_note
from demjax.data.sources.catalogue import find
from demjax.experiment.experiment import Experiment
from demjax.registry import DATASETS, PARTITIONS, accepts


def notes(
    asked: Experiment, experiment: Experiment, dataset: data.Dataset, partition: data.Partition
) -> list[str]:
    """What a user may want to know of the data and of who has what, a sentence each.

    Args:
        asked: The experiment before its data were known.
        experiment: The experiment.
        dataset: Its data set.
        partition: Which examples each client has.
    """
    about_labels = label_note(dataset.name, dataset.y, dataset.classes, dataset.labels)
    said = [] if about_labels is None else [about_labels]
    tests = len(dataset.y) - dataset.train_count
    if "partition" not in asked.given and dataset.owner is not None:
        said.append(
            f"The data name {len(np.unique(dataset.owner))} owners, so clients are owners, "
            f"{len(partition.train)} of them (--partition natural)."
        )
    if tests:
        said.append(_parts(experiment, dataset, partition))
        both = data.in_both_parts(dataset)
        if both:
            said.append(
                f"{both} of the {tests} examples of the data's test part are in their training "
                "part, too: the same inputs and label."
            )
    folder = experiment.data_dir
    if folder is not None and "files" in DATASETS.find(experiment.dataset).facts:
        found = find(experiment.dataset, Path(folder))
        for one, other in data.same_files(found.files if found else ()):
            said.append(f"{other} holds the same as {one}, so its examples are there twice.")
    return said


def validation_note(partition: data.Partition) -> str:
    """What was held out of the training examples, in a sentence."""
    train, held = (sum(map(len, part)) for part in partition)
    return (
        f"{held} of {held + train} training examples are held out (--validation) and measured in "
        "place of the test examples, which are not used."
    )


def _parts(experiment: Experiment, dataset: data.Dataset, partition: data.Partition) -> str:
    """What became of the data's own test part, in a sentence."""
    count, tests = dataset.train_count, len(dataset.y) - dataset.train_count
    trained = sum(int((mine >= count).sum()) for mine in partition.train)
    own = f"The data have a test part of their own, {tests} of {len(dataset.y)} examples"
    others = sum(int((mine < count).sum()) for mine in partition.test)
    if trained or others:
        own_rule = not accepts(PARTITIONS.find(experiment.partition).make, "train_count")
        by = f"--partition {experiment.partition}" if own_rule else "--pool-tests"
        return (
            f"{own}: {by} pools both parts, so that {trained} of these are trained on, and "
            f"clients' tests are {others} of the training part's."
        )
    without = sum(len(mine) == 0 for mine in partition.test)
    some = f"; {without} of {len(partition.test)} clients have none" if without else ""
    return (
        f"{own}: tests are of these, and none is trained on{some} (--pool-tests pools both parts, "
        "and keeps --test-fraction of them for tests)."
    )
