"""A few labels for each client, in log-normal amounts."""

from typing import Annotated

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition
from demjax.data.partitions.splitting import (
    EXAMPLES_AT_LEAST,
    checked,
    gathered,
    is_whole,
    split,
    whole_parts,
)
from demjax.registry import PARTITIONS, Range


@PARTITIONS.register()
def labels(
    y: Int[np.ndarray, " T"],
    *,
    clients: int,
    labels_per_client: Annotated[int, Range(1)] = 2,
    seed: int,
    label_sigma: Annotated[float, Range(0, 1e100)] = 1.0,
    test_fraction: Annotated[float, Range(1e-6, 1 - 1e-6)] = 0.2,
    train_count: int | None = None,
) -> Partition:
    """Give each client a few labels, in log-normal amounts.

    Client u has the labels ``(u + j) % C`` for ``j < k`` (of the C labels that occur, in ascending
    order). Each label is given in full to its holders: two examples to each, and of the rest the
    share ``exp(σ z_u) / Σ_v exp(σ z_v)``, ``z`` standard normal for each holder of each label.

    Args:
        y: Labels.
        clients: Number of clients, at least 1; fewer than ``C - k + 1`` leave labels unused.
        labels_per_client: k, 1 to C.
        seed: What the random choices follow from, 0 or above.
        label_sigma: σ, standard deviation of the logarithm of the amounts, at least 0 (all alike).
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1, where
            all are one part.
        train_count: The first so many examples are the data's own training part, which alone is
            trained on; of the test part's examples of a label each client has the share that it
            has of the training part's. By default all examples are one part.

    Returns:
        The partition; every example of a label that somebody has is used.

    Raises:
        ValueError: An argument is outside its range, or a label has too few examples.

    Source: after the MNIST experiment of Nguyen et al., arXiv 2007.03278 (``published_mnist``).
    """
    y, _ = checked(y, clients=clients, seed=seed, train_count=train_count)
    return give_labels(
        y,
        np.arange(clients),
        labels_per_client,
        seed=seed,
        label_sigma=label_sigma,
        test_fraction=test_fraction,
        train_count=train_count,
    )


def give_labels(
    y: Int[np.ndarray, " T"],
    first: Int[np.ndarray, " N"],
    labels_per_client: int,
    *,
    seed: int,
    label_sigma: float,
    test_fraction: float,
    train_count: int | None,
) -> Partition:
    """Give client u the labels ``(first[u] + j) % C``, ``j < k``, as ``labels`` describes it."""
    part = y[:train_count]
    clients, names = len(first), np.unique(part)
    if not is_whole(labels_per_client) or not 1 <= labels_per_client <= len(names):
        raise ValueError(
            f"A client can have 1 to {len(names)} labels, as many as occur in these data, "
            f"not {labels_per_client}."
        )
    rng = np.random.default_rng(seed)
    amount = label_sigma * rng.standard_normal((clients, labels_per_client))
    pools, owners = [], []
    for place, name in enumerate(names):
        which = (place - first) % len(names)  # this is the client's label j = which
        holders = np.flatnonzero(which < labels_per_client)
        pool = rng.permutation(np.flatnonzero(part == name))
        rest = len(pool) - EXAMPLES_AT_LEAST * len(holders)
        if rest < 0:
            raise ValueError(
                f"Label {name} has {len(pool)} examples, enough for "
                f"{len(pool) // EXAMPLES_AT_LEAST} clients with {EXAMPLES_AT_LEAST} each, but "
                f"{len(holders)} of the {clients} clients are to have it."
            )
        if len(holders):
            logarithm = amount[holders, which[holders]]
            share = np.exp(logarithm - logarithm.max())
            counts = EXAMPLES_AT_LEAST + whole_parts(rest, share / share.sum())
            pools.append(pool)
            owners.append(np.repeat(holders, counts))
    flat, sizes = gathered(pools, owners, clients)
    return split(flat, sizes, y, rng=rng, test_fraction=test_fraction, train_count=train_count)
