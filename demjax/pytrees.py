"""Stacked models: many models of one form as a type of their own, and what is done with them.

Algorithms hold ``StackedModels`` and use what stands here; how their numbers lie in memory is
nobody else's business. The functions also take plain pytrees of arrays ``[N, ...]``, and give back
what they were given. Kernels that only touch leading axes may go on using ``jax.tree``; what adds
and multiplies stands here, for arrays may be stored in 16 bits and are computed with in 32.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.backend import policy
from demjax.backend.flat_store import Flat, Leaves, beside_parameters, form_of
from demjax.backend.narrow import NARROW, stored_as, widened
from demjax.backend.rows import put_rows as put_rows
from demjax.backend.rows import rows_where as rows_where
from demjax.backend.rows import take_rows as take_rows
from demjax.base import Params


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StackedModels:
    """Many models of one form: of all clients ``[N]``, or of groups ``[L, G]``.

    It is a pytree node whose arrays have the models' axes in front, so that ``jit``, ``vmap``,
    donation, sharding and row indexing by ``jax.tree.map`` work on it.
    """

    _stacked: Any  # the pytree of leaves; of a flat store, its arrays
    _form: Flat | Leaves | None = field(default=None, metadata={"static": True})

    @staticmethod
    def from_pytree(stacked: Params, axes: int = 1, *, exact: bool = False) -> "StackedModels":
        """The models of a plain pytree of leaves ``[N, ...]``, or with more axes before a model's.

        On a CPU they stay leaves. Elsewhere they become one array ``[N, P]``, on columns of which
        all between clients is done, whatever form a model has, in the memory of a few. They are
        rounded where ``policy.storing_models`` says so, unless they are to be exact.
        """
        leaves, structure = jax.tree.flatten(stacked)
        dtype, flat = policy.store_dtype(), policy.stores_flat()
        narrow = np.dtype(dtype) == NARROW
        if not leaves or not (flat or narrow):
            return StackedModels(stacked)
        kept = jax.tree.leaves(beside_parameters(stacked)) if narrow else ()
        kind = Flat if flat else Leaves
        form = form_of(leaves, structure, axes, kept=kept, kind=kind)
        return StackedModels(form.flatten(leaves, axes, jnp.float32 if exact else dtype), form)

    def as_pytree(self) -> Params:
        """A plain pytree of leaves ``[N, ...]``; under ``vmap`` over models, that of one model."""
        return self._stacked if self._form is None else self._form.unflatten(self._stacked)

    def holding(self, stacked: Params, *, exact: bool = False) -> "StackedModels":
        """Other models of this form from a plain pytree, in as many bits as these or exactly."""
        if self._form is None:
            return StackedModels(stacked)
        leaves = self._form.structure.flatten_up_to(stacked)
        axes = jnp.ndim(leaves[0]) - len(self._form.shapes[0])
        dtype = jnp.float32 if exact else self._form.dtype(self._stacked)
        return StackedModels(self._form.flatten(leaves, axes, dtype), self._form)

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
        return put_rows(self, rows, new)

    def said_of(self, of_leaves: Params) -> "StackedModels":
        """For each array that is stored what plain truth values say of the leaves in it.

        That is one truth value where they say the same of all of it, else one for each column.
        """
        said = jax.tree.leaves(of_leaves)
        if not isinstance(self._form, Flat):
            return jax.tree.unflatten(jax.tree.structure(self), said)
        return StackedModels(self._form.said_of(said), self._form)

    def leaf_columns(self) -> Iterator[tuple[Array, int, int]]:
        """For each leaf an array ``[N, C]``, its first column there, and how many it has."""
        if not isinstance(self._form, Flat):
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
        if isinstance(self._form, Flat):
            used[0] = self._form.used()
        return list(zip(arrays, used, strict=True))


def as_pytree(models: Any) -> Any:
    """A plain pytree of stacked models; everything else as it is."""
    return models.as_pytree() if isinstance(models, StackedModels) else models


def like(given: Any, stacked: Params, *, exact: bool = False) -> Any:
    """A plain pytree of leaves ``[N, ...]`` as the kind of thing that was given."""
    return given.holding(stacked, exact=exact) if isinstance(given, StackedModels) else stacked


def exactly(models: Params) -> Params:
    """Stacked models in single precision, for whoever adds and multiplies their arrays."""
    return jax.tree.map(widened, models) if isinstance(models, StackedModels) else models


def each_array(function: Any, given: Any, *others: Any) -> Any:
    """``function`` of each array of models, of the kind that was given first.

    Where all are stored alike, that is of each array of the store, and nothing is moved.
    """
    forms = {jax.tree.structure(each) for each in (given, *others)}
    if len(forms) == 1:
        return jax.tree.map(function, given, *others)
    plain = [as_pytree(each) for each in (given, *others)]
    return like(given, jax.tree.map(function, *plain))


def stack_copies(model: Params, *count: int, exact: bool = False) -> StackedModels:
    """Stack copies of one model, ``count`` of them on each of the models' axes.

    Where stacked models are stored in 16 bits, each copy is rounded for itself, so that their mean
    is about the model; unless they are to be exact.
    """
    one = StackedModels.from_pytree(model, axes=0, exact=True)
    copies = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*count, *jnp.shape(leaf))), one)
    if exact or one._form is None:
        return copies
    rounded = one._form.rounded(copies._stacked, policy.store_dtype(), len(count))
    return StackedModels(rounded, one._form)


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
    """Bytes of one of the stacked models as it is computed with, and as it travels."""
    return _bytes(one_of(models))


def stored_bytes(models: Params) -> int:
    """Bytes of one of the stacked models as it is stored; shapes alone will do, as above."""
    parts = jax.eval_shape(lambda m: [x[0, :size] for x, _, size in leaf_columns(m)], models)
    return _bytes(parts)


def _bytes(shapes: Params) -> int:
    return sum(leaf.size * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(shapes))


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

    stacked = isinstance(new, StackedModels) and isinstance(old, StackedModels)
    if stacked and len({jax.tree.structure(each) for each in (new, old)}) == 1:
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
    return each_array(
        lambda o, n: stored_as(o, (1 - rate) * widened(o) + rate * widened(n)), old, new
    )


def difference(one: Params, other: Params) -> Params:
    """``one − other``, of stacked models or of single ones."""
    return each_array(lambda x, y: stored_as(x, widened(x) - widened(y)), one, other)


def combine(models: Params, shares: Float[Array, " A N"]) -> Params:
    """Linear combinations of stacked models, ``w_a = Σ_n shares[a, n] w_n``, in full precision.

    Args:
        models: Models of ``N`` rows.
        shares: What of each goes into each combination; further axes in front are possible.

    Returns:
        Models of ``A`` rows, or of the axes of ``shares`` but the last.
    """
    product = partial(jnp.tensordot, shares, axes=1, precision=lax.Precision.HIGHEST)
    return jax.tree.map(lambda leaf: stored_as(leaf, product(widened(leaf))), models)
