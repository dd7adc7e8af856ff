"""Who works on which device, where rows can go to any: about as much work for each of them."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.backend.sharding import devices_at_work


def dealt_out(work: Float[Array, " c"]) -> Int[Array, " c+"]:
    """An order of rows, divided evenly, in which all devices have about as much work.

    The rows with most work come first, as many at a time as there are devices: of these the largest
    goes to the device that has least until then, and so on. A row with more work than a device has
    on average is the least that is possible.

    Args:
        work: Of each row, 0 or more.

    Returns:
        Numbers of rows, as many for each device; ``c``, nobody, where they do not divide. For one
        device as they were.

    Source: Graham's rule of the longest first, SIAM J. Appl. Math. 17, 1969, with as many for each.
    """
    devices, count = devices_at_work(), work.shape[0]
    if devices == 1:
        return jnp.arange(count)
    missing = -count % devices
    order = jnp.pad(jnp.argsort(-work), (0, missing), constant_values=count).reshape(-1, devices)
    work = work.at[order].get(mode="fill", fill_value=0).astype(jnp.float32)

    def deal(load, largest_first):
        rows, work = largest_first
        least_first = jnp.argsort(load)
        return load.at[least_first].add(work), jnp.zeros_like(rows).at[least_first].set(rows)

    _, dealt = lax.scan(deal, jnp.zeros(devices, jnp.float32), (order, work))
    return dealt.T.reshape(-1)
