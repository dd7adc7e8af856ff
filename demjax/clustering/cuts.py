"""Cutting a dendrogram into levels of groups: by depth, by number of groups, by height.

No cut walks along the dendrogram: nodes hop to their ancestors or descendants, each hop twice
as long as the last, so that ``log₂ 2N`` steps do, whatever its shape.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.base import NO_GROUP, Hierarchy
from demjax.clustering.dendrogram import numbered, parents_of
from demjax.clustering.group_sizes import attach_small, first_split, follow
from demjax.clustering.level_numbers import check_counts, check_heights
from demjax.hierarchy import from_groups
from demjax.registry import CUTS, Number, Range, check_whole

Size = Annotated[int, Range(1)]


class Cut(NamedTuple):
    """A way of cutting dendrograms, made by ``depth``, ``counts`` or ``heights``.

    Attributes:
        take: ``(merges[N-1, 4], distances[N, N], wanted=None) -> Hierarchy``: cut one dendrogram,
            traceable. The distances are those it was made from; with ``min_size = 1`` they may be
            None. ``wanted`` says by what metric and method.
        levels: Levels of groups under the root, ``K``.
        slots: Group slots on a level, ``G``.
        least: Fewest clients of a group that it makes.
        needs: Fewest clients that can be so many groups.
        compares: Whether it needs the distances.
    """

    take: Callable[..., Hierarchy]
    levels: int
    slots: int
    least: int = 1
    needs: int = 1
    compares: bool = True


@CUTS.register()
def depth(levels: Annotated[int, Range(0, 20)] = 3, *, min_size: Size = 1) -> Cut:
    """Split from the top: ``cut_depth``, and no group smaller than ``min_size``.

    Who was peeled off by a split that does not count joins the nearest group: ``attach_small``.

    Args:
        levels: Levels of groups under the root, ``K ≥ 0``.
        min_size: Fewest clients of a group, at least 1; 1 is the published cut.

    Returns:
        The cut.

    Raises:
        ValueError: If a number is out of its range.
    """
    cut = functools.partial(cut_depth, levels=levels, min_size=min_size)
    return _cut(cut, levels, 2**levels, min_size, least=max(2, min_size))


@CUTS.register()
def counts(groups: Annotated[Sequence[int], Range(1)], *, min_size: Size = 1) -> Cut:
    """So many groups on each level: ``cut_counts``, and no group smaller than ``min_size``.

    Small groups are dissolved into the nearest, so that fewer may be left: ``attach_small``.

    Args:
        groups: Groups on each level, the lowest first, not increasing, such as ``(12, 6, 3)``.
        min_size: Fewest clients of a group, at least 1.

    Returns:
        The cut.

    Raises:
        ValueError: If a number is out of its range or not whole, or the numbers of groups increase.
    """
    check_counts("The cut by counts", groups)
    cut = functools.partial(cut_counts, groups=tuple(groups))
    return _cut(cut, len(groups), max(groups, default=1), min_size)


@CUTS.register()
def heights(
    heights: Annotated[Sequence[Number], Range(0)], *, slots: Size = 32, min_size: Size = 1
) -> Cut:
    """Clusters up to a height on each level: ``cut_heights``, none smaller than ``min_size``.

    Small groups are dissolved into the nearest: ``attach_small``.

    Args:
        heights: Height of each level, the lowest first, not decreasing; may be traced.
        slots: Most groups on a level, ``G ≥ 1``.
        min_size: Fewest clients of a group, at least 1.

    Returns:
        The cut.

    Raises:
        ValueError: If a number is out of its range, or the heights decrease.
    """
    check_heights("The cut by heights", heights)
    check_whole("The cut by heights", "slots", slots, 1)
    cut = functools.partial(cut_heights, thresholds=tuple(heights), slots=slots)
    return _cut(cut, len(heights), slots, min_size, needs=1)


def cut_depth(merges: Float[Array, " N-1 4"], levels: int, *, min_size: int = 1) -> Hierarchy:
    """Cut a dendrogram into a tree by splitting from the top, ``levels`` times.

    The root's children are the two clusters of the last merge, theirs those of the merges that
    made them, and so on: slot ``s`` splits into the slots ``2s`` and ``2s + 1`` one level
    below. A client that a split leaves alone hangs directly under the group that was split,
    at whatever level; it has no group below. So trees are ragged.

    With ``min_size > 1``, a merge splits a group only if both sides have that many clients. One
    that does not is passed over: the larger side, the first of two alike, is looked at in its
    place, and the clients of the other hang under the group likewise.

    Args:
        merges: SciPy's linkage matrix of ``N`` clients.
        levels: Levels of groups under the root, ``K ≥ 0``.
        min_size: Fewest clients of a group, at least 1; 1 is the published cut.

    Returns:
        The hierarchy: ``L = K + 1`` levels with ``G = 2**K`` slots.

    Raises:
        ValueError: If a number is out of its range or not whole.

    Source: Nguyen et al., arXiv 2007.03278; the authors' published experiment.
    """
    check_whole("The cut by depth", "levels", levels, 0)
    check_whole("The cut by depth", "min_size", min_size, 1)
    count, slots = merges.shape[0] + 1, 2**levels
    if count == 1:
        groups = jnp.full((levels + 1, 1), NO_GROUP, jnp.int32).at[-1].set(0)
        return from_groups(groups, slots)
    parent, nodes = parents_of(merges), jnp.arange(2 * count - 1, dtype=jnp.int32)
    split = first_split(merges, min_size) if min_size > 1 else nodes
    node = jnp.full(slots, NO_GROUP, jnp.int32).at[0].set(2 * count - 2)
    rows = [jnp.zeros(count, jnp.int32)]
    for level in range(1, levels + 1):
        node = _split(node[: 2 ** (level - 1)], merges, split, slots)
        rows.insert(0, _slot_above(node, parent, count))
    return from_groups(jnp.stack(rows), slots)


def cut_counts(merges: Float[Array, " N-1 4"], groups: Sequence[int]) -> Hierarchy:
    """Cut a dendrogram into so many groups on each level.

    Level ``k`` keeps all but the last ``groups[k] − 1`` merges, and of these too the ones that
    are as high as the last one kept, so that fewer groups are left: the clusters of
    ``scipy.cluster.hierarchy.fcluster(…, criterion="maxclust")``. A client alone is a group.

    Args:
        merges: SciPy's linkage matrix of ``N`` clients.
        groups: Most groups on each level, the lowest first, at least 1 and not increasing.

    Returns:
        The hierarchy: one level for each number and the root, with ``G = max(groups)`` slots,
        filled from 0 on in the order of each group's first client.

    Raises:
        ValueError: If a number is below 1 or not whole, or they increase.
    """
    check_counts("The cut by counts", groups)
    count = merges.shape[0] + 1
    last = [merges[count - most - 1, 2] if most < count else -jnp.inf for most in groups]
    return cut_heights(merges, last, max(groups, default=1))


def cut_heights(
    merges: Float[Array, " N-1 4"],
    thresholds: Float[Array, " K"] | Sequence[Number],
    slots: int,
    *,
    fewest: int = 1,
) -> Hierarchy:
    """Cut a dendrogram at a height for each level.

    Level ``k`` keeps the merges at ``height ≤ max(thresholds[0 … k])``: SciPy's clusters by
    ``criterion="distance"``. Where that could be more than slots, the height is raised.

    Args:
        merges: SciPy's linkage matrix of ``N`` clients, its heights ascending.
        thresholds: Height of each of the ``K`` levels, the lowest first; they may be traced.
        slots: Most groups on a level, ``G ≥ 1``.
        fewest: Fewest clients of a group; others are in none, and above 1 no height is raised.

    Returns:
        The hierarchy: ``K`` levels and the root, slots filled as by ``cut_counts``.

    Raises:
        ValueError: If there are no slots.
    """
    check_whole("The cut by heights", "slots", slots, 1)
    count = merges.shape[0] + 1
    thresholds = lax.cummax(jnp.asarray(thresholds, merges.dtype))
    if fewest == 1 and count > slots:
        thresholds = jnp.maximum(thresholds, merges[count - slots - 1, 2])
    nodes, parent = jnp.arange(2 * count - 1), parents_of(merges)
    height = jnp.concatenate([jnp.full(count, -jnp.inf, merges.dtype), merges[:, 2]])

    def level(threshold):
        top = follow(jnp.where(height[parent] <= threshold, parent, nodes))[:count]
        large = jnp.zeros(2 * count - 1, jnp.int32).at[top].add(1)[top] >= fewest
        return numbered(top, 2 * count - 1, large)

    rows = jax.vmap(level)(thresholds)
    return from_groups(jnp.pad(rows, ((0, 1), (0, 0))), slots)


def _cut(cut: Callable, levels: int, slots: int, min_size: int, **facts: int) -> Cut:
    def take(merges, distances, wanted=None):
        return attach_small(cut(merges), distances, min_size)

    known = {"least": min_size, "needs": slots} | facts
    found = Cut(take, levels, slots, known["least"], known["needs"], compares=min_size > 1)
    return found if min_size == 1 else found._replace(needs=max(found.needs, 2 * min_size))


def _split(
    node: Int[Array, " G2"], merges: Float[Array, " N-1 4"], split: Int[Array, " 2N-1"], slots: int
) -> Int[Array, " G"]:
    """The nodes that each group's first split parts it into; a single client is no group."""
    count = merges.shape[0] + 1
    node = jnp.where(node == NO_GROUP, NO_GROUP, split[node])
    children = merges[node - count, :2].astype(jnp.int32)
    pairs = jnp.where((node >= count)[:, None], children, NO_GROUP)
    pairs = jnp.where(pairs >= count, pairs, NO_GROUP).reshape(-1)
    return jnp.full(slots, NO_GROUP, jnp.int32).at[: pairs.shape[0]].set(pairs)


def _slot_above(
    node: Int[Array, " G"], parent: Int[Array, " 2N-1"], count: int
) -> Int[Array, " N"]:
    """For each leaf, the slot whose node is its ancestor; ``NO_GROUP`` if none is."""
    total = parent.shape[0]
    index = jnp.where(node == NO_GROUP, total, node)
    slots = jnp.arange(node.shape[0], dtype=jnp.int32)
    slot_of = jnp.full(total, NO_GROUP, jnp.int32).at[index].set(slots, mode="drop")
    step = jnp.where(slot_of == NO_GROUP, parent, jnp.arange(total, dtype=jnp.int32))
    return slot_of[follow(step)[:count]]
