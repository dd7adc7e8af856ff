"""How far models are from a few others."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from demjax.backend import policy
from demjax.backend.narrow import widened
from demjax.backend.sharding import over_clients
from demjax.base import Params


def squares_to(models: Params, others: Params) -> Float[Array, " N A"]:
    """Squared Euclidean distances of models to others, ``‖w_n − v_a‖²``, of differences themselves.

    So they keep their digits where models lie near the others. All models are read once for each
    of these; on a CPU one after another, each compared with all of these while caches hold it.

    Args:
        models: Stacked models, leaves ``[N, ...]``.
        others: Stacked models of the same form, leaves ``[A, ...]``.
    """
    mine, few = jax.tree.leaves(models), jax.tree.leaves(others)
    if policy.compares_one_by_one():
        return over_clients(lambda few, mine: lax.map(partial(_squares, few), mine), few, mine)
    return lax.map(partial(_squares, mine), few).T


def _squares(many: list[jax.Array], one: list[jax.Array]) -> Float[Array, " R"]:
    """Squared distances of stacked leaves ``[R, ...]`` to those of one model."""

    def of_leaf(leaf, other):
        far = widened(leaf) - widened(other)
        return jnp.sum(jnp.square(far).reshape(far.shape[0], -1), axis=1)

    return sum(map(of_leaf, many, one), start=jnp.float32(0))


def lengths(models: Params) -> Float[Array, " N"]:
    """The Euclidean length of each of the stacked models, ``‖w_n‖``."""
    mine = jax.tree.leaves(models)
    return jnp.sqrt(_squares(mine, [jnp.zeros_like(leaf[0]) for leaf in mine]))
