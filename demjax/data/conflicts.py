"""Planted conflicts: groups of clients whose data contradict one another's.

One model cannot serve everybody then, and groups have something to find. Clients are of ``kinds``
kinds, as many of each as can be: client ``n`` of ``N`` is of kind ``⌊n · kinds / N⌋``.
"""

import numpy as np
from jaxtyping import Int, Num

from demjax.data.clients import Partition

QUARTER_TURNS = 4


def planted_kinds(clients: int, kinds: int) -> Int[np.ndarray, " N"]:
    """The kind of each client.

    Args:
        clients: Number of clients, ``N``.
        kinds: Number of kinds, 1 to ``N``.

    Raises:
        ValueError: If there are fewer clients than kinds.
    """
    if not 1 <= kinds <= clients:
        raise ValueError(f"{clients} clients can be of 1 to {clients} kinds, not {kinds}.")
    return (np.arange(clients) * kinds // clients).astype(np.int32)


def rotated(
    x: Num[np.ndarray, " T H W C"], partition: Partition, kinds: int
) -> Num[np.ndarray, " T H W C"]:
    """Turn the pictures of the clients of kind ``k`` by ``k`` quarter turns.

    Args:
        x: Pictures, as high as wide.
        partition: Who has which of them.
        kinds: Number of kinds, 1 to 4.

    Returns:
        The pictures; those that nobody has are as they were.

    Raises:
        ValueError: If there are more kinds than quarter turns, or pictures are not square.

    Source: Ghosh et al., arXiv 2006.04088 (rotated MNIST).
    """
    if kinds > QUARTER_TURNS:
        raise ValueError(f"Pictures can be turned for 1 to {QUARTER_TURNS} kinds, not {kinds}.")
    if x.ndim != 4 or x.shape[1] != x.shape[2]:
        raise ValueError(
            f"Pictures to be turned must be square, [T, H, H, C], but their shape is {x.shape}."
        )
    turned = x.copy()
    for held, kind in _held_by(partition, kinds):
        turned[held] = np.rot90(x[held], kind, axes=(1, 2))
    return turned


def relabelled(
    y: Int[np.ndarray, " T"], partition: Partition, kinds: int, classes: int
) -> Int[np.ndarray, " T"]:
    """Give the examples of the clients of kind ``k`` the labels ``(y + k ⌊C / kinds⌋) mod C``.

    Args:
        y: Labels, ``0 … C - 1``.
        partition: Who has which examples.
        kinds: Number of kinds, 1 to ``C``.
        classes: Number of labels, ``C``.

    Returns:
        The labels; those of examples that nobody has are as they were.

    Raises:
        ValueError: If there are more kinds than labels.

    Source: after Sattler et al., arXiv 1910.01991 (permuted labels).
    """
    if kinds > classes:
        raise ValueError(f"{classes} labels can be shifted for 1 to {classes} kinds, not {kinds}.")
    shifted = y.copy()
    for held, kind in _held_by(partition, kinds):
        shifted[held] = (y[held] + kind * (classes // kinds)) % classes
    return shifted


def _held_by(partition: Partition, kinds: int) -> list[tuple[np.ndarray, int]]:
    of = planted_kinds(len(partition.train), kinds)
    pairs = zip(partition.train, partition.test, of, strict=True)
    return [(np.concatenate([train, test]), int(kind)) for train, test, kind in pairs]
