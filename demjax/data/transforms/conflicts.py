"""Planted conflicts: groups of clients whose data contradict one another's, or look different.

One model serves everybody badly then, and groups have something to find. Clients are of ``C`` true
clusters, as many of each as can be: client ``n`` of ``N`` is of cluster ``⌊n · C / N⌋``. Training
and test examples are treated alike. Each function makes one copy of the data.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

import numpy as np
from jaxtyping import Int, Num

from demjax.data.client_data import Partition
from demjax.registry import CONFLICTS, Range

QUARTER_TURNS = 4
_EXAMPLES_AT_ONCE = 4096


def planted_clusters(clients: int, true_clusters: int) -> Int[np.ndarray, " N"]:
    """The true cluster of each client.

    Args:
        clients: Number of clients, ``N``.
        true_clusters: Number of true clusters, 1 to ``N``.

    Raises:
        ValueError: If there are fewer clients than true clusters.
    """
    if not 1 <= true_clusters <= clients:
        raise ValueError(
            f"{clients} clients can be of 1 to {clients} true clusters, not {true_clusters}."
        )
    return (np.arange(clients) * true_clusters // clients).astype(np.int32)


@CONFLICTS.register(changes="x")
def rotated(
    x: Num[np.ndarray, " T H W C"],
    partition: Partition,
    true_clusters: Annotated[int, Range(1)] = 4,
    *,
    quarter_turns: Annotated[int, Range(1, 3)] = 1,
) -> Num[np.ndarray, " T H W C"]:
    """Turn the images of the clients of true cluster ``k`` by ``k q`` quarter turns.

    Args:
        x: Images, as high as wide.
        partition: Who has which of them.
        true_clusters: Number of true clusters, 1 to 4; to 2 with two quarter turns.
        quarter_turns: ``q``, from one cluster to the next, 1 to 3: 2 for 0 and 180 degrees.

    Returns:
        The images; those that nobody has are as they were.

    Raises:
        ValueError: If there are more true clusters than quarter turns, or images are not square.

    Source: Ghosh et al., arXiv 2006.04088 (rotated MNIST).
    """
    most = QUARTER_TURNS // math.gcd(QUARTER_TURNS, quarter_turns)
    if true_clusters > most:
        steps = "" if quarter_turns == 1 else f" by {quarter_turns} quarter turns each"
        raise ValueError(
            f"Images can be turned{steps} for 1 to {most} true clusters, not {true_clusters}."
        )
    if x.ndim != 4 or x.shape[1] != x.shape[2]:
        raise ValueError(
            f"Images to be turned must be square, [T, H, H, C], but their shape is {x.shape}."
        )
    turned = x.copy()
    for held, kind in _held_by(partition, true_clusters):
        turned[held] = np.rot90(x[held], kind * quarter_turns, axes=(1, 2))
    return turned


@CONFLICTS.register(changes="y")
def relabelled(
    y: Int[np.ndarray, " T"],
    partition: Partition,
    true_clusters: Annotated[int, Range(1)] = 4,
    *,
    classes: int,
) -> Int[np.ndarray, " T"]:
    """Give the examples of true cluster ``k`` of ``K`` the labels ``(y + k ⌊C / K⌋) mod C``.

    Args:
        y: Labels, ``0 … C - 1``.
        partition: Who has which examples.
        true_clusters: Number of true clusters, 1 to ``C``.
        classes: Number of labels, ``C``.

    Returns:
        The labels; those of examples that nobody has are as they were.

    Raises:
        ValueError: If there are more true clusters than labels.

    Source: after Sattler et al., arXiv 1910.01991 (permuted labels).
    """
    if true_clusters > classes:
        raise ValueError(
            f"{classes} labels can be shifted for 1 to {classes} true clusters, not "
            f"{true_clusters}."
        )
    shifted = y.astype(np.int32)  # a byte could not hold the sum
    for held, kind in _held_by(partition, true_clusters):
        shifted[held] = (shifted[held] + kind * (classes // true_clusters)) % classes
    return shifted


@CONFLICTS.register(changes="x", scaled=True)
def noisy(
    x: Num[np.ndarray, " T *shape"],
    partition: Partition,
    true_clusters: Annotated[int, Range(1)] = 4,
    *,
    noise: Annotated[float, Range(0, 100)] = 0.5,
    seed: int,
) -> Num[np.ndarray, " T *shape"]:
    """Add Gaussian noise to the inputs of true cluster ``k`` of ``C``: ``x + σ (k + 1) / C · z``.

    As many true clusters as clients give each client a level of its own.

    Args:
        x: Inputs: uint8 in 0…255, or floating numbers in 0…1.
        partition: Who has which of them.
        true_clusters: Number of true clusters, 1 to ``N``.
        noise: σ, standard deviation of the noise of the last cluster, at least 0 (and at most 100),
            in parts of the range of the inputs (1 is 255 for uint8).
        seed: What the noise follows from, 0 or above.

    Returns:
        The inputs, of the type they were: uint8 rounded and clipped to 0…255, floating numbers
        not clipped; those that nobody has are as they were.

    Raises:
        ValueError: If the inputs are neither, or the noise is outside its range.

    Source: the feature skew of Li et al., arXiv 2102.02079, with σ as the standard deviation.
    """
    x = np.asarray(x)
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise ValueError(f"Noise can be added to uint8 or floating inputs, not to {x.dtype}.")
    added, rng = x.copy(), np.random.default_rng(seed)
    for held, kind in _held_by(partition, true_clusters):
        level = noise * (kind + 1) / true_clusters
        blurred = level * rng.standard_normal((len(held), *x.shape[1:]), np.float32)
        if x.dtype == np.uint8:
            blurred = np.clip(np.rint(255 * blurred + x[held]), 0, 255)
        else:
            blurred = blurred + x[held]
        added[held] = blurred.astype(x.dtype)
    return added


@CONFLICTS.register(changes="x")
def permuted(
    x: Num[np.ndarray, " T H W C"],
    partition: Partition,
    true_clusters: Annotated[int, Range(1)] = 4,
    *,
    seed: int,
) -> Num[np.ndarray, " T H W C"]:
    """Move the pixels of the images of each kind by a permutation of its own; kind 0 keeps its.

    Args:
        x: Images; the channels of a pixel move together.
        partition: Who has which of them.
        true_clusters: Number of true clusters, 1 to ``N``.
        seed: What the permutations follow from, 0 or above.

    Returns:
        The images; those that nobody has are as they were.

    Raises:
        ValueError: If these are no images.

    Source: after Goodfellow et al., arXiv 1312.6211 (permuted MNIST).
    """
    if x.ndim != 4:
        raise ValueError(
            f"Images whose pixels are to move must be [T, H, W, C], but their shape is {x.shape}."
        )
    moved, rng = x.copy(), np.random.default_rng(seed)
    last, order = 0, np.arange(x.shape[1] * x.shape[2])
    for held, kind in _held_by(partition, true_clusters):
        for _ in range(kind - last):
            order = rng.permutation(len(order))
        last = kind
        pixels = x[held].reshape(len(held), len(order), x.shape[3])
        moved[held] = pixels[:, order].reshape(len(held), *x.shape[1:])
    return moved


def _held_by(partition: Partition, true_clusters: int) -> Iterator[tuple[np.ndarray, int]]:
    """The examples of the clients of each kind in ascending order, a few thousand at a time."""
    of = planted_clusters(len(partition.train), true_clusters)
    bounds = np.searchsorted(of, np.arange(true_clusters + 1)).tolist()
    for kind, (start, end) in enumerate(pairwise(bounds)):
        held = np.concatenate([*partition.train[start:end], *partition.test[start:end]])
        for begin in range(0, len(held), _EXAMPLES_AT_ONCE):
            yield held[begin : begin + _EXAMPLES_AT_ONCE], kind
