"""Stacked models: many models of one form as a type of their own, and what is done with them.

Algorithms hold ``StackedModels`` and use what stands here; how their numbers lie in memory is
nobody else's business. The functions also take plain pytrees of arrays ``[N, ...]``, and give back
what they were given. Kernels that only touch leading axes may go on using ``jax.tree``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.backend import policy
from demjax.backend.flat_store import Flat, form_of
from demjax.base import Params


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StackedModels:
    """Many models of one form: of all clients ``[N]``, or of groups ``[L, G]``.

    It is a pytree node whose arrays have the models' axes in front, so that ``jit``, ``vmap``,
    donation, sharding and row indexing by ``jax.tree.map`` work on it.
    """

    _stacked: Any  # the pytree of leaves; with a form, the arrays of a flat store
    _form: Flat | None = field(default=None, metadata={"static": True})

    @staticmethod
    def from_pytree(stacked: Params, axes: int = 1) -> "StackedModels":
        """The models of a plain pytree of leaves ``[N, ...]``, or with more axes before a model's.

        On a CPU they stay leaves. Elsewhere they become one array ``[N, P]``: what happens between
        clients is then done on columns of it, in the memory of a few, whatever form a model has.
        """
        leaves, structure = jax.tree.flatten(stacked)
        if not policy.stores_flat() or not leaves:
            return StackedModels(stacked)
        form = form_of(leaves, structure, axes)
        return StackedModels(form.flatten(leaves, axes), form)

    def as_pytree(self) -> Params:
        """A plain pytree of leaves ``[N, ...]``; under ``vmap`` over models, that of one model."""
        return self._stacked if self._form is None else self._form.unflatten(self._stacked)

    def holding(self, stacked: Params) -> "StackedModels":
        """Other models of the same form, stored as these are, from a plain pytree of leaves."""
        if self._form is None:
            return StackedModels(stacked)
        leaves = self._form.structure.flatten_up_to(stacked)
        axes = jnp.ndim(leaves[0]) - len(self._form.shapes[0])
        return StackedModels(self._form.flatten(leaves, axes), self._form)

    @property
    def count(self) -> int:
        """How many models there are, on the first of their axes."""
        return jax.tree.leaves(self._stacked)[0].shape[0]

    def model(self, *row: Any) -> Params:
        """One model as a plain pytree of leaves ``[...]``: that of an index on each axis."""
        return as_pytree(jax.tree.map(lambda leaf: leaf[row], self))

    def gather(self, rows: Int[Array, " R"]) -> "StackedModels":
        """The models of some rows, as many as rows; past the last row is the last."""
        return take_rows(self, rows)

    def scatter(self, rows: Int[Array, " R"], new: "StackedModels") -> "StackedModels":
        """The models with new ones in some rows, all different; past the last row is nobody."""
        return jax.tree.map(lambda old, some: old.at[rows].set(some, mode="drop"), self, new)

    def said_of(self, of_leaves: Params) -> "StackedModels":
        """For each array that is stored what plain truth values say of the leaves in it.

        That is one truth value where they say the same of all of it, else one for each column.
        """
        said = jax.tree.leaves(of_leaves)
        if self._form is None:
            return jax.tree.unflatten(jax.tree.structure(self), said)
        return StackedModels(self._form.said_of(said), self._form)

    def leaf_columns(self) -> Iterator[tuple[Array, int, int]]:
        """For each leaf an array ``[N, C]``, its first column there, and how many it has."""
        if self._form is None:
            leaves = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(self)]
            return ((leaf, 0, leaf.shape[1]) for leaf in leaves)
        row, *others = self._stacked
        own = iter(others)
        columns = self._form.columns()
        arrays = [row if start is not None else next(own) for _, start in columns]
        return (
            (array.reshape(array.shape[0], -1), start or 0, size)
            for array, (size, start) in zip(arrays, columns, strict=True)
        )

    def used_columns(self) -> list[tuple[Array, int]]:
        """Each array that is stored, as ``[N, C]``, and how many of its columns are parameters."""
        arrays = [array.reshape(array.shape[0], -1) for array in jax.tree.leaves(self)]
        used = [array.shape[1] for array in arrays]
        if self._form is not None:
            used[0] = self._form.used()
        return list(zip(arrays, used, strict=True))


def as_pytree(models: Any) -> Any:
    """A plain pytree of stacked models; everything else as it is."""
    return models.as_pytree() if isinstance(models, StackedModels) else models


def like(given: Any, stacked: Params) -> Any:
    """A plain pytree of leaves ``[N, ...]`` as the kind of thing that was given."""
    return given.holding(stacked) if isinstance(given, StackedModels) else stacked


def each_array(function: Any, given: Any, *others: Any) -> Any:
    """``function`` of each array of models, of the kind that was given first.

    Where all are stored alike, that is of each array of the store, and nothing is moved.
    """
    forms = {jax.tree.structure(each) for each in (given, *others)}
    if len(forms) == 1:
        return jax.tree.map(function, given, *others)
    plain = [as_pytree(each) for each in (given, *others)]
    return like(given, jax.tree.map(function, *plain))


def take_rows(stacked: Params, rows: Int[Array, " R"] | Int[Array, ""]) -> Params:
    """Some rows of stacked arrays, or a single one; past the last row is the last."""

    def one_after_another(leaf):
        def copy(place, found):
            row = lax.dynamic_slice_in_dim(leaf, rows[place], 1)
            return lax.dynamic_update_slice_in_dim(found, row, place, axis=0)

        nothing = jnp.zeros((rows.size, *leaf.shape[1:]), leaf.dtype)
        return lax.fori_loop(0, rows.size, copy, nothing)

    def some(leaf):
        wide = math.prod(leaf.shape[1:]) >= policy.widest_gathered_row()
        return one_after_another(leaf) if wide and rows.ndim else leaf.at[rows].get(mode="clip")

    return jax.tree.map(some, stacked)


def stack_copies(model: Params, *count: int) -> StackedModels:
    """Stack copies of one model, ``count`` of them on each of the models' axes."""
    one = StackedModels.from_pytree(model, axes=0)
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*count, *jnp.shape(leaf))), one)


