"""Rules that deal examples to clients.

A rule sees only the labels. Every rule gives an example to at most one client and every client at
least two examples, so that each has one to train on and one to test with. A client's test examples
are drawn label by label in proportion, as far as whole numbers allow.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from demjax.data.clients import Partition, checked_labels

EXAMPLES_AT_LEAST = 2
"""The fewest examples of a client: one to train on and one to test with."""


def iid(
    y: Int[np.ndarray, " T"], *, clients: int, seed: int, test_fraction: float = 0.2
) -> Partition:
    """Deal all examples at random, as evenly as possible: sizes differ by at most one.

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
    y = _checked(y, clients=clients, seed=seed, test_fraction=test_fraction)
    rng = np.random.default_rng(seed)
    held = np.array_split(rng.permutation(len(y)), clients)
    return _split(held, y, rng=rng, test_fraction=test_fraction)


def labels(
    y: Int[np.ndarray, " T"],
    *,
    clients: int,
    labels_per_client: int = 2,
    seed: int,
    sigma: float = 1.0,
    test_fraction: float = 0.2,
) -> Partition:
    """Deal each client a few labels, in log-normal amounts.

    Client u has the labels ``(u + j) % C`` for ``j < k`` (of the C labels that occur, in ascending
    order). Each label is dealt in full to its holders: two examples to each, and of the rest the
    share ``exp(σ z_u) / Σ_v exp(σ z_v)``, ``z`` standard normal for each holder of each label.

    Args:
        y: Labels.
        clients: Number of clients, at least 1; fewer than ``C - k + 1`` leave labels unused.
        labels_per_client: k, 1 to C.
        seed: What the random choices follow from, 0 or above.
        sigma: Standard deviation of the logarithm of the amounts, at least 0 (all alike).
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1.

    Returns:
        The partition; every example of a label that somebody has is used.

    Raises:
        ValueError: An argument is outside its range, or a label has too few examples.

    Source: after the MNIST experiment of Nguyen et al., arXiv 2007.03278 (``published_mnist``).
    """
    y = _checked(y, clients=clients, seed=seed, test_fraction=test_fraction)
    names = np.unique(y)
    if not _is_whole(labels_per_client) or not 1 <= labels_per_client <= len(names):
        raise ValueError(
            f"A client can have 1 to {len(names)} labels, as many as occur in these data, "
            f"not {labels_per_client}."
        )
    if not 0 <= sigma <= 1e100:
        raise ValueError(f"The spread sigma must be at least 0 (and at most 1e100), not {sigma}.")
    rng = np.random.default_rng(seed)
    amount = sigma * rng.standard_normal((clients, labels_per_client))
    held: list[list[np.ndarray]] = [[] for _ in range(clients)]
    for place, name in enumerate(names):
        which = (place - np.arange(clients)) % len(names)  # this is the client's label j = which
        holders = np.flatnonzero(which < labels_per_client)
        pool = rng.permutation(np.flatnonzero(y == name))
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
            counts = EXAMPLES_AT_LEAST + _whole_parts(rest, share / share.sum())
            _hand_out(pool, counts, holders, held)
    return _split(
        [np.concatenate(parts) for parts in held], y, rng=rng, test_fraction=test_fraction
    )


