"""How far models are from a few others."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from demjax.backend.narrow import widened
from demjax.base import Params


def squares_to(models: Params, others: Params) -> Float[Array, " N A"]:
    """Squared Euclidean distances of models to others, ``‖w_n − v_a‖²``, of differences themselves.

    So they keep their digits where models lie near the others. All models are read once for each.

    Args:
        models: Stacked models, leaves ``[N, ...]``.
        others: Stacked models of the same form, leaves ``[A, ...]``.
    """
    mine = jax.tree.leaves(models)

    def to_one(other):
        def squares(leaf, row):
            far = widened(leaf) - widened(row)
            return jnp.sum(jnp.square(far).reshape(far.shape[0], -1), axis=1)

        return sum(map(squares, mine, other), start=jnp.float32(0))

    return lax.map(to_one, jax.tree.leaves(others)).T


def lengths(models: Params) -> Float[Array, " N"]:
    """The Euclidean length of each of the stacked models, ``‖w_n‖``."""
    nothing = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[:1]), models)
    return jnp.sqrt(squares_to(models, nothing)[:, 0])
