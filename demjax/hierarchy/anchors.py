"""What a client takes from its groups before it trains: where it starts, and its anchors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.base import NO_GROUP, Hierarchy, Params
from demjax.hierarchy import flat_groups, flat_index, lowest_group
from demjax.pytrees import interpolate


class Guidance(NamedTuple):
    """Where training starts, and which groups' models are anchors, how strongly.

    Attributes:
        begin: One model for each client, leaves ``[N, ...]``.
        which: Anchors of each client, as flat indices of groups.
        weight: Strength towards each, 0 or more.
    """

    begin: Params
    which: Int[Array, " N J"]
    weight: Float[Array, " N J"]


def guide(
    client: Params,
    group: Params,
    hierarchy: Hierarchy,
    number: Int[Array, ""],
    *,
    prox: Float[Array, ""] | float,
    beta: Callable[[Int[Array, ""]], Float[Array, ""] | float] | None,
    start: Any,
) -> Guidance:
    """What clients take in a round from the groups that hold them.

    Without ``beta`` the lowest group that holds a client is its anchor, ``μ (w − w_parent)``. With
    it all of them are, of ``N^(k)`` clients with the strength ``μ / N^(k)``, and training starts
    from ``(1 − β) w_n + β w̄_n``, where ``w̄`` is ``ancestors_mean``. In round 0, before there are
    groups, there is no anchor and nothing is taken on.

    Args:
        client: One model for each client, leaves ``[N, ...]``.
        group: One model for each group, leaves ``[L, G, ...]``.
        hierarchy: Who is in which group.
        number: The round, from 0.
        prox: ``μ``, 0 or more.
        beta: The schedule ``r → β_r``, from 0 to 1, or ``None``.
        start: What training starts from without it, such as ``hierarchy.from_own``.

    Source: Nguyen et al., arXiv 2007.03278, equation 3; arXiv 2003.09301, equation 2.
    """
    strength = jnp.where(number > 0, prox, 0.0)
    if beta is None:
        which = lowest_group(hierarchy)[:, None]
        return Guidance(start(client, group, hierarchy), which, jnp.full(which.shape, strength))
    share = jnp.where(number > 0, beta(number), 0.0)
    which, weight = ancestors(hierarchy)
    begin = interpolate(client, ancestors_mean(group, hierarchy), share)
    return Guidance(begin, which, strength * weight)


def ancestors(hierarchy: Hierarchy) -> tuple[Int[Array, " N L"], Float[Array, " N L"]]:
    """Flat indices of all groups that hold each client, and one over each group's size.

    Where a client has no group on a level, the index is 0 and the weight 0.
    """
    which = flat_index(hierarchy).T
    size = hierarchy.size.reshape(-1)[jnp.maximum(which, 0)]
    weight = jnp.where(which == NO_GROUP, 0.0, 1.0 / jnp.maximum(size, 1))
    return jnp.maximum(which, 0), weight


def ancestors_mean(group: Params, hierarchy: Hierarchy) -> Params:
    """For each client the mean of its groups' models, each weighted by one over its size.

    ``(Σ_k w^(k)/N^(k)) / (Σ_k 1/N^(k))`` over the groups that hold the client, of ``N^(k)``
    clients.

    Args:
        group: One model for each group, leaves ``[L, G, ...]``.
        hierarchy: Who is in which group.

    Returns:
        One model for each client, leaves ``[N, ...]``.

    Source: Nguyen et al., arXiv 2003.09301, equation 2.
    """
    which, weight = ancestors(hierarchy)
    weight = weight / jnp.sum(weight, axis=1, keepdims=True)
    groups = flat_groups(group)
    share = jnp.sum(weight[:, :, None] * jax.nn.one_hot(which, hierarchy.size.size), axis=1)
    return jax.tree.map(
        lambda leaf: jnp.tensordot(share, leaf, axes=1, precision=lax.Precision.HIGHEST), groups
    )
