"""Stacked models: pytrees of arrays whose leading axis is clients or groups."""

import jax
from jaxtyping import Array, Bool

from demjax.base import Params


def stack_copies(params: Params, count: int) -> Params:
    """Stack ``count`` copies of one model: leaves ``[...]`` become ``[count, ...]``."""
    return jax.tree.map(lambda leaf: jax.numpy.broadcast_to(leaf, (count, *leaf.shape)), params)


def finite_clients(params: Params) -> Bool[Array, " N"]:
    """Which of the stacked models hold finite numbers only."""
    leaves = [
        jax.numpy.isfinite(leaf).reshape(leaf.shape[0], -1).all(axis=1)
        for leaf in jax.tree.leaves(params)
    ]
    return jax.numpy.stack(leaves).all(axis=0)


def select(chosen: Params, new: Params, old: Params) -> Params:
    """New leaves where ``chosen``, a pytree of plain truth values, says so; else the old ones."""
    return jax.tree.map(lambda c, n, o: n if c else o, chosen, new, old)
