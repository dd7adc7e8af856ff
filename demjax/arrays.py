"""A user's arrays, as any program wrote them, in the 32 bits that JAX computes with, none cut.

Left to itself, JAX wraps whole numbers of 64 bits, makes numbers above 3.4e38 infinite, and refuses
big-endian ones with an error of its own.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

BYTES = 4
"""Of a number as JAX computes with it."""


def in_32_bits(values: Any, what: str) -> Num[np.ndarray, " T *shape"]:
    """A row for each example, numbers of at most 32 bits, in native byte order, each finite.

    Args:
        values: Truth values, whole or real numbers of any width and byte order, in an array or in
            lists.
        what: What they are, for the sentence: ``"Inputs"``.

    Returns:
        Whole numbers as they are where 32 bits hold all of them; all else, but for real numbers
        of 16 bits, in ``float32``.

    Raises:
        ValueError: One sentence: they are no numbers, or one is not finite in single precision.
    """
    given = real_numbers(values, what)
    if given.dtype.kind in "iu":
        least, most = given.min(initial=0), given.max(initial=0)
        for kind in (given.dtype, np.dtype(np.int32), np.dtype(np.uint32)):
            if kind.itemsize <= BYTES and np.iinfo(kind).min <= least <= most <= np.iinfo(kind).max:
                return given.astype(kind, copy=False)
    short = given.dtype.kind != "b" and given.dtype.itemsize < BYTES
    single = given if short else to_float32(given)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.sum(single, dtype=np.float32)  # not finite where one is not: read once
    if not np.isfinite(total) and not (finite := np.isfinite(single)).all():
        where = tuple(np.argwhere(~finite)[0])
        raise ValueError(
            f"{what} must be finite in single precision, but that of example {where[0]} holds "
            f"{given[where]}."
        )
    return single


def on_device(values: Any, what: str) -> jax.Array:
    """Numbers as JAX's array of the width that JAX computes with, where it holds all of them.

    Args:
        values: Truth values, whole or real numbers, in an array or in lists; JAX's own arrays have
            been made before.
        what: What they are, for the sentence.

    Raises:
        ValueError: One sentence: they are no numbers, or one would be cut.
    """
    if any(isinstance(part, jax.Array) for part in jax.tree.leaves(values)):
        return jnp.asarray(values)
    given = real_numbers(values, what)
    with np.errstate(over="ignore"):
        held = given.astype(jax.dtypes.canonicalize_dtype(given.dtype), copy=False)
    cut = held != given if given.dtype.kind in "iu" else np.isfinite(given) & ~np.isfinite(held)
    if cut.any():
        raise ValueError(
            f"{what} must be numbers that {held.dtype} holds, but {given[cut][0]} was given."
        )
    return jnp.asarray(held)


def real_numbers(values: Any, what: str) -> Num[np.ndarray, " *shape"]:
    """Truth values, whole or real numbers as an array in native byte order.

    Raises:
        ValueError: One sentence, if they are anything else, or masked.
    """
    try:
        given = np.asarray(values)
    except ValueError:  # lists of different lengths
        raise ValueError(f"{what} must be numbers in rows of one length, not of several.") from None
    if given.dtype != bool and not any(
        jnp.issubdtype(given.dtype, kind) for kind in (np.integer, jnp.floating)
    ):
        raise ValueError(
            f"{what} must be whole or real numbers, not of type {given.dtype}; possible is "
            "astype('float32') where they are."
        )
    if np.ma.is_masked(values):
        raise ValueError(f"{what} must all be there, but some of them are masked.")
    return given.astype(given.dtype.newbyteorder("="), copy=False)


def to_float32(values: Num[np.ndarray, " *shape"]) -> Float[np.ndarray, " *shape"]:
    """Single precision, infinite where that is exceeded."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)
