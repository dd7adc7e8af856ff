"""Stacked models: many models of one form as a type of their own, and what is done with them.

Algorithms hold ``StackedModels`` and use what stands here; how their numbers lie in memory is
nobody else's business. The functions also take plain pytrees of arrays ``[N, ...]``, and give back
what they were given. Kernels that only touch leading axes may go on using ``jax.tree``.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.base import Params


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StackedModels:
    """Many models of one form: of all clients ``[N]``, or of groups ``[L, G]``.

    It is a pytree node whose arrays have the models' axes in front, so that ``jit``, ``vmap``,
    donation, sharding and row indexing by ``jax.tree.map`` work on it.
    """

    _stacked: Params

    @staticmethod
    def from_pytree(stacked: Params) -> "StackedModels":
        """The models of a plain pytree of leaves ``[N, ...]``."""
        return StackedModels(stacked)

    def as_pytree(self) -> Params:
        """A plain pytree of leaves ``[N, ...]``; under ``vmap`` over models, that of one model."""
        return self._stacked

    @property
    def count(self) -> int:
        """How many models there are, on the first of their axes."""
        return jax.tree.leaves(self._stacked)[0].shape[0]

    def model(self, *row: Any) -> Params:
        """One model as a plain pytree of leaves ``[...]``: that of an index on each axis."""
        return jax.tree.map(lambda leaf: leaf[row], self._stacked)

    def gather(self, rows: Int[Array, " R"]) -> "StackedModels":
        """The models of some rows, as many as rows; past the last row is the last."""
        return jax.tree.map(lambda leaf: leaf.at[rows].get(mode="clip"), self)

    def scatter(self, rows: Int[Array, " R"], new: "StackedModels") -> "StackedModels":
        """The models with new ones in some rows, all different; past the last row is nobody."""
        return jax.tree.map(lambda old, some: old.at[rows].set(some, mode="drop"), self, new)


def as_pytree(models: Any) -> Any:
    """A plain pytree of stacked models; everything else as it is."""
    return models.as_pytree() if isinstance(models, StackedModels) else models


def like(given: Any, stacked: Params) -> Any:
    """A plain pytree of leaves ``[N, ...]`` as the kind of thing that was given."""
    return StackedModels.from_pytree(stacked) if isinstance(given, StackedModels) else stacked


def stack_copies(model: Params, *count: int) -> StackedModels:
    """Stack copies of one model, ``count`` of them on each of the models' axes."""
    return StackedModels.from_pytree(
        jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*count, *leaf.shape)), model)
    )


def finite_clients(models: Params) -> Bool[Array, " N"]:
    """Which of the stacked models hold finite numbers only."""
    leaves = [
        jnp.isfinite(leaf).reshape(leaf.shape[0], -1).all(axis=1)
        for leaf in jax.tree.leaves(models)
    ]
    return jnp.stack(leaves).all(axis=0)


def select(chosen: Params, new: Params, old: Params) -> Params:
    """New leaves where ``chosen``, a pytree of plain truth values, says so; else the old ones."""
    parts = as_pytree(chosen), as_pytree(new), as_pytree(old)
    return like(new, jax.tree.map(lambda c, n, o: n if c else o, *parts))


def interpolate(old: Params, new: Params, rate: Float[Array, ""] | float) -> Params:
    """``(1 − rate) old + rate new``; with a rate of 1, the new ones.

    The old ones stay in the sum even then: what is not finite in them stays so.

    Args:
        old: Models, stacked or one.
        new: Models of the same form.
        rate: From 0 to 1.
    """
    pair = as_pytree(old), as_pytree(new)
    return like(old, jax.tree.map(lambda o, n: (1 - rate) * o + rate * n, *pair))


def difference(one: Params, other: Params) -> Params:
    """``one − other``, of stacked models or of single ones."""
    return like(one, jax.tree.map(jnp.subtract, as_pytree(one), as_pytree(other)))


def combine(models: Params, shares: Float[Array, " A N"]) -> Params:
    """Linear combinations of stacked models, ``w_a = Σ_n shares[a, n] w_n``, in full precision.

    Args:
        models: Models of ``N`` rows.
        shares: What of each goes into each combination; further axes in front are possible.

    Returns:
        Models of ``A`` rows, or of the axes of ``shares`` but the last.
    """

    def product(leaf):
        return jnp.tensordot(shares, leaf, axes=1, precision=lax.Precision.HIGHEST)

    return jax.tree.map(product, models)
