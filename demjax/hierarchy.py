"""Groups as arrays: who is whose ancestor, means per group, mixing down.

Every group of every level has one *place* in a flat list of ``L · G``: ``level · G + slot``.
Group models ``[L, G, ...]`` are that list with its first axis split in two.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from demjax.base import NO_GROUP, Hierarchy, Params, single_group

FEW_PLACES = 128
"""Groups on all levels up to which they are mixed by one product: it takes their square."""


def from_groups(groups: Int[Array, " L N"], slots: int) -> Hierarchy:
    """Count the members of each group.

    Args:
        groups: Group of each client on each level, ``0 … slots - 1`` or ``NO_GROUP``; the last
            row, the root, is all 0.
        slots: Group slots on a level, ``G``.

    Returns:
        The hierarchy.
    """
    groups = jnp.asarray(groups, jnp.int32)
    size = jnp.sum(groups[:, :, None] == jnp.arange(slots), axis=1, dtype=jnp.int32)
    return Hierarchy(groups=groups, size=size)


def root_only(clients: int, levels: int, slots: int) -> Hierarchy:
    """A hierarchy with room for ``levels`` below the root, and nobody in them yet."""
    groups = jnp.full((levels + 1, clients), NO_GROUP, jnp.int32).at[-1].set(0)
    return from_groups(groups, slots)


def places(hierarchy: Hierarchy) -> Int[Array, " L N"]:
    """Place of each client's group on each level, ``NO_GROUP`` where it has none."""
    levels, slots = hierarchy.size.shape
    offset = jnp.arange(levels, dtype=jnp.int32)[:, None] * slots
    return jnp.where(hierarchy.groups == NO_GROUP, NO_GROUP, hierarchy.groups + offset)


def lowest_place(hierarchy: Hierarchy) -> Int[Array, " N"]:
    """Place of the lowest group that holds each client; the root holds everyone."""
    everywhere = places(hierarchy)
    level = jnp.argmax(everywhere != NO_GROUP, axis=0)
    return jnp.take_along_axis(everywhere, level[None], axis=0)[0]


def parent_place(hierarchy: Hierarchy) -> Int[Array, " L G"]:
    """Place of the group that each group hangs under; the root and empty slots: the root."""
    levels, slots = hierarchy.size.shape
    everywhere = places(hierarchy)
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


def group_means(
    params: Params,
    hierarchy: Hierarchy,
    weight: Float[Array, " N"] | Float[Array, " L N"] | None = None,
    amplification: Float[Array, ""] | float = 1.0,
) -> Params:
    """Mean model of every group on every level, in one pass over the stacked models.

    ``w_g = Σ_{n ∈ g} a^{depth(n, g)} v_n w_n / Σ_{n ∈ g} v_n``, where ``v`` are the weights and
    ``depth(n, g)`` counts the groups that hold client ``n`` from its lowest up to ``g`` itself.
    With ``a = 1`` that is the weighted mean.

    The sums per segment are written as one product of a one-hot matrix and the models: the
    same numbers in the same order on every backend, all levels for one reading of the models.
    A client whose model is not finite makes every mean NaN, as it does the root's.

    Args:
        params: One model for each client, leaves ``[N, ...]``.
        hierarchy: Who is in which group.
        weight: What each client counts, above 0, on all levels or on each: by default 1.
        amplification: The factor ``a`` of the published runs' first rounds.

    Returns:
        One model for each group, leaves ``[L, G, ...]``; empty slots hold 0.

    Source: Nguyen et al., arXiv 2007.03278, equation 2 (means); the behaviour of the authors'
    published experiment (amplification).
    """
    share = mean_shares(hierarchy, weight, amplification)
    mean = partial(jnp.einsum, "lgn,n...->lg...", share, precision=lax.Precision.HIGHEST)
    return jax.tree.map(mean, params)


def mean_shares(
    hierarchy: Hierarchy,
    weight: Float[Array, " N"] | Float[Array, " L N"] | None = None,
    amplification: Float[Array, ""] | float = 1.0,
) -> Float[Array, " L G N"]:
    """What of each client's model goes into each group's mean; arguments as in ``group_means``."""
    member = membership(hierarchy)
    weight = jnp.float32(1) if weight is None else jnp.asarray(weight, jnp.float32)
    share = member * (weight if weight.ndim < 2 else weight[:, None, :])
    share = share / jnp.maximum(jnp.sum(share, axis=-1, keepdims=True), 1e-30)
    depth = jnp.cumsum(hierarchy.groups != NO_GROUP, axis=0)
    return share * jnp.asarray(amplification, jnp.float32) ** depth[:, None, :]


def mean_of_all(params: Params, weight: Float[Array, " N"] | None = None) -> Params:
    """Mean model of all clients, ``Σ_n v_n w_n / Σ_n v_n``: the root's mean, without its axes."""
    count = jax.tree.leaves(params)[0].shape[0]
    means = group_means(params, single_group(count), weight)
    return jax.tree.map(lambda leaf: leaf[0, 0], means)


