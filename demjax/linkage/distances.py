"""How far clients are from one another: distances between stacked models."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from demjax.base import Params

Metric = Callable[[Params], Float[Array, " N N"]]


def _squared(gram: Float[Array, " N N"]) -> Float[Array, " N N"]:
    """Squared distances from products of centred vectors; exactly symmetric, zero diagonal."""
    norms = jnp.diagonal(gram)
    squared = jnp.maximum(norms[:, None] + norms[None, :] - (gram + gram.T), 0.0)
    return squared * (1.0 - jnp.eye(gram.shape[0]))


def _centred_gram(params: Params, scale: Float[Array, " N"] | float = 1.0) -> Float[Array, " N N"]:
    """Products of all pairs of clients, the clients' mean subtracted first.

    Without the subtraction the products of models that are close together cancel, and with a
    GPU's default precision nothing would be left of their distance.
    """
    gram = jnp.zeros(())
    for leaf in jax.tree.leaves(params):
        flat = leaf.reshape(leaf.shape[0], -1).astype(jnp.float32)
        flat = flat * jnp.reshape(scale, (-1, 1))
        flat = flat - jnp.mean(flat, axis=0)
        gram = gram + jnp.matmul(flat, flat.T, precision=lax.Precision.HIGHEST)
    return gram


def euclidean(params: Params) -> Float[Array, " N N"]:
    """Euclidean distance of every pair of clients over all parameters.

    ``d_mn = ‖w_m − w_n‖``. Squared distances are exact to a few 1e-6 of the *largest* one, so
    that distances within groups a thousand times tighter than the groups are apart are lost.

    Args:
        params: One model for each client, leaves ``[N, ...]``.

    Returns:
        Distances: symmetric, 0 on the diagonal.
    """
    return jnp.sqrt(_squared(_centred_gram(params)))


def cosine(params: Params) -> Float[Array, " N N"]:
    """Cosine distance of every pair of clients over all parameters.

    ``d_mn = 1 − ⟨w_m, w_n⟩ / (‖w_m‖ ‖w_n‖) = ½ ‖w_m/‖w_m‖ − w_n/‖w_n‖‖²``, computed in the
    second form, which does not cancel when models point almost the same way.

    Args:
        params: One model for each client, leaves ``[N, ...]``; a model of zeros has
            distance ½ to all others and 0 to another of zeros.

    Returns:
        Distances from 0 to 2: symmetric, 0 on the diagonal.
    """
    leaves = jax.tree.leaves(params)
    squares = sum(jnp.sum(leaf.reshape(leaf.shape[0], -1) ** 2, axis=1) for leaf in leaves)
    scale = jnp.where(squares > 0, lax.rsqrt(jnp.maximum(squares, 1e-38)), 0.0)
    return _squared(_centred_gram(params, scale)) / 2
