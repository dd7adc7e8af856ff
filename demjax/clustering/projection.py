"""A random projection of models that keeps their distances nearly as they are."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from demjax import keys
from demjax.base import Params
from demjax.pytrees import leaf_columns
from demjax.registry import check_number

Selection = Callable[[Params], Params]
"""From stacked models (or updates, or gradients) to the part of them that is looked at, linear."""


SKETCH_CHUNK = 4096


def everything(params: Params) -> Params:
    """All layers, as they are."""
    return params


def sketch(dimensions: int, *, of: Selection = everything, seed: int = 0) -> Selection:
    """A random projection that keeps distances nearly as they are, for when ``N · P`` is large.

    ``y = R w / √d``, entries of ``R`` ±1 at random: ``E ‖y‖² = ‖w‖²`` with a variance of at most
    ``2 ‖w‖⁴ / d``, so squared distances have a relative standard deviation of ``√(2/d)`` and
    distances of half of that (256 dimensions: 4.4 %). All ``N(N−1)/2`` squared distances are within
    ``1 ± ε`` with probability ``1 − 1/N`` for ``d ≥ 6 ln N / (ε²/2 − ε³/3)``. Takes ``2 N P d``
    operations where distances of all parameters take ``N² P``, and no memory for ``R``, whose signs
    are drawn again each time, 32 from one random number.

    Args:
        dimensions: ``d``, at least 1.
        of: What is projected; by default everything.
        seed: What the signs follow from; the same in all rounds.

    Raises:
        ValueError: If ``dimensions`` is below 1.

    Source: Achlioptas, J. Comput. Syst. Sci. 66, 2003, theorem 1.1.
    """
    check_number("A sketch", "dimensions", dimensions, 1)

    def project(params):
        total, key = jnp.float32(0), keys.for_sketch(seed)
        for number, (array, first, width) in enumerate(leaf_columns(of(params))):
            if width:
                own = keys.for_leaf(key, number)
                total = total + _projected(own, array, first, width, dimensions)
        return total / jnp.sqrt(jnp.float32(dimensions))

    return project


def _projected(
    key: PRNGKeyArray, flat: Float[Array, " N C"], first: int, width: int, dimensions: int
) -> Float[Array, " N d"]:
    """``R`` of some columns, a chunk at a time, so that neither it nor a copy is ever whole."""
    chunk = min(width, SKETCH_CHUNK)
    places = jnp.arange(chunk)

    def add(number, total):
        start = jnp.minimum(number * chunk, width - chunk)
        columns = lax.dynamic_slice_in_dim(flat, first + start, chunk, axis=1)
        columns = columns.astype(jnp.float32)
        # The last chunk overlaps the one before: what was counted there is left out.
        columns = jnp.where(start + places >= number * chunk, columns, 0.0)
        signs = _signs(keys.for_columns(key, number), chunk, dimensions)
        return total + jnp.matmul(columns, signs, precision=lax.Precision.HIGHEST)

    return lax.fori_loop(0, -(-width // chunk), add, jnp.zeros((flat.shape[0], dimensions)))


def _signs(key: PRNGKeyArray, rows: int, columns: int) -> Float[Array, " rows columns"]:
    words = jax.random.bits(key, (rows, -(-columns // 32)), jnp.uint32)
    bits = (words[:, :, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
    return 1.0 - 2.0 * bits.reshape(rows, -1)[:, :columns].astype(jnp.float32)
