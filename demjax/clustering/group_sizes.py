"""A minimum size for groups: small ones dissolved, and splits with two sides large enough."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.arrays import on_device
from demjax.base import NO_GROUP, Hierarchy
from demjax.hierarchy import flat_index, from_groups, parent_group
from demjax.registry import check_number


def attach_small(
    hierarchy: Hierarchy, distances: Float[Array, " N N"] | None, min_size: int
) -> Hierarchy:
    """Dissolve groups that are too small; who has no group then joins the nearest.

    ``g(n) = argmin_g Σ_{m ∈ g} d_mn / |g|`` over the groups under the client's parent that have
    ``|g| ≥ min_size`` members before anybody joins; of several as near, the lowest slot.

    This goes level by level from the top down, and on each level a parent that has such groups
    gives one to every client of its own: to those of its dissolved groups, to those that had no
    group on this level, and to those that came to the parent on a level above. The clients of a
    parent without such groups have none on this level; where the tree has groups of that very
    parent further down, they are given those. Slots keep their numbers.

    Args:
        hierarchy: A tree: who shares a group shares the groups above it.
        distances: Symmetric. Those that are not finite count as the largest there is; with
            ``min_size = 1`` they are not needed.
        min_size: Fewest clients of a group, at least 1; 1 leaves the hierarchy as it is.

    Returns:
        The hierarchy, of the same shape.

    Raises:
        ValueError: If ``min_size`` is below 1, or the distances do not fit to the hierarchy.
    """
    check_number("Attaching small groups", "min_size", min_size, 1)
    if min_size == 1:
        return hierarchy
    count, slots = hierarchy.groups.shape[1], hierarchy.size.shape[1]
    if distances is None or distances.shape != (count, count):
        given = "none" if distances is None else f"those of shape {distances.shape}"
        raise ValueError(
            f"Attaching small groups of {count} clients needs distances of shape "
            f"{(count, count)}, but {given} were given."
        )
    distances = on_device(distances, "Distances")
    finite = jnp.isfinite(distances)
    distances = jnp.where(finite, distances, jnp.max(distances, where=finite, initial=0.0))

    def regroup(above, level):
        group, parent, offset = level
        under = parent[:, None] == above
        # A group all whose clients have gone, because its parent was dissolved, counts none.
        kept = under & (group == jnp.arange(slots)[:, None])
        possible = under & (jnp.sum(kept, axis=1) >= min_size)[:, None]
        nearest = jnp.argmin(jnp.where(possible, _mean_distance(kept, distances), jnp.inf), axis=0)
        group = jnp.where(jnp.any(kept & possible, axis=0), group, nearest.astype(jnp.int32))
        group = jnp.where(jnp.any(possible, axis=0), group, NO_GROUP)
        return jnp.where(group == NO_GROUP, above, group + offset), group

    groups, parents = hierarchy.groups, parent_group(hierarchy)
    offsets = jnp.arange(hierarchy.levels, dtype=jnp.int32) * slots
    levels = (groups[:-1], parents[:-1], offsets)
    _, rows = lax.scan(regroup, flat_index(hierarchy)[-1], levels, reverse=True)
    return from_groups(jnp.concatenate([rows, groups[-1:]]), slots)


def _mean_distance(
    member: Bool[Array, " G N"], distances: Float[Array, " N N"]
) -> Float[Array, " G N"]:
    """Mean distance of each client to the members of each group; 0 to an empty one."""
    one_hot = member.T.astype(distances.dtype)
    total = jnp.matmul(distances, one_hot, precision=lax.Precision.HIGHEST).T
    mean = total / jnp.maximum(jnp.sum(member, axis=1, keepdims=True), 1)
    return jnp.minimum(mean, jnp.finfo(mean.dtype).max)  # infinity means: not possible


def first_split(merges: Float[Array, " N-1 4"], min_size: int) -> Int[Array, " 2N-1"]:
    """The first node at or below each, on the larger side, with two sides of ``min_size``.

    Where there is none that is a single client.
    """
    count, children = merges.shape[0] + 1, merges[:, :2].astype(jnp.int32)
    size = jnp.concatenate([jnp.ones(count, merges.dtype), merges[:, 3]])[children]
    larger = jnp.where(size[:, 1] > size[:, 0], children[:, 1], children[:, 0])
    nodes = jnp.arange(2 * count - 1, dtype=jnp.int32)
    below = jnp.where(jnp.min(size, axis=1) < min_size, larger, nodes[count:])
    return follow(nodes.at[count:].set(below))


def follow(step: Int[Array, " 2N-1"]) -> Int[Array, " 2N-1"]:
    """Where each node ends that takes its step again and again, each hop twice as long."""
    return lax.fori_loop(0, step.shape[0].bit_length(), lambda _, hop: hop[hop], step)
