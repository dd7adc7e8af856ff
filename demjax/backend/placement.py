"""Where the arrays of a run live that has several devices: in parts, or whole on each."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import PRNGKeyArray

from demjax.backend.sharding import (
    AXIS,
    devices_at_work,
    with_rows_for_nobody,
    without_rows_for_nobody,
)
from demjax.base import Algorithm, ClientData


def on_every_device(data: Any) -> Any:
    """Arrays that all devices have whole, so that no program that is given them copies them."""
    if devices_at_work() == 1:
        return data
    where = NamedSharding(jax.sharding.get_mesh(), PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(data, where)

    def own_copy(leaf):
        if isinstance(leaf, jax.Array) and leaf.sharding == where:
            return leaf
        # ``device_put`` would send all of it around, to see whether it is the same everywhere.
        given = np.asarray(leaf)
        return jax.make_array_from_callback(given.shape, where, lambda place: given[place])

    return jax.tree.map(own_copy, data)


def state_shardings(state: Any, clients: int) -> Any:
    """Where each array of a state lives: what has a row for each client in parts, the rest whole.

    Args:
        state: Arrays, or their shapes, as they are stored: those of ``stored_evenly``.
        clients: Number of clients.

    Returns:
        The same tree of shardings; ``None``, wherever JAX likes, for one device.
    """
    devices = devices_at_work()
    if devices == 1:
        return None
    rows = clients + -clients % devices

    def place(leaf):
        parts = PartitionSpec(AXIS) if _for_each_client(leaf, rows) else PartitionSpec()
        return NamedSharding(jax.sharding.get_mesh(), parts)

    return jax.tree.map(place, state)


def whole() -> Any:
    """Where results live that a user reads: whole on every device; ``None`` for one device."""
    if devices_at_work() == 1:
        return None
    return NamedSharding(jax.sharding.get_mesh(), PartitionSpec())


def stored_evenly(algorithm: Algorithm, clients: ClientData) -> Algorithm:
    """The algorithm with a state that lies in parts on all devices, however many clients there are.

    Between two programs a device can only hold as many rows as every other. Where clients do not
    divide among devices, what has a row for each of them is stored with rows for nobody, at most
    one less than there are devices. No algorithm sees them: they are cut off where a program
    begins, and put back where it ends, on the device that has the rows anyway.

    Args:
        algorithm: What is run.
        clients: Everybody's data, or their shapes.

    Returns:
        An algorithm that is given, and returns, a state as it is stored; the same one where clients
        divide among the devices.
    """
    count = clients.train.shape[0]
    if count % devices_at_work() == 0:
        return algorithm
    shapes = state_shapes(algorithm, clients, jax.eval_shape(lambda: jax.random.key(0)))

    def init(key, clients):
        return _filled(algorithm.init(key, clients), count)

    def one_round(key, state, clients):
        state, info = algorithm.round(key, _cut(state, shapes), clients)
        return _filled(state, count), info

    def models(state):
        return algorithm.models(_cut(state, shapes))

    return algorithm._replace(init=init, round=one_round, models=models)


def state_shapes(algorithm: Algorithm, clients: ClientData, key: PRNGKeyArray) -> Any:
    """The shapes of an algorithm's state; the key, or its shape, as ``init`` takes it."""
    return jax.eval_shape(algorithm.init, key, clients)


class Stored(NamedTuple):
    """A state as it is stored, and what it is to those who read it.

    Attributes:
        state: The arrays.
        shapes: What they would be with a row for each client and none for nobody.
    """

    state: Any
    shapes: Any

    def read(self) -> Any:
        """The state with a row for each client.

        Arrays that no longer lie in parts of rows then lie in parts of columns, where these divide
        among the devices. Several processes read together or not at all.
        """

        def one(leaf, wanted):
            return leaf if leaf.shape == wanted.shape else _first_rows(leaf, wanted.shape[0])

        return jax.tree.map(one, self.state, self.shapes)


def store(state: Any, clients: int) -> Any:
    """A state with a row for each client as a copy on the devices at work, as it is stored."""
    where = state_shardings(jax.eval_shape(partial(_filled, count=clients), state), clients)
    if where is None:
        return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)
    missing = -clients % devices_at_work()

    def one(leaf, place):
        if not missing or not _for_each_client(leaf, clients):
            return jax.device_put(jnp.array(leaf, copy=True), place)
        if isinstance(leaf, jax.Array) and leaf.sharding.device_set == place.device_set:
            return _with_more_rows(leaf, place)
        given = np.asarray(leaf)
        given = np.concatenate([given, np.zeros((missing, *given.shape[1:]), given.dtype)])
        return jax.make_array_from_callback(given.shape, place, lambda part: given[part])

    return jax.tree.map(one, state, where)


def _for_each_client(leaf: Any, rows: int) -> bool:
    """Whether an array has so many rows, and more than a number or a key in each."""
    single = len(leaf.shape) < 2 or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return not single and leaf.shape[0] == rows


def _filled(state: Any, count: int) -> Any:
    def one(leaf):
        return with_rows_for_nobody(leaf) if _for_each_client(leaf, count) else leaf

    return jax.tree.map(one, state)


def _cut(state: Any, shapes: Any) -> Any:
    def one(leaf, wanted):
        return without_rows_for_nobody(leaf, wanted.shape[0]) if leaf.ndim > 1 else leaf

    return jax.tree.map(one, state, shapes)


@partial(jax.jit, static_argnums=1)
def _with_more_rows(leaf, place):
    return jax.lax.with_sharding_constraint(with_rows_for_nobody(leaf), place)


def _first_rows(leaf: jax.Array, count: int) -> jax.Array:
    """The first rows of an array that lies in parts of rows, in parts of columns if possible."""
    place = leaf.sharding
    assert isinstance(place, NamedSharding)
    devices = len(place.device_set)
    axes = [axis for axis, size in enumerate(leaf.shape) if axis and size % devices == 0]
    parts = PartitionSpec(*[None] * axes[0], AXIS) if axes else PartitionSpec()
    return _first_rows_at(leaf, count, NamedSharding(place.mesh, parts))


@partial(jax.jit, static_argnums=(1, 2))
def _first_rows_at(leaf, count, place):
    return jax.lax.with_sharding_constraint(leaf[:count], place)
