"""What partition rules share: checked arguments, whole numbers from shares, test examples.

A partition in progress is two arrays: all examples, client by client, and how many each has.
"""

import heapq
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Int

from demjax.data.client_data import Partition, checked_labels
from demjax.registry import Range

SplitSeed = Annotated[int, Range(0, 2**31 - 1)]
"""The seed of a split that tables stand on, which stays while runs have seeds of their own."""

EXAMPLES_AT_LEAST = 2
"""The fewest examples of a client: one to train on and one to test with."""


def checked(
    y: Any,
    *,
    clients: int,
    seed: int,
    at_least: int = EXAMPLES_AT_LEAST,
    train_count: int | None = None,
) -> tuple[Int[np.ndarray, " T"], Int[np.ndarray, " S"]]:
    """The labels, and those of the training part, if as many clients and the seed are possible."""
    y = checked_labels(y)
    if train_count is not None:
        check_train_count(train_count, len(y))
    part = y[:train_count]
    if not is_whole(clients) or clients < 1:
        raise ValueError(f"The number of clients must be a whole number above 0, not {clients}.")
    if clients * at_least > len(part):
        raise ValueError(
            f"{len(part)} examples are enough for {len(part) // at_least} clients with at least "
            f"{at_least} each, not for {clients}."
        )
    check_seed(seed)
    return y, part


def check_train_count(train_count: int, examples: int) -> None:
    """Refuse what can be no number of training examples."""
    if not is_whole(train_count) or not 1 <= train_count <= examples:
        raise ValueError(
            f"1 to {examples} examples can be the training part of these data, not {train_count}."
        )


def check_seed(seed: int) -> None:
    """Refuse what can be no seed."""
    if not is_whole(seed) or seed < 0:
        raise ValueError(f"The seed must be a whole number of at least 0, not {seed}.")


def is_whole(value: Any) -> bool:
    """Whether a value is an integer, which a truth value is not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def whole_parts(total: int, share: Float[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """Whole numbers that sum to the total, each within 1 of its share of it."""
    cuts = np.rint(total * np.cumsum(share[:-1])).astype(np.int64)
    return np.diff(np.minimum(cuts, total), prepend=0, append=total)


def gathered(
    pools: list[Int[np.ndarray, " _"]], owners: list[Int[np.ndarray, " _"]], clients: int
) -> tuple[Int[np.ndarray, " _"], Int[np.ndarray, " N"]]:
    """All examples, client by client and in the order of the pools, and each client's number."""
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(pools)[order], np.bincount(owner, minlength=clients)


def rows(flat: Int[np.ndarray, " _"], sizes: Int[np.ndarray, " N"]) -> list[np.ndarray]:
    """Each client's examples."""
    ends = np.cumsum(sizes).tolist()
    return [flat[start:end] for start, end in pairwise([0, *ends])]


def fill_up(held: list[np.ndarray], min_size: int) -> None:
    """Move last examples of whoever has most until nobody has fewer than ``min_size``."""
    sizes = [len(mine) for mine in held]
    richest = [(-size, client) for client, size in enumerate(sizes) if size > min_size]
    heapq.heapify(richest)
    left = sizes.copy()
    for poor in [client for client, size in enumerate(sizes) if size < min_size]:
        taken = []
        for _ in range(min_size - sizes[poor]):
            _, rich = richest[0]  # above min_size as long as somebody is below it
            left[rich] -= 1
            taken.append(held[rich][left[rich]])
            heapq.heapreplace(richest, (-left[rich], rich))
        held[poor] = np.append(held[poor], taken).astype(np.int64)
    for rich in [client for client, size in enumerate(sizes) if left[client] < size]:
        held[rich] = held[rich][: left[rich]]


