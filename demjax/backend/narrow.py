"""Numbers stored in 16 bits and computed with in 32: widened when read, rounded when written.

On a CPU, XLA converts a whole array of 16-bit floats to 32 bits and back wherever a part of it is
written. So loops that write carry the same bits as whole numbers, which it leaves in place.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt

from demjax.backend import policy

NARROW = np.dtype(jnp.bfloat16)
"""The type of numbers in 16 bits: the range of single precision, and 8 of its 24 digits."""


def widened(x: Array) -> Array:
    """Numbers as they are computed with: those of 16 bits in single precision, all others as is."""
    return x.astype(jnp.float32) if x.dtype == NARROW else x


def narrowed(x: Array, dtype: DTypeLike, *, axes: int = 0) -> Array:
    """Numbers as they are stored: rounded to one of the two next of 16 bits, without a bias.

    Up with the probability of what lies above the lower one, so that steps smaller than what is
    rounded away add up all the same, over rounds and clients; rounded to the nearest, they would be
    lost. What is of 16 bits already stays.

    Args:
        x: Numbers.
        dtype: That of the store; any but the narrow one leaves them as they are.
        axes: First axes along which equal numbers are rounded each for itself, such as those of
            copies of a model.
    """
    if np.dtype(dtype) != NARROW or x.dtype == NARROW:
        return x
    place = jnp.arange(math.prod(x.shape[:axes]), dtype=jnp.uint32)
    return dithered(x, place.reshape(*x.shape[:axes], *[1] * (x.ndim - axes))).astype(NARROW)


def dithered(x: Float[Array, " *shape"], place: UInt[Array, " *shape"]) -> Float[Array, " *shape"]:
    """Numbers in single precision of which 16 bits are 0, chance being a hash of number and place.

    So the same numbers are rounded alike on every device, however many are written at a time.
    """
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    chance = _hash(bits ^ _hash(place)) & 0xFFFF
    rounded = lax.bitcast_convert_type((bits + chance) & jnp.uint32(0xFFFF0000), jnp.float32)
    return jnp.where(jnp.isfinite(x), rounded, x)


def _hash(x: UInt[Array, " *shape"]) -> UInt[Array, " *shape"]:
    """A permutation of 32 bits that leaves no pattern, and 0 as it is.

    Source: Wellons, Prospecting for hash functions, 2018, "lowbias32".
    """
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


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
