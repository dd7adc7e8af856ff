"""Label skew: each label in proportions from a Dirichlet distribution."""

from typing import Annotated

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition
from demjax.data.partitions.splitting import (
    EXAMPLES_AT_LEAST,
    checked,
    fill_up,
    gathered,
    rows,
    split,
    whole_parts,
)
from demjax.registry import PARTITIONS, Range


@PARTITIONS.register()
def dirichlet(
    y: Int[np.ndarray, " T"],
    *,
    clients: int,
    dirichlet_alpha: Annotated[float, Range(1e-300, 1e300)] = 0.5,
    seed: int,
    min_examples: Annotated[int, Range(2)] = EXAMPLES_AT_LEAST,
    test_fraction: Annotated[float, Range(1e-6, 1 - 1e-6)] = 0.2,
    train_count: int | None = None,
) -> Partition:
    """Partition each label in proportions from a Dirichlet distribution.

    ``p_label ~ Dirichlet(α, …, α)`` over the clients, for each label. A client left with fewer than
    ``min_examples`` then takes random ones of whoever has most, one at a time, so that a small α or
    many clients never leave a client without.

    Args:
        y: Labels.
        clients: Number of clients, 1 to the number of examples divided by ``min_examples``.
        dirichlet_alpha: α, above 0; small: each label at few clients; large: all clients alike.
        seed: What the random choices follow from, 0 or above.
        min_examples: The fewest examples of a client, at least 2.
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1, where
            all are one part.
        train_count: The first so many examples are the data's own training part, which alone is
            trained on; of the test part's examples of a label each client has the share that it
            has of the training part's. By default all examples are one part.

    Returns:
        The partition; every example is used.

    Raises:
        ValueError: An argument is outside its range.

    Source: label by label as Yurochkin et al., arXiv 1905.12022, without redrawing.
    """
    y, part = checked(y, clients=clients, seed=seed, at_least=min_examples, train_count=train_count)
    rng = np.random.default_rng(seed)
    pools, owners = [], []
    for name in np.unique(part):
        pool = rng.permutation(np.flatnonzero(part == name))
        share = rng.dirichlet(np.full(clients, float(dirichlet_alpha)))
        pools.append(pool)
        owners.append(np.repeat(np.arange(clients), whole_parts(len(pool), share)))
    held = [rng.permutation(mine) for mine in rows(*gathered(pools, owners, clients))]
    fill_up(held, min_examples)
    sizes = np.array([len(mine) for mine in held])
    flat = np.concatenate(held)
    return split(flat, sizes, y, rng=rng, test_fraction=test_fraction, train_count=train_count)
