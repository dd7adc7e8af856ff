"""Several devices at work on one run: what is done for each client is divided among them.

    demjax.use_cores(2)                # before anything is computed: two devices of a CPU
    with demjax.spread_over(2):
        history = simulate(...)

On a CPU one device uses little more than one core while clients train, for their batches are
small. Results do not depend on the number of devices beyond rounding.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool

from demjax.backend import policy

AXIS = "clients"


def spread_over(devices: int | None = None) -> Any:
    """Spread what is run inside this context over devices.

    Args:
        devices: How many of JAX's devices; by default all, which several processes need.

    Raises:
        ValueError: If there are not so many, or several processes leave some out.
    """
    present = jax.devices()
    count = len(present) if devices is None else devices
    if not 1 <= count <= len(present):
        raise ValueError(f"A run can be spread over 1 to {len(present)} devices, not {count}.")
    if jax.process_count() > 1 and count < len(present):
        raise ValueError(
            f"A run of {jax.process_count()} processes is spread over all of their {len(present)} "
            f"devices, not {count}."
        )
    return jax.set_mesh(Mesh(np.array(present[:count]), (AXIS,)))


def devices_at_work() -> int:
    """Devices that a program traced now is spread over; in the part of one of them, 1."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if AXIS in mesh.manual_axes else dict(mesh.shape).get(AXIS, 1)


class InParts(NamedTuple):
    """An array of which each device has as many rows, and works on its own."""

    array: jax.Array


def over_clients(function: Callable, shared: Any, divided: Any, nobody: Any = 0) -> Any:
    """Call ``function(shared, divided)`` on every device with its part of what is divided.

    Args:
        function: Works on any number of rows, on each for itself.
        shared: Arrays that all get whole, but for those that are ``InParts``.
        divided: Arrays of the same number of rows, divided evenly; where that does not come out
            even, the last devices get rows for nobody.
        nobody: What these hold: one number, or one for each part of ``divided``.

    Returns:
        What the function returns: arrays of as many rows.
    """
    devices = devices_at_work()
    if devices == 1:
        return function(shared, divided)
    count = jax.tree.leaves(divided)[0].shape[0]
    whole, parts = PartitionSpec(), PartitionSpec(AXIS)
    given = jax.tree.map(
        lambda part: parts if isinstance(part, InParts) else whole,
        shared,
        is_leaf=lambda part: isinstance(part, InParts),
    )
    spread = jax.shard_map(function, in_specs=(given, parts), out_specs=parts, check_vma=False)
    if count % devices == 0:
        return spread(shared, divided)
    nobody = jax.tree.broadcast(nobody, divided)
    result = spread(shared, jax.tree.map(with_rows_for_nobody, divided, nobody))
    return jax.tree.map(lambda leaf: without_rows_for_nobody(leaf, count), result)


def with_rows_for_nobody(leaf: jax.Array, value: Any = 0) -> jax.Array:
    """An array with so many more rows that all devices have as many; none has to be moved."""
    missing = -leaf.shape[0] % devices_at_work()
    if not missing:
        return leaf
    widths = [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)
    return jnp.pad(leaf, widths, constant_values=value)


def without_rows_for_nobody(leaf: jax.Array, count: int) -> jax.Array:
    """The first rows of such an array, where they are, in parts of which the last is smaller.

    A single number for each client is little, and goes to all devices: what is made of uneven parts
    is padded and cut at every step.
    """
    if leaf.shape[0] == count:
        return leaf
    parts = PartitionSpec(AXIS) if leaf.ndim > 1 else PartitionSpec()
    return lax.with_sharding_constraint(leaf[:count], parts)


def over_wanted(function: Callable, shared: Any, divided: Any, wanted: Bool[Array, " P"]) -> Any:
    """Like ``over_clients`` where the work is in some rows only: all devices get as many of them.

    Args:
        function: Works on any number of rows, on each for itself.
        shared: Arrays that all get whole.
        divided: Arrays of ``P`` rows.
        wanted: The rows that are work.

    Returns:
        What the function returns, in the order of the rows.
    """
    devices = devices_at_work()
    if devices == 1:
        return function(shared, divided)
    order = jnp.argsort(~wanted)
    order = jnp.pad(order, (0, -order.size % devices), mode="edge")
    order = order.reshape(-1, devices).T.reshape(-1)
    result = over_clients(function, shared, jax.tree.map(lambda leaf: leaf[order], divided))

    def put_back(leaf):
        rows = jnp.zeros((wanted.size, *leaf.shape[1:]), leaf.dtype)
        return everywhere(rows.at[order].set(leaf))

    return jax.tree.map(put_back, result)


def over_columns(function: Callable, stacked: list[jax.Array], shared: Any, sums: Any) -> Any:
    """Let every device add up columns of its own of stacked models, and add up what they found.

    Args:
        function: ``(stacked, shared, sums, columns, devices) -> sums``. What it adds comes from
            ``columns(x, start, width)``: of the ``devices * width`` columns of ``x``, stacked or
            a single row, from ``start`` on, those of one device.
        stacked: Arrays of one row for each client.
        shared: Arrays that all get whole.
        sums: What is added to.
    """
    devices = devices_at_work()
    if devices == 1:
        whole_columns = partial(lax.dynamic_slice_in_dim, axis=-1)
        return function(stacked, shared, sums, whole_columns, 1)
    count = stacked[0].shape[0]

    def columns(x, start, width):
        if x.ndim > 1:
            some = lax.dynamic_slice_in_dim(x, start, devices * width, axis=1)
            return lax.all_to_all(some, AXIS, split_axis=1, concat_axis=0, tiled=True)[:count]
        return lax.dynamic_slice_in_dim(x, start + lax.axis_index(AXIS) * width, width, axis=-1)

    def one_device(stacked, shared, sums):
        first = lax.axis_index(AXIS) == 0
        sums = jax.tree.map(lambda x: jnp.where(first, x, 0), sums)
        return lax.psum(function(stacked, shared, sums, columns, devices), AXIS)

    whole = PartitionSpec()
    given = PartitionSpec(AXIS), whole, whole
    spread = jax.shard_map(one_device, in_specs=given, out_specs=whole, check_vma=False)
    return spread([with_rows_for_nobody(array) for array in stacked], shared, sums)


def on_one(function: Callable, *arguments: jax.Array) -> Any:
    """Let one device compute what all need, while the others leave memory to it.

    Args:
        function: ``(*arguments) -> numbers``; it reads no other traced array.
        *arguments: Arrays that all devices have whole.

    Returns:
        What the function returns, whole on every device.
    """
    if devices_at_work() == 1:
        return function(*arguments)
    shapes = jax.eval_shape(function, *arguments)

    def nothing(*_):
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    def one_device(*arguments):
        found = lax.cond(lax.axis_index(AXIS) == 0, function, nothing, *arguments)
        return lax.psum(found, AXIS)

    whole = PartitionSpec()
    spread = jax.shard_map(one_device, in_specs=whole, out_specs=whole, check_vma=False)
    return spread(*arguments)


def everywhere(x: jax.Array) -> jax.Array:
    """The same array, whole on every device: where steps are many and small, as in linkage."""
    return lax.with_sharding_constraint(x, PartitionSpec()) if devices_at_work() > 1 else x


def compiler_options() -> dict[str, Any] | None:
    """How a program for the devices at work is compiled.

    Inside another program, how it is compiled is that one's business.
    """
    # What is computed while another program is traced is part of it, also without its arguments.
    traced = isinstance(jnp.zeros(()), jax.core.Tracer)
    return None if traced else policy.compiler_options(devices_at_work())
