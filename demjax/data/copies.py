"""Examples that several clients have, as one for each, so that each can be made another."""

import numpy as np

from demjax.data.client_data import Partition
from demjax.data.dataset import Dataset
from demjax.data.partitions.splitting import rows
from demjax.data.rows_in_files import joined, taken


def each_its_own(dataset: Dataset, partition: Partition) -> tuple[Dataset, Partition]:
    """The data with a copy of an example for each client but the first that has it.

    Args:
        dataset: All examples.
        partition: Which of them each client has.

    Returns:
        The data, copies last, and the partition of these; both as they are where nobody shares.
    """
    parts = (*partition.train, *partition.test)
    flat = np.concatenate(parts)
    order = np.argsort(flat, kind="stable")  # the first of those that share keeps the example
    again = np.zeros(len(flat), bool)
    again[order[1:]] = flat[order[1:]] == flat[order[:-1]]
    if not again.any():
        return dataset, partition
    copied, count = flat[again], len(dataset.y)
    flat = np.where(again, count + np.cumsum(again) - 1, flat)
    own = rows(flat, np.array([len(part) for part in parts]))
    owner = dataset.owner
    grown = dataset._replace(
        x=joined([dataset.x, taken(dataset.x, copied)]),
        y=np.concatenate([dataset.y, dataset.y[copied]]),
        owner=None if owner is None else np.concatenate([owner, owner[copied]]),
    )
    clients = len(partition.train)
    return grown, Partition(tuple(own[:clients]), tuple(own[clients:]))
