"""Independent and identically distributed: all examples at random, as evenly as possible."""

from typing import Annotated

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition
from demjax.data.partitions.splitting import checked, split
from demjax.registry import PARTITIONS, Range


@PARTITIONS.register()
def iid(
    y: Int[np.ndarray, " T"],
    *,
    clients: int,
    seed: int,
    test_fraction: Annotated[float, Range(1e-6, 1 - 1e-6)] = 0.2,
    train_count: int | None = None,
) -> Partition:
    """Partition all examples at random, as evenly as possible: sizes differ by at most one.

    Args:
        y: Labels.
        clients: Number of clients, 1 to half the number of examples.
        seed: What the random choices follow from, 0 or above.
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1, where
            all are one part.
        train_count: The first so many examples are the data's own training part, which alone is
            trained on; of the test part's examples of a label each client has the share that it
            has of the training part's. By default all examples are one part.

    Returns:
        The partition; every example is used.

    Raises:
        ValueError: An argument is outside its range.
    """
    y, part = checked(y, clients=clients, seed=seed, train_count=train_count)
    rng = np.random.default_rng(seed)
    sizes = len(part) // clients + (np.arange(clients) < len(part) % clients)
    flat = rng.permutation(len(part))
    return split(flat, sizes, y, rng=rng, test_fraction=test_fraction, train_count=train_count)
