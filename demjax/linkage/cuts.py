"""Cutting a dendrogram into levels of groups."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from demjax.base import NO_GROUP, Hierarchy
from demjax.hierarchy import from_groups


def cut_depth(merges: Float[Array, " N-1 4"], levels: int) -> Hierarchy:
    """Cut a dendrogram into a tree by splitting from the top, ``levels`` times.

    The root's children are the two clusters of the last merge, theirs those of the merges that
    made them, and so on: slot ``s`` splits into the slots ``2s`` and ``2s + 1`` one level
    below. A client that a split leaves alone hangs directly under the group that was split,
    at whatever level; it has no group below. So trees are ragged.

    Args:
        merges: SciPy's linkage matrix of ``N`` clients.
        levels: Levels of groups under the root, ``K ≥ 0``.

    Returns:
        The hierarchy: ``L = K + 1`` levels with ``G = 2**K`` slots.

    Source: Nguyen et al., arXiv 2007.03278; the authors' published experiment.
    """
    count, slots = merges.shape[0] + 1, 2**levels
    if count == 1:
        groups = jnp.full((levels + 1, 1), NO_GROUP, jnp.int32).at[-1].set(0)
        return from_groups(groups, slots)
    children = merges[:, :2].astype(jnp.int32)
    root = 2 * count - 2
    made_by = jnp.arange(count, 2 * count - 1, dtype=jnp.int32)
    parent = (
        jnp.zeros(2 * count - 1, jnp.int32).at[children.T].set(made_by[None]).at[root].set(root)
    )

    node = jnp.full(slots, NO_GROUP, jnp.int32).at[0].set(root)
    rows = [jnp.zeros(count, jnp.int32)]
    for level in range(1, levels + 1):
        node = _split(node[: 2 ** (level - 1)], children, count, slots)
        rows.insert(0, _slot_above(node, parent, count))
    return from_groups(jnp.stack(rows), slots)


def _split(
    node: Int[Array, " G2"], children: Int[Array, " N-1 2"], count: int, slots: int
) -> Int[Array, " G"]:
    """The nodes that each group's node was merged from; a single client is no group."""
    pairs = jnp.where((node >= count)[:, None], children[node - count], NO_GROUP)
    pairs = jnp.where(pairs >= count, pairs, NO_GROUP).reshape(-1)
    return jnp.full(slots, NO_GROUP, jnp.int32).at[: pairs.shape[0]].set(pairs)


def _slot_above(
    node: Int[Array, " G"], parent: Int[Array, " 2N-1"], count: int
) -> Int[Array, " N"]:
    """For each leaf, the slot whose node is its ancestor; ``NO_GROUP`` if none is.

    Everybody climbs until a node with a slot, or the root, each hop twice as long as the last.
    """
    total = parent.shape[0]
    index = jnp.where(node == NO_GROUP, total, node)
    slots = jnp.arange(node.shape[0], dtype=jnp.int32)
    slot_of = jnp.full(total, NO_GROUP, jnp.int32).at[index].set(slots, mode="drop")
    here = jnp.arange(total, dtype=jnp.int32)
    hop = jnp.where(slot_of == NO_GROUP, parent, here)
    for _ in range(total.bit_length()):
        hop = hop[hop]
    return slot_of[hop[:count]]