def leaf_columns(models: Params) -> Iterator[tuple[Array, int, int]]:
    """For each leaf of stacked models an array ``[N, C]``, its first column there, and its size."""
    return _as_stacked(models).leaf_columns()


def used_columns(models: Params) -> list[tuple[Array, int]]:
    """Each array of stacked models, as ``[N, C]``, and how many of its columns are parameters."""
    return _as_stacked(models).used_columns()


def _as_stacked(models: Params) -> StackedModels:
    return models if isinstance(models, StackedModels) else StackedModels(models)


def one_of(models: Params) -> Params:
    """The shapes of one of the stacked models, as a plain pytree."""
    return jax.eval_shape(lambda all_: as_pytree(jax.tree.map(lambda x: x[0], all_)), models)


def model_bytes(models: Params) -> int:
    """Bytes of one of the stacked models, in the precision of its leaves; shapes alone will do."""
    leaves = jax.tree.leaves(one_of(models))
    return sum(leaf.size * np.dtype(leaf.dtype).itemsize for leaf in leaves)


def finite_clients(models: Params) -> Bool[Array, " N"]:
    """Which of the stacked models hold finite numbers only."""
    leaves = [
        jnp.isfinite(leaf).reshape(leaf.shape[0], -1).all(axis=1)
        for leaf in jax.tree.leaves(models)
    ]
    return jnp.stack(leaves).all(axis=0)


def select(chosen: Params, new: Params, old: Params) -> Params:
    """New leaves where ``chosen``, a pytree of plain truth values, says so; else the old ones."""

    def one(yes, new, old):
        return jnp.where(yes, new, old) if np.ndim(yes) else new if yes else old

    if isinstance(new, StackedModels) and isinstance(old, StackedModels):
        return jax.tree.map(one, new.said_of(as_pytree(chosen)), new, old)
    parts = as_pytree(chosen), as_pytree(new), as_pytree(old)
    return like(new, jax.tree.map(one, *parts))


def interpolate(old: Params, new: Params, rate: Float[Array, ""] | float) -> Params:
    """``(1 − rate) old + rate new``; with a rate of 1, the new ones.

    The old ones stay in the sum even then: what is not finite in them stays so.

    Args:
        old: Models, stacked or one.
        new: Models of the same form.
        rate: From 0 to 1.
    """
    return each_array(lambda o, n: (1 - rate) * o + rate * n, old, new)


def difference(one: Params, other: Params) -> Params:
    """``one − other``, of stacked models or of single ones."""
    return each_array(jnp.subtract, one, other)


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
