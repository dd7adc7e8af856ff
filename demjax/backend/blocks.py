"""Going through stacked models and square matrices a part at a time, in bounded memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from demjax.backend.sharding import over_columns
from demjax.base import Params

CHUNK, NARROWEST, WIDEST = 2**20, 256, 8192
"""How many numbers of all clients are read at a time, and how few and many columns that is."""
SMALL = 1024
"""Leaves of fewer parameters are put together, for each one makes the program longer."""
STRIPS, LOWEST = 64, 64
"""In how many parts a square matrix is gone through, and how few rows a part has."""


def rows_of_a_part(count: int, parts: int) -> int:
    """How many rows each of so many parts of a matrix has."""
    return min(count, max(LOWEST, -(-count // parts)))


def fold(size: int, width: int, step: Callable, state: Any) -> Any:
    """Fold ``step(state, start, new)`` over windows of one width; the last overlaps another."""

    def window(k, state):
        start = jnp.minimum(k * width, size - width)
        return step(state, start, start + jnp.arange(width) >= k * width)

    return lax.fori_loop(0, -(-size // width), window, state)


def fold_chunks(params: Params, step: Callable, state: Any, shared: Any = None) -> Any:
    """Fold ``step(shared, state, chunk[N, C], new[C])`` over all parameters, some columns a time.

    Steps add to the state, for several devices go through columns of their own.
    """
    flats = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(params)]
    if not any(flat.shape[1] for flat in flats):
        raise ValueError("Distances need models with parameters, but these have none.")
    small = [flat.astype(jnp.float32) for flat in flats if flat.shape[1] < SMALL]
    flats = [flat for flat in flats if flat.shape[1] >= SMALL]
    flats = [*flats, jnp.concatenate(small, axis=1)] if small else flats
    count = flats[0].shape[0]

    def add_up(flats, shared, state, columns, devices):
        for flat in flats:
            size = flat.shape[1]
            width = max(1, min(size // devices, max(NARROWEST, min(CHUNK // count, WIDEST))))
            missing = max(0, devices - size)  # some devices then get a column that does not count
            flat = jnp.pad(flat, ((0, 0), (0, missing))) if missing else flat

            def chunk(state, start, new, flat=flat, width=width, missing=missing):
                if missing:
                    new = new & (jnp.arange(devices * width) < devices - missing)
                some = columns(flat, start, width).astype(jnp.float32)
                return step(shared, state, some, columns(new, 0, width))

            state = fold(flat.shape[1], devices * width, chunk, state)
        return state

    return over_columns(add_up, flats, shared, state)
