"""Clients as the data themselves have them: writers, speakers, accounts."""

from typing import Annotated, Any

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition, checked_labels
from demjax.data.partitions.splitting import check_seed, check_train_count, is_whole, rows, split
from demjax.registry import PARTITIONS, Range


@PARTITIONS.register()
def natural(
    y: Int[np.ndarray, " T"],
    owner: Int[np.ndarray, " T"] | None,
    *,
    train_count: int,
    clients: int | None = None,
    seed: int = 0,
    test_fraction: Annotated[float, Range(1e-6, 1 - 1e-6)] = 0.2,
) -> Partition:
    """Give each owner its own examples.

    If the data have a test part of their own, an owner's share of it is its test data, possibly
    none; otherwise some of each owner's examples are kept for testing, label by label in
    proportion, and an owner of a single example trains on it and has no test data.

    Args:
        y: Labels.
        owner: Whose each example is, numbers from 0; ``None``, as a data set without owners has
            it, is refused.
        train_count: The first so many examples are the data's own training part; ``T`` where they
            have no test part.
        clients: How many owners are drawn, 1 to those with a training example; by default all.
        seed: What the random choices follow from, 0 or above.
        test_fraction: Share of an owner's examples kept for testing, above 0 and below 1, where
            the data have no test part.

    Returns:
        The partition, clients in ascending order of their numbers in ``owner``; owners without a
        training example are left out.

    Raises:
        ValueError: An argument is outside its range, or owners and labels do not fit together.

    Source: the users of Caldas et al., LEAF, arXiv 1812.01097.
    """
    y, owner = checked_labels(y), _checked_owner(owner, len(y))
    check_seed(seed)
    check_train_count(train_count, len(y))
    chosen = np.unique(owner[:train_count])
    rng = np.random.default_rng(seed)
    if clients is not None:
        if not is_whole(clients) or not 1 <= clients <= len(chosen):
            raise ValueError(
                f"1 to {len(chosen)} clients can be drawn of the {len(chosen)} owners with a "
                f"training example, not {clients}."
            )
        chosen = np.sort(rng.choice(chosen, clients, replace=False))
    train = _of_each(owner[:train_count], chosen)
    if train_count < len(y):
        test = _of_each(owner[train_count:], chosen)
        return Partition(tuple(rows(*train)), tuple(rows(test[0] + train_count, test[1])))
    return split(*train, y, rng=rng, test_fraction=test_fraction)


def _of_each(
    owner: Int[np.ndarray, " _"], chosen: Int[np.ndarray, " N"]
) -> tuple[Int[np.ndarray, " _"], Int[np.ndarray, " N"]]:
    """The places of the chosen owners, owner by owner in ascending order, and each one's number."""
    order = np.argsort(owner, kind="stable")
    sorted_owner = owner[order]
    start, end = (np.searchsorted(sorted_owner, chosen, side) for side in ("left", "right"))
    sizes = end - start
    steps = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[np.repeat(start, sizes) + steps], sizes


def _checked_owner(owner: Any, examples: int) -> Int[np.ndarray, " T"]:
    if owner is None:
        raise ValueError(
            "These data do not say whose each example is, so no owner can be a client; possible "
            "is another rule."
        )
    owner = np.asarray(owner)
    if owner.shape != (examples,) or owner.dtype.kind not in "iu":
        raise ValueError(
            f"Owners must be one whole number for each of the {examples} labels, "
            f"not {owner.dtype} of shape {owner.shape}."
        )
    if examples and owner.min() < 0:
        raise ValueError(f"Owners must be numbers from 0, not {owner.min()}.")
    return owner
