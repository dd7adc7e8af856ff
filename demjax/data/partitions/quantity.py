"""Quantity skew: clients of unlike sizes, labels at random."""

from typing import Annotated

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition
from demjax.data.partitions.splitting import EXAMPLES_AT_LEAST, checked, split, whole_parts
from demjax.registry import PARTITIONS, Range


@PARTITIONS.register()
def quantity(
    y: Int[np.ndarray, " T"],
    *,
    clients: int,
    dirichlet_alpha: Annotated[float, Range(1e-300, 1e300)] = 0.5,
    seed: int,
    min_examples: Annotated[int, Range(2)] = EXAMPLES_AT_LEAST,
    test_fraction: Annotated[float, Range(1e-6, 1 - 1e-6)] = 0.2,
    train_count: int | None = None,
) -> Partition:
    """Partition all examples at random in amounts that differ: the skew is in sizes, not in labels.

    A client has ``min_examples``, and of the rest the share p_u, ``p ~ Dirichlet(α, …, α)`` over
    the clients.

    Args:
        y: Labels.
        clients: Number of clients, 1 to the number of examples divided by ``min_examples``.
        dirichlet_alpha: α, above 0; small: few clients have nearly all; large: all clients alike.
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

    Source: after the quantity skew of Li et al., arXiv 2102.02079, with a least size.
    """
    y, part = checked(y, clients=clients, seed=seed, at_least=min_examples, train_count=train_count)
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(clients, float(dirichlet_alpha)))
    sizes = min_examples + whole_parts(len(part) - min_examples * clients, share)
    flat = rng.permutation(len(part))
    return split(flat, sizes, y, rng=rng, test_fraction=test_fraction, train_count=train_count)
