"""Squared distances between models some of which are very far away."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from demjax.base import Params

FAR = 1e30
"""What a squared distance is at most, so that sums of them are finite."""


def squared_distances(models: Params, there: Bool[Array, " N"]) -> Float[Array, " N N"]:
    """``‖w_i − w_j‖²``, by products of models around one of them.

    A product of models that are far from 0 leaves no digit of the distances of those near one
    another. So they are taken twice: around their mean, which a few can carry away, and then around
    the model whose median distance is the least, which is among most of them.

    Args:
        models: Finite models of ``N`` rows.
        there: Those of whom the mean is taken; distances of all others mean nothing.
    """
    arrays = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(models)]
    share = there / jnp.maximum(jnp.sum(there), 1)
    highest = lax.Precision.HIGHEST

    def around(centres):
        product = jnp.zeros((there.shape[0], there.shape[0]))
        for array, centre in zip(arrays, centres, strict=True):
            away = jnp.where(there[:, None], array - centre, 0)
            product = product + jnp.matmul(away, away.T, precision=highest)
        square = jnp.diagonal(product)
        apart = jnp.maximum(square[:, None] + square[None, :] - 2 * product, 0)
        return jnp.where(jnp.isfinite(apart) & (apart < FAR), apart, FAR)

    rough = around([jnp.matmul(share, array, precision=highest) for array in arrays])
    others = jnp.where(there[None, :], rough, jnp.nan)
    from_most = jnp.where(there, jnp.nanmedian(others, axis=1), jnp.inf)
    inmost = jnp.argmin(jnp.where(jnp.isnan(from_most), jnp.inf, from_most))
    apart = around([array[inmost] for array in arrays])
    return jnp.where(jnp.eye(there.shape[0], dtype=bool), 0.0, apart)
