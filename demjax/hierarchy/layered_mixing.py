"""Mixing from the top down that reaches other layers on each level."""

from collections.abc import Sequence

import jax

from demjax.base import Hierarchy, Params
from demjax.hierarchy.groups import flat_groups, lowest_group, parent_group
from demjax.pytrees import interpolate, select
from demjax.registry import Number


def mix_down_layers(
    client: Params,
    group: Params,
    hierarchy: Hierarchy,
    mix: Sequence[Number],
    reached: Sequence[Params],
) -> tuple[Params, Params]:
    """Let every model take on some of its parent's, but only in the layers that its level reaches.

    As ``mixing.mix_down``, ``w_child ← (1 − α) w_child + α w_parent`` from the root down, in some
    leaves.

    Args:
        client: One model for each client, leaves ``[N, ...]``.
        group: One model for each group, leaves ``[L, G, ...]``.
        hierarchy: Who is in which group.
        mix: ``α`` for the clients, then for the groups of each level from the lowest to the one
            under the root: ``L`` numbers from 0 to 1.
        reached: Likewise the leaves that are mixed, as plain truth values.

    Returns:
        The mixed client and group models.
    """
    levels, slots = hierarchy.size.shape
    parents, lowest, flat = parent_group(hierarchy), lowest_group(hierarchy), flat_groups(group)

    def taken(own: Params, which: object, level: int) -> Params:
        above = jax.tree.map(lambda leaf: leaf[which], flat)
        return select(reached[level], interpolate(own, above, mix[level]), own)

    for level in range(levels - 2, -1, -1):
        rows = slice(level * slots, (level + 1) * slots)
        own = jax.tree.map(lambda leaf, rows=rows: leaf[rows], flat)
        new = taken(own, parents[level], level + 1)
        flat = jax.tree.map(lambda leaf, new, rows=rows: leaf.at[rows].set(new), flat, new)
    mixed = taken(client, lowest, 0)
    return mixed, jax.tree.map(lambda flat, old: flat.reshape(old.shape), flat, group)