def soft_update(old: Params, new: Params, rate: Float[Array, ""] | float) -> Params:
    """Move models towards new ones: ``(1 − γ) old + γ new``; with ``γ = 1``, the new ones.

    The old ones stay in the sum even then: what is not finite in them stays so.

    Args:
        old: Models.
        new: Models of the same shapes.
        rate: ``γ``, from 0 to 1.
    """
    return jax.tree.map(lambda o, n: (1 - rate) * o + rate * n, old, new)


def mix_down(
    client: Params,
    group: Params,
    hierarchy: Hierarchy,
    mix: Sequence[Float[Array, ""] | float],
) -> tuple[Params, Params]:
    """Let every model take on some of its parent's, from the root down.

    ``w_child ← (1 − α) w_child + α w_parent``, the parent already mixed: groups, level by
    level, and at last the clients, whose parent is the lowest group that holds them. Of up to
    128 places one group model that is not finite makes all mixed models so.

    Args:
        client: One model for each client, leaves ``[N, ...]``.
        group: One model for each group, leaves ``[L, G, ...]``.
        hierarchy: Who is in which group.
        mix: ``α`` for the clients, then for the groups of each level from the lowest to the one
            under the root: ``L`` numbers from 0 to 1.

    Returns:
        The mixed client and group models.

    Raises:
        ValueError: If ``mix`` does not hold ``L`` numbers.

    Source: Nguyen et al., arXiv 2007.03278, final version, top-down step.
    """
    down, lowest = mixing(hierarchy, mix), lowest_place(hierarchy)
    bank = jax.tree.map(down, places_bank(group))
    mixed = jax.tree.map(lambda own, bank: soft_update(own, bank[lowest], mix[0]), client, bank)
    return mixed, jax.tree.map(lambda bank, old: bank.reshape(old.shape), bank, group)


def mixing(hierarchy: Hierarchy, mix: Sequence[Float[Array, ""] | float]) -> Partial:
    """How groups mix, ``(bank [L · G, ...]) -> bank``; arguments and errors as in ``mix_down``.

    It is a pytree too, so that devices can be given it.
    """
    levels, slots = hierarchy.size.shape
    if len(mix) != levels:
        raise ValueError(
            f"Mixing needs {levels} mixing factors, one for the clients and one for each of "
            f"the {levels - 1} levels under the root, but {len(mix)} were given."
        )
    by_level = Partial(_mixed_by_level, parent_place(hierarchy), list(mix))
    if levels * slots > FEW_PLACES:
        return by_level
    # Mixing is linear: what of whose mean ends where is found once, on numbers, not on models.
    product = partial(jnp.einsum, "pq,q...->p...", precision=lax.Precision.HIGHEST)
    return Partial(product, by_level(jnp.eye(levels * slots)))


def _mixed_by_level(
    parents: Int[Array, " L G"], mix: list, bank: Float[Array, " L*G ..."]
) -> Float[Array, " L*G ..."]:
    levels, slots = parents.shape
    for level in range(levels - 2, -1, -1):
        rows = slice(level * slots, (level + 1) * slots)
        mixed = soft_update(bank[rows], bank[parents[level]], mix[level + 1])
        bank = bank.at[rows].set(mixed)
    return bank


def from_own(client: Params, group: Params, hierarchy: Hierarchy) -> Params:
    """Where training starts: each client's own model, as published."""
    return client


def from_parent(client: Params, group: Params, hierarchy: Hierarchy) -> Params:
    """Where training starts: the model of the lowest group that holds the client."""
    lowest = lowest_place(hierarchy)
    return jax.tree.map(lambda leaf: leaf[lowest], places_bank(group))


def from_root(client: Params, group: Params, hierarchy: Hierarchy) -> Params:
    """Where training starts: the global model."""
    return jax.tree.map(lambda own, bank: jnp.broadcast_to(bank[-1, 0], own.shape), client, group)


def per_level(whose: str, name: str, given: Any, levels: int) -> list:
    """One value for each level; a single one is for all.

    Raises:
        ValueError: One sentence, if there are not as many as levels.
    """
    if not isinstance(given, list | tuple) and jnp.ndim(given) == 0:
        return [given] * levels
    if len(given) != levels:
        raise ValueError(
            f"{whose} needs {name} as one value or as {levels}, but {len(given)} were given."
        )
    return list(given)


def only(chosen: Params, new: Params, old: Params) -> Params:
    """New leaves where ``chosen``, a pytree of plain truth values, says so; else the old ones."""
    return jax.tree.map(lambda c, n, o: n if c else o, chosen, new, old)


def places_bank(group: Params) -> Params:
    """All group models in one flat bank, leaves ``[L · G, ...]``, indexed by place."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), group)
