"""Numbers that are stored in 16 bits and computed with in 32: widened when read, rounded once.

On a CPU, XLA converts a whole array of 16-bit floats to 32 bits and back wherever a part of it is
written. So loops that write carry the same bits as whole numbers, which it leaves in place.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from demjax.backend import policy

NARROW = np.dtype(jnp.bfloat16)
"""The type of numbers in 16 bits: the range of single precision, and 8 of its 24 digits."""


def widened(x: Array) -> Array:
    """Numbers as they are computed with: those of 16 bits in single precision, all others as is."""
    return x.astype(jnp.float32) if x.dtype == NARROW else x


def narrowed(x: Array, dtype: DTypeLike) -> Array:
    """Numbers as they are stored: rounded to the nearest of 16 bits, of equals to the even one.

    Args:
        x: Numbers.
        dtype: That of the store; any but the narrow one leaves them as they are.
    """
    if np.dtype(dtype) != NARROW or x.dtype == NARROW:
        return x
    # The conversion alone could be left out by XLA where the next step converts back.
    return lax.reduce_precision(x.astype(jnp.float32), 8, 7).astype(NARROW)


def stored_as(given: Array, result: Array) -> Array:
    """A result, rounded where the array is that it comes from."""
    return narrowed(result, given.dtype) if given.dtype == NARROW else result


def writable(x: Array) -> Array:
    """An array as loops carry it that write parts of it."""
    return lax.bitcast_convert_type(x, jnp.uint16) if _as_bits(x.dtype) else x


def readable(x: Array, dtype: Any) -> Array:
    """The numbers of (a part of) an array that was made ``writable``, of the type it had."""
    return lax.bitcast_convert_type(x, dtype) if _as_bits(dtype) else x


def _as_bits(dtype: Any) -> bool:
    return dtype == NARROW and policy.writes_bits()
