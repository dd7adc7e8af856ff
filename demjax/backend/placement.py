"""Where the arrays of a run live that has several devices: in parts, or whole on each."""

from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from demjax.backend.sharding import AXIS, devices_at_work


def on_every_device(data: Any) -> Any:
    """Arrays that all devices have whole, so that no program that is given them copies them."""
    if devices_at_work() == 1:
        return data
    where = NamedSharding(jax.sharding.get_mesh(), PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(data, where)

    def own_copy(leaf):
        # ``device_put`` would send all of it around, to see whether it is the same everywhere.
        given = np.asarray(leaf)
        return jax.make_array_from_callback(given.shape, where, lambda place: given[place])

    return jax.tree.map(own_copy, data)


def state_shardings(state: Any, clients: int) -> Any:
    """Where each array of a state lives: what has a row for each client in parts, the rest whole.

    Args:
        state: Arrays, or their shapes.
        clients: Number of clients; where they do not come out even, every array is whole.

    Returns:
        The same tree of shardings; ``None``, wherever JAX likes, for one device.
    """
    devices = devices_at_work()
    if devices == 1:
        return None

    def place(leaf):
        parts = clients % devices == 0 and len(leaf.shape) > 1 and leaf.shape[0] == clients
        return NamedSharding(
            jax.sharding.get_mesh(), PartitionSpec(AXIS) if parts else PartitionSpec()
        )

    return jax.tree.map(place, state)


def whole() -> Any:
    """Where results live that a user reads: whole on every device; ``None`` for one device."""
    if devices_at_work() == 1:
        return None
    return NamedSharding(jax.sharding.get_mesh(), PartitionSpec())