def split(
    flat: Int[np.ndarray, " _"],
    sizes: Int[np.ndarray, " N"],
    y: Int[np.ndarray, " T"],
    *,
    rng: np.random.Generator,
    test_fraction: float,
    train_count: int | None = None,
) -> Partition:
    """Keep of each client's examples, label by label in proportion, some for testing.

    Of n examples, t = round(n · fraction) are, at least 1 and at most n − 1; of a label that
    occurs c times, t · c / n rounded down, and one more where the remainders are largest. Where
    the data have a test part of their own, all are trained on, and tests are ``of_test_part``.
    """
    if train_count is not None and train_count < len(y):
        own = of_test_part(flat, sizes, y, train_count=train_count, rng=rng)
        return Partition(tuple(rows(flat, sizes)), tuple(rows(*own)))
    client = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.unique(y[flat])
    code = client * len(labels) + np.searchsorted(labels, y[flat])
    pairs, counts = np.unique(code, return_counts=True)  # each label that each client has
    whose = pairs // len(labels)
    kinds = np.bincount(whose, minlength=len(sizes))
    mixed, ties = [], []
    for mine, several in zip(rows(flat, sizes), kinds.tolist(), strict=True):
        mixed.append(rng.permutation(mine))
        ties.append(rng.permutation(several))
    flat = np.concatenate(mixed)
    tests = np.clip(np.rint(sizes * test_fraction).astype(np.int64), 1, None)
    tests = np.minimum(tests, sizes - 1)
    quota, remainder = np.divmod(tests[whose] * counts, sizes[whose])
    first_pair = np.cumsum(kinds) - kinds
    turn = np.empty(len(pairs), np.int64)  # among equal remainders
    turn[np.repeat(first_pair, kinds) + np.concatenate(ties)] = _counted(kinds)
    largest_first = np.lexsort((turn, -remainder, whose))
    missing = tests - np.bincount(whose, quota, len(sizes)).astype(np.int64)
    quota[largest_first[_counted(kinds) < missing[whose]]] += 1

    code = client * len(labels) + np.searchsorted(labels, y[flat])
    by_pair = np.argsort(code, kind="stable")
    rank = np.empty(len(flat), np.int64)  # of each example among those of its label
    rank[by_pair] = _counted(counts)
    is_test = rank < quota[np.searchsorted(pairs, code)]
    return Partition(tuple(rows(flat[~is_test], sizes - tests)), tuple(rows(flat[is_test], tests)))


def of_test_part(
    flat: Int[np.ndarray, " _"],
    sizes: Int[np.ndarray, " N"],
    y: Int[np.ndarray, " T"],
    *,
    train_count: int,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " _"], Int[np.ndarray, " N"]]:
    """Give each client of a label's test examples the share that it has of its training examples.

    Client u with ``n_uc`` of the ``n_c`` examples of a label c that are trained on has
    ``t_c n_uc / n_c`` of its t_c test examples, rounded down or to one more: what rounding takes
    from a client at one label it is owed at the next. A label that nobody trains on is not tested.

    Args:
        flat: All training examples, client by client.
        sizes: How many each has.
        y: Labels, those of the test part after the first ``train_count``.
        train_count: Number of examples of the training part.
        rng: Decides who gets which, and who is first among those who are owed as much.

    Returns:
        All test examples, client by client, and how many each has, possibly none.
    """
    client, held = np.repeat(np.arange(len(sizes)), sizes), y[flat]
    owed = np.zeros(len(sizes))
    pools, owners = [], []
    for name in np.unique(held):
        pool = train_count + rng.permutation(np.flatnonzero(y[train_count:] == name))
        mine = np.bincount(client[held == name], minlength=len(sizes))
        counts, rest = np.divmod(len(pool) * mine, mine.sum())
        owed += rest / mine.sum()
        turn = np.lexsort((rng.random(len(sizes)), np.where(mine > 0, -owed, np.inf)))
        more = turn[: len(pool) - counts.sum()]
        counts[more] += 1
        owed[more] -= 1
        pools.append(pool)
        owners.append(np.repeat(np.arange(len(sizes)), counts))
    return gathered(pools, owners, len(sizes))


def _counted(counts: Int[np.ndarray, " _"]) -> Int[np.ndarray, " _"]:
    """0, 1, 2, … anew for each count."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