def dirichlet(
    y: Int[np.ndarray, " T"],
    *,
    clients: int,
    alpha: float = 0.5,
    seed: int,
    min_size: int = EXAMPLES_AT_LEAST,
    test_fraction: float = 0.2,
) -> Partition:
    """Deal each label in proportions from a Dirichlet distribution.

    ``p_label ~ Dirichlet(α, …, α)`` over the clients, for each label. A client left with fewer than
    ``min_size`` examples then takes random ones of whoever has most, one at a time, so that a small
    α or many clients never leave a client without.

    Args:
        y: Labels.
        clients: Number of clients, 1 to the number of examples divided by ``min_size``.
        alpha: α, above 0; small: each label at few clients; large: all clients alike.
        seed: What the random choices follow from, 0 or above.
        min_size: The fewest examples of a client, at least 2.
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1.

    Returns:
        The partition; every example is used.

    Raises:
        ValueError: An argument is outside its range.

    Source: label by label as Yurochkin et al., arXiv 1905.12022, without redrawing.
    """
    if not _is_whole(min_size) or min_size < EXAMPLES_AT_LEAST:
        raise ValueError(
            f"The fewest examples of a client, min_size, must be a whole number of at least "
            f"{EXAMPLES_AT_LEAST} (one to train on, one to test with), not {min_size}."
        )
    y = _checked(y, clients=clients, seed=seed, test_fraction=test_fraction, at_least=min_size)
    if not 1e-300 <= alpha <= 1e300:
        raise ValueError(f"The concentration alpha must be above 0 (1e-300 to 1e300), not {alpha}.")
    rng = np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[] for _ in range(clients)]
    for name in np.unique(y):
        pool = rng.permutation(np.flatnonzero(y == name))
        share = rng.dirichlet(np.full(clients, float(alpha)))
        _hand_out(pool, _whole_parts(len(pool), share), range(clients), parts)
    held = [rng.permutation(np.concatenate(part)) for part in parts]
    _fill_up(held, min_size)
    return _split(held, y, rng=rng, test_fraction=test_fraction)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _checked(
    y: Any, *, clients: int, seed: int, test_fraction: float, at_least: int = EXAMPLES_AT_LEAST
) -> np.ndarray:
    y = checked_labels(y)
    if not _is_whole(clients) or clients < 1:
        raise ValueError(f"The number of clients must be a whole number above 0, not {clients}.")
    if clients * at_least > len(y):
        raise ValueError(
            f"{len(y)} examples are enough for {len(y) // at_least} clients with at least "
            f"{at_least} each, not for {clients}."
        )
    if not _is_whole(seed) or seed < 0:
        raise ValueError(f"The seed must be a whole number of at least 0, not {seed}.")
    if not 0 < test_fraction < 1:
        raise ValueError(f"The test fraction must be above 0 and below 1, not {test_fraction}.")
    return y


def _whole_parts(total: int, share: Float[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """Whole numbers that sum to the total, each within 1 of its share of it."""
    cuts = np.rint(total * np.cumsum(share[:-1])).astype(np.int64)
    return np.diff(np.minimum(cuts, total), prepend=0, append=total)


def _hand_out(
    pool: Int[np.ndarray, " _"],
    counts: Int[np.ndarray, " _"],
    holders: Iterable[int],
    held: list[list[np.ndarray]],
) -> None:
    for holder, part in zip(holders, np.split(pool, np.cumsum(counts)[:-1]), strict=True):
        held[holder].append(part)


def _fill_up(held: list[np.ndarray], min_size: int) -> None:
    """Move last examples of whoever has most until nobody has fewer than ``min_size``."""
    sizes = np.array([len(mine) for mine in held])
    for poor in np.flatnonzero(sizes < min_size):
        for _ in range(min_size - sizes[poor]):
            rich = sizes.argmax()  # above min_size as long as somebody is below it
            held[poor] = np.append(held[poor], held[rich][-1])
            held[rich] = held[rich][:-1]
            sizes[rich] -= 1


def _split(
    held: Sequence[np.ndarray], y: np.ndarray, *, rng: np.random.Generator, test_fraction: float
) -> Partition:
    """Keep of each client's examples, label by label in proportion, some for testing.

    Of n examples, t = round(n · fraction) are, at least 1 and at most n − 1; of a label that
    occurs c times, t · c / n rounded down, and one more where the remainders are largest.
    """
    train, test = [], []
    for mine in held:
        mine = rng.permutation(mine)
        total = min(max(round(len(mine) * test_fraction), 1), len(mine) - 1)
        _, kind, counts = np.unique(y[mine], return_inverse=True, return_counts=True)
        quota, remainder = np.divmod(total * counts, len(mine))
        ties = rng.permutation(len(counts))
        largest_first = ties[np.argsort(-remainder[ties], kind="stable")]
        quota[largest_first[: total - quota.sum()]] += 1
        by_kind = np.argsort(kind, kind="stable")
        rank = np.empty_like(kind)  # of each example among those of its label
        rank[by_kind] = np.arange(len(mine)) - np.repeat(np.cumsum(counts) - counts, counts)
        is_test = rank < quota[kind]
        train.append(mine[~is_test])
        test.append(mine[is_test])
    return Partition(tuple(train), tuple(test))
