"""Rows of stacked arrays: read and written as suits the device."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int

from demjax.backend import policy
from demjax.backend.narrow import readable, writable
from demjax.base import Params


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


def put_rows(stacked: Params, rows: Int[Array, " R"] | Int[Array, ""], new: Params) -> Params:
    """Stacked arrays with new rows ``[R, ...]`` in some places; past the last row is nobody."""

    def put(old, some):
        written = writable(old).at[rows].set(writable(some), mode="drop")
        return readable(written, old.dtype)

    return jax.tree.map(put, stacked, new)


def rows_where(yes: Bool[Array, " N"], new: jax.Array, old: jax.Array) -> jax.Array:
    """An array ``[N, ...]`` with new rows where it says so, and the old ones elsewhere."""
    return jnp.where(yes.reshape(-1, *[1] * (new.ndim - 1)), new, old)
