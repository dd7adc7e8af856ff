"""Mean models of groups: bottom-up averaging."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from demjax.base import NO_GROUP, Hierarchy, Params
from demjax.hierarchy.groups import membership, root_only
from demjax.pytrees import as_pytree


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
    """Mean model of all clients, ``Σ_n v_n w_n / Σ_n v_n``: the root's mean, a plain pytree."""
    count = jax.tree.leaves(params)[0].shape[0]
    means = group_means(params, root_only(count, 0, 1), weight)
    return jax.tree.map(lambda leaf: leaf[0, 0], as_pytree(means))
