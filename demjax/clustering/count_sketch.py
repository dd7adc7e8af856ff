"""A count sketch of models: far fewer numbers that keep their distances nearly as they are."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from demjax import keys
from demjax.backend import policy
from demjax.backend.sharding import over_clients
from demjax.base import Params
from demjax.clustering.distances import HUGE
from demjax.pytrees import leaf_columns


def count_sketch(
    params: Params, buckets: int, *, centred: bool = True, seed: int = 0
) -> Float[Array, " N D"]:
    """Sums of parameters with random signs, each in one of ``D`` buckets.

    ``y_b = Σ_{p mod D = b} s_p (w_p − c_p)`` with ``s_p = ±1`` at random, ``p`` counted through all
    layers. The centre ``c``, which no distance depends on but for rounding, is for each parameter
    the middle one of the first three clients', so that no single client moves it; angles are kept
    without it.
    ``E ‖y_m − y_n‖² = ‖w_m − w_n‖²`` with a variance of ``2 ‖w_m − w_n‖⁴ / D`` where differences
    spread evenly over buckets, so that distances have a relative standard deviation of
    ``1 / √(2 D)``. Takes ``N P`` operations, where a random projection takes ``2 N P D``, so that
    ``D`` can be large.

    Args:
        params: One model for each client, leaves ``[N, ...]``.
        buckets: ``D``, at least 1; prime, so that the units of a layer spread over all of them.
        centred: Whether to take the centre away: for distances, not for angles.
        seed: What the signs follow from; the same in all rounds.

    Source: Charikar, Chen and Farach-Colton, Theor. Comput. Sci. 312, 2004; Weinberger et al.,
    Feature hashing, ICML 2009.
    """
    columns = [found for found in leaf_columns(params) if found[2]]
    parameters = sum(width for _, _, width in columns)
    centres = [
        _middle(array[:3, first : first + width], centred) for array, first, width in columns
    ]
    key = keys.for_sketch(seed)
    signs = [_signs(keys.for_leaf(key, n), centre.size) for n, centre in enumerate(centres)]
    at_once = max(1, policy.parameters_averaged_at_once(1) // parameters)

    def some_clients(shared, arrays):
        centres, signs = shared
        count = arrays[0].shape[0]
        rows = min(count, at_once)

        def some_rows(block, sketch):
            here, place = jnp.minimum(block * rows, count - rows), 0
            total = jnp.zeros((rows, buckets), jnp.float32)
            for array, (_, first, width), centre, sign in zip(
                arrays, columns, centres, signs, strict=True
            ):
                some = lax.dynamic_slice(array, (here, first), (rows, width))
                some = (some.astype(jnp.float32) - centre) * sign
                total, place = _added(total, some, place), (place + width) % buckets
            return lax.dynamic_update_slice_in_dim(sketch, total, here, axis=0)

        nothing = jnp.zeros((count, buckets), jnp.float32)
        return lax.fori_loop(0, -(-count // rows), some_rows, nothing)

    return over_clients(some_clients, (centres, signs), [array for array, _, _ in columns])


def _added(
    total: Float[Array, " R D"], some: Float[Array, " R C"], place: int
) -> Float[Array, " R D"]:
    """Columns added to the buckets from a place on, round and round."""
    buckets, width = total.shape[1], some.shape[1]
    head = min(width, buckets - place)
    total = total.at[:, place : place + head].add(some[:, :head])
    laps = (width - head) // buckets

    def lap(number, total):
        return total + lax.dynamic_slice_in_dim(some, head + number * buckets, buckets, axis=1)

    total = lax.fori_loop(0, laps, lap, total) if laps else total
    rest = some[:, head + laps * buckets :]
    return total.at[:, : rest.shape[1]].add(rest) if rest.shape[1] else total


def _middle(few: Float[Array, " 3 C"], centred: bool) -> Float[Array, " C"]:
    middle = jnp.sort(few.astype(jnp.float32), axis=0)[few.shape[0] // 2]
    return jnp.where(centred & (jnp.abs(middle) < HUGE), middle, 0.0)


def _signs(key: jax.Array, count: int) -> Float[Array, " C"]:
    return jnp.where(jax.random.bits(key, (count,), jnp.uint8) & 1, 1.0, -1.0).astype(jnp.float32)
