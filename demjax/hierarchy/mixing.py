"""Top-down mixing: every model takes on some of its parent's; where training starts."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from demjax.backend.narrow import stored_as, widened
from demjax.base import Hierarchy, Params
from demjax.hierarchy.groups import flat_groups, lowest_group, parent_group
from demjax.pytrees import interpolate
from demjax.registry import STARTS

Start = Callable[[Params, Params, Hierarchy], Params]
"""``(client, group, hierarchy) -> client``: where training starts."""

Weighting = Literal["clients", "examples"]
"""What counts in a group's mean."""

FEW_GROUPS = 128
"""Groups on all levels up to which they are mixed by one product: it takes their square."""


def mix_down(
    client: Params,
    group: Params,
    hierarchy: Hierarchy,
    mix: Sequence[Float[Array, ""] | float],
) -> tuple[Params, Params]:
    """Let every model take on some of its parent's, from the root down.

    ``w_child ← (1 − α) w_child + α w_parent``, the parent already mixed: groups, level by
    level, and at last the clients, whose parent is the lowest group that holds them. Of up to
    128 group slots one group model that is not finite makes all mixed models so.

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
    down, lowest = mixing(hierarchy, mix), lowest_group(hierarchy)
    flat = jax.tree.map(lambda leaf: down(widened(leaf)), flat_groups(group))
    mixed = jax.tree.map(lambda own, flat: interpolate(own, flat[lowest], mix[0]), client, flat)
    flat = jax.tree.map(lambda flat, old: stored_as(old, flat), flat, group)
    return mixed, jax.tree.map(lambda flat, old: flat.reshape(old.shape), flat, group)


def mixing(hierarchy: Hierarchy, mix: Sequence[Float[Array, ""] | float]) -> Partial:
    """How groups mix, ``(flat [L · G, ...]) -> flat``; arguments and errors as in ``mix_down``.

    It is a pytree too, so that devices can be given it.
    """
    levels, slots = hierarchy.size.shape
    if len(mix) != levels:
        raise ValueError(
            f"Mixing needs {levels} mixing factors, one for the clients and one for each of "
            f"the {levels - 1} levels under the root, but {len(mix)} were given."
        )
    by_level = Partial(_mixed_by_level, parent_group(hierarchy), list(mix))
    if levels * slots > FEW_GROUPS:
        return by_level
    # Mixing is linear: what of whose mean ends where is found once, on numbers, not on models.
    product = partial(jnp.einsum, "pq,q...->p...", precision=lax.Precision.HIGHEST)
    return Partial(product, by_level(jnp.eye(levels * slots)))


def _mixed_by_level(
    parents: Int[Array, " L G"], mix: list, flat: Float[Array, " L*G ..."]
) -> Float[Array, " L*G ..."]:
    levels, slots = parents.shape
    for level in range(levels - 2, -1, -1):
        rows = slice(level * slots, (level + 1) * slots)
        mixed = interpolate(flat[rows], flat[parents[level]], mix[level + 1])
        flat = flat.at[rows].set(mixed)
    return flat


@STARTS.register("own", itself=True)
def from_own(client: Params, group: Params, hierarchy: Hierarchy) -> Params:
    """Where training starts: each client's own model, as published."""
    return client


@STARTS.register("parent", itself=True)
def from_parent(client: Params, group: Params, hierarchy: Hierarchy) -> Params:
    """Where training starts: the model of the lowest group that holds the client."""
    lowest = lowest_group(hierarchy)
    return jax.tree.map(lambda leaf: leaf[lowest], flat_groups(group))


@STARTS.register("root", itself=True)
def from_root(client: Params, group: Params, hierarchy: Hierarchy) -> Params:
    """Where training starts: the global model."""
    return jax.tree.map(lambda own, flat: jnp.broadcast_to(flat[-1, 0], own.shape), client, group)


def by_examples(
    whose: str, weighting: Weighting | tuple[Weighting, ...], levels: int
) -> Bool[np.ndarray, " L 1"]:
    """On which levels examples count in means, the lowest first; errors as of ``per_level``."""
    words = per_level(whose, "weighting", weighting, levels)
    return np.array([[word == "examples"] for word in words])


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
