"""Going through stacked models and square matrices a part at a time, in bounded memory."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

STRIPS, LOWEST = 64, 64
"""In how many parts a square matrix is gone through, and how few rows a part has."""


def rows_of_a_part(count: int, parts: int) -> int:
    """How many rows each of so many parts of a matrix has."""
    return min(count, max(LOWEST, -(-count // parts)))


def fold(size: int, width: int, step: Callable, state: Any, *, backwards: bool = False) -> Any:
    """Fold ``step(state, start, new)`` over windows of one width; the last overlaps another."""

    def window(k, state):
        k = -(-size // width) - 1 - k if backwards else k
        start = jnp.minimum(k * width, size - width)
        return step(state, start, start + jnp.arange(width) >= k * width)

    return lax.fori_loop(0, -(-size // width), window, state)
