"""Groups as arrays: who is whose ancestor, means per group, mixing down.

Every group of every level has a *flat index* among ``L · G``: ``level · G + slot``.
Group models ``[L, G, ...]`` are all groups with their first axis split in two.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from demjax.arrays import real_numbers
from demjax.base import NO_GROUP, Hierarchy, Models, Params
from demjax.pytrees import like


def from_groups(groups: Int[Array, " L N"], slots: int) -> Hierarchy:
    """Count the members of each group.

    Args:
        groups: Group of each client on each level, ``0 … slots - 1`` or ``NO_GROUP``; the last
            row, the root, is all 0.
        slots: Group slots on a level, ``G``.

    Returns:
        The hierarchy.

    Raises:
        ValueError: As ``checked_groups``.
    """
    groups = checked_groups(groups, slots)
    size = jnp.sum(groups[:, :, None] == jnp.arange(slots), axis=1, dtype=jnp.int32)
    return Hierarchy(groups=groups, size=size)


def checked_groups(groups: Int[Array, " *shape"], slots: int) -> Int[Array, " *shape"]:
    """Groups as ``int32``; arrays that are not yet JAX's are checked.

    Raises:
        ValueError: If they are no whole numbers, or out of their range.
    """
    if not isinstance(groups, jax.Array):
        groups = real_numbers(groups, "Groups")
        outside = groups[(groups < NO_GROUP) | (groups >= slots) | (groups % 1 != 0)]
        if outside.size:
            raise ValueError(
                f"Groups can be 0 to {slots - 1}, or {NO_GROUP} for none, but {outside[0]} was "
                "given."
            )
    return jnp.asarray(groups, jnp.int32)


def root_only(clients: int, levels: int, slots: int) -> Hierarchy:
    """A hierarchy with room for ``levels`` below the root, and nobody in them yet."""
    groups = jnp.full((levels + 1, clients), NO_GROUP, jnp.int32).at[-1].set(0)
    return from_groups(groups, slots)


def without(hierarchy: Hierarchy, absent: Bool[Array, " N"], least: int) -> Hierarchy:
    """The hierarchy with some clients in its root only, and no group of too few others.

    Args:
        hierarchy: A tree.
        absent: Whom it is without.
        least: Fewest of the others in a group, at least 1; groups of fewer are dissolved, so that
            they hang under the next above.
    """
    groups = jnp.where(absent, NO_GROUP, hierarchy.groups)
    size = from_groups(groups, hierarchy.size.shape[1]).size
    few = jnp.take_along_axis(size, jnp.maximum(groups, 0), axis=1) < least
    groups = jnp.where(few, NO_GROUP, groups).at[-1].set(0)
    return from_groups(groups, hierarchy.size.shape[1])


def flat_index(hierarchy: Hierarchy) -> Int[Array, " L N"]:
    """Flat index of each client's group on each level, ``NO_GROUP`` where it has none."""
    levels, slots = hierarchy.size.shape
    offset = jnp.arange(levels, dtype=jnp.int32)[:, None] * slots
    return jnp.where(hierarchy.groups == NO_GROUP, NO_GROUP, hierarchy.groups + offset)


def lowest_group(hierarchy: Hierarchy) -> Int[Array, " N"]:
    """Flat index of the lowest group that holds each client; the root holds everyone."""
    everywhere = flat_index(hierarchy)
    level = jnp.argmax(everywhere != NO_GROUP, axis=0)
    return jnp.take_along_axis(everywhere, level[None], axis=0)[0]


def parent_group(hierarchy: Hierarchy) -> Int[Array, " L G"]:
    """Flat index of the group that each group hangs under; the root and empty slots: the root."""
    levels, slots = hierarchy.size.shape
    everywhere = flat_index(hierarchy)
    root = (levels - 1) * slots
    above = jnp.full_like(everywhere[0], root)
    parents = [jnp.full(slots, root, jnp.int32)]
    for level in range(levels - 2, -1, -1):
        above = jnp.where(everywhere[level + 1] != NO_GROUP, everywhere[level + 1], above)
        member = hierarchy.groups[level][None, :] == jnp.arange(slots)[:, None]
        # All members of a group share the groups above it, so that any one of them can tell.
        parent = jnp.max(jnp.where(member, above[None, :], NO_GROUP), axis=1)
        parents.insert(0, jnp.where(parent == NO_GROUP, root, parent))
    return jnp.stack(parents)


def membership(hierarchy: Hierarchy) -> Bool[Array, " L G N"]:
    """Whether each group holds each client."""
    slots = jnp.arange(hierarchy.size.shape[1], dtype=jnp.int32)
    return hierarchy.groups[:, None, :] == slots[None, :, None]


def flat_groups(group: Params) -> Params:
    """All group models flat, leaves ``[L · G, ...]``, by flat index."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), group)


def under_one_root(client: Params, root: Params) -> Models:
    """The models of a system with a server: clients under a single group, the global model."""
    count = jax.tree.leaves(client)[0].shape[0]
    group = like(client, jax.tree.map(lambda leaf: leaf[None, None], root), exact=True)
    return Models(client, group, root_only(count, 0, 1))


def no_server(client: Params) -> Models:
    """The models of a system without a server: clients alone, no group and no global model.

    The hierarchy has no level at all, not even a root; ``Models.group`` is ``None``.
    """
    count = jax.tree.leaves(client)[0].shape[0]
    nobody = Hierarchy(jnp.zeros((0, count), jnp.int32), jnp.zeros((0, 1), jnp.int32))
    return Models(client, None, nobody)
