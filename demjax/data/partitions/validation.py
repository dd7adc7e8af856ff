"""Validation examples: a share of each client's training examples, held out to choose by."""

import numpy as np

from demjax.data.client_data import Partition
from demjax.data.partitions.splitting import check_seed

_STREAM = 7_465_207
"""Keeps these draws apart from those of a partition of the same seed."""


def held_out(partition: Partition, share: float, *, seed: int) -> Partition:
    """Hold out some of each client's training examples, which take the place of its test examples.

    Of a client's m training examples, round(m · share) are, at least 1 and at most m − 1; of a
    single one, none. Test examples are in neither part of what is returned, so whatever is chosen
    by it has not seen them.

    Args:
        partition: Which examples each client has.
        share: The share, above 0 and below 1.
        seed: Decides which.

    Returns:
        The partition with what is left to train on, and what was held out as tests.

    Raises:
        ValueError: If the share or the seed is out of its range, or no client has two examples.
    """
    if not 0 < share < 1:
        raise ValueError(
            f"A share of the training examples can be held out, above 0 and below 1, but {share} "
            "was given."
        )
    check_seed(seed)
    rng = np.random.default_rng([_STREAM, seed])
    train, validation = [], []
    for mine in partition.train:
        count = min(max(1, round(len(mine) * share)), len(mine) - 1)
        drawn = np.zeros(len(mine), bool)
        drawn[rng.permutation(len(mine))[:count]] = True
        train.append(mine[~drawn])
        validation.append(mine[drawn])
    if not any(map(len, validation)):
        raise ValueError(
            "No client has two training examples, of which one could be held out; possible is a "
            "partition into fewer clients."
        )
    return Partition(tuple(train), tuple(validation))
