"""Quantity skew: clients of unlike sizes, labels at random."""

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition
from demjax.data.partitions.splitting import (
    EXAMPLES_AT_LEAST,
    check_alpha,
    checked,
    split,
    whole_parts,
)


def quantity(
    y: Int[np.ndarray, " T"],
    *,
    clients: int,
    alpha: float = 0.5,
    seed: int,
    min_size: int = EXAMPLES_AT_LEAST,
    test_fraction: float = 0.2,
) -> Partition:
    """Deal all examples at random in amounts that differ: the skew is in sizes, not in labels.

    A client has ``min_size`` examples, and of the rest the share p_u, ``p ~ Dirichlet(α, …, α)``
    over the clients.

    Args:
        y: Labels.
        clients: Number of clients, 1 to the number of examples divided by ``min_size``.
        alpha: α, above 0; small: few clients have nearly all; large: all clients alike.
        seed: What the random choices follow from, 0 or above.
        min_size: The fewest examples of a client, at least 2.
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1.

    Returns:
        The partition; every example is used.

    Raises:
        ValueError: An argument is outside its range.

    Source: after the quantity skew of Li et al., arXiv 2102.02079, with a least size.
    """
    y = checked(y, clients=clients, seed=seed, test_fraction=test_fraction, at_least=min_size)
    check_alpha(alpha)
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(clients, float(alpha)))
    sizes = min_size + whole_parts(len(y) - min_size * clients, share)
    return split(rng.permutation(len(y)), sizes, y, rng=rng, test_fraction=test_fraction)
