"""Mean models of groups: bottom-up averaging."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from demjax.backend import policy
from demjax.backend.blocks import fold
from demjax.backend.narrow import NARROW, widened
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
        One model for each group, leaves ``[L, G, ...]``; empty slots hold 0. They are not rounded,
        where those of clients are stored in 16 bits.

    Source: Nguyen et al., arXiv 2007.03278, equation 2 (means); the behaviour of the authors'
    published experiment (amplification).
    """
    share = mean_shares(hierarchy, weight, amplification)
    mean = partial(jnp.einsum, "lgn,n...->lg...", share, precision=lax.Precision.HIGHEST)

    def of_array(leaf):
        return _in_columns(mean, leaf) if leaf.dtype == NARROW else mean(leaf)

    return jax.tree.map(of_array, params)


def _in_columns(mean: Callable, leaf: Float[Array, " N ..."]) -> Float[Array, " L G ..."]:
    """Means of numbers stored in 16 bits, some columns at a time, so that few are widened."""
    flat = leaf.reshape(leaf.shape[0], -1)
    columns = flat.shape[1]
    width = min(columns, policy.parameters_averaged_at_once(leaf.shape[0]))

    def some(found, start, _):
        means = mean(widened(lax.dynamic_slice_in_dim(flat, start, width, axis=1)))
        return lax.dynamic_update_slice_in_dim(found, means, start, axis=2)

    shape = jax.eval_shape(lambda leaf: mean(widened(leaf)), leaf).shape
    nothing = jnp.zeros((*shape[:2], columns), jnp.float32)
    return fold(columns, width, some, nothing).reshape(shape) if columns else mean(widened(leaf))


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
