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
) -> Partition:
    """Partition all examples at random, as evenly as possible: sizes differ by at most one.

    Args:
        y: Labels.
        clients: Number of clients, 1 to half the number of examples.
        seed: What the random choices follow from, 0 or above.
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1.

    Returns:
        The partition; every example is used.

    Raises:
        ValueError: An argument is outside its range.
    """
    y = checked(y, clients=clients, seed=seed)
    rng = np.random.default_rng(seed)
    sizes = len(y) // clients + (np.arange(clients) < len(y) % clients)
    return split(rng.permutation(len(y)), sizes, y, rng=rng, test_fraction=test_fraction)
