"""Examples in parts: each device holds those that its own clients train on, and a share of others.

A client's training examples lie where its model does. Test examples, which every model answers, lie
anywhere, and go around a block at a time.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Int, Int32, Num

from demjax.backend import policy
from demjax.backend.placement import on_every_device
from demjax.backend.sharding import AXIS, InParts, devices_at_work
from demjax.base import ClientData


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DividedExamples:
    """Inputs of which each device holds a part; what they are asked for like one array ``[T, …]``.

    Attributes:
        parts: All parts, of as many rows each.
        place: Where each of the pooled examples is among all rows.
        rows: Where each client's training examples are in the part of its device.
    """

    parts: InParts
    place: Int[Array, " T"]
    rows: Int[Array, " N M"]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the pooled examples."""
        return (*self.place.shape, *self.parts.array.shape[1:])

    @property
    def dtype(self) -> Any:
        """That of the pooled examples."""
        return self.parts.array.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the parts of all devices."""
        return self.parts.array.nbytes

    def __getitem__(self, examples: Int[Array, " B"]) -> Num[Array, " B *shape"]:
        """Some of the pooled examples; in the part of a device, all devices ask for the same."""
        place, parts = self.place[examples], self.parts.array
        if devices_at_work() > 1:
            return parts[place]
        return lax.psum(_if_here(parts, place - lax.axis_index(AXIS) * parts.shape[0]), AXIS)


def _if_here(part: Num[Array, " R *shape"], rows: Int[Array, " *B"]) -> Num[Array, " ..."]:
    """Rows of a part, and 0 for those that it does not have."""
    here = (rows >= 0) & (rows < part.shape[0])
    found = part.at[rows].get(mode="clip")
    return jnp.where(here.reshape(*here.shape, *[1] * (part.ndim - 1)), found, 0).astype(part.dtype)


def placed(clients: ClientData) -> ClientData:
    """Everybody's data on all devices at work: whole on each, or the inputs in parts."""
    if isinstance(clients.x, DividedExamples):
        return clients
    if policy.divides_examples(clients.x.nbytes, devices_at_work()):
        return divided(clients)
    if not isinstance(clients.x, jax.Array | np.ndarray):  # rows in files
        clients = clients._replace(x=np.asarray(clients.x))
    return on_every_device(clients)


def divided(clients: ClientData) -> ClientData:
    """The same data with inputs in parts; all else is whole on every device.

    Of several processes each makes the parts of its own devices, and reads no other rows of inputs
    that stay in their files.

    Args:
        clients: Everybody's data, of which the inputs had better be the host's, or in files.
    """
    devices, mesh = devices_at_work(), jax.sharding.get_mesh()
    train, size = np.asarray(clients.train), np.asarray(clients.train_size)
    own, place, rows = _placed(train, size, clients.x.shape[0], devices)
    x: Any = np.asarray(clients.x) if isinstance(clients.x, jax.Array) else clients.x
    parts = NamedSharding(mesh, PartitionSpec(AXIS))
    whole = NamedSharding(mesh, PartitionSpec())

    def part(where):
        start, end, _ = where[0].indices(own.size)
        return x[own.reshape(-1)[start:end]]

    def everywhere(leaf):
        given = np.asarray(leaf)
        return jax.make_array_from_callback(given.shape, whole, lambda place: given[place])

    made = jax.make_array_from_callback((own.size, *x.shape[1:]), parts, part)
    others = {name: everywhere(leaf) for name, leaf in clients._asdict().items() if name != "x"}
    inputs: Any = DividedExamples(InParts(made), everywhere(place), everywhere(rows))
    return ClientData(x=inputs, **others)


def placed_shapes(clients: ClientData, whole: Any) -> ClientData:
    """The shapes of ``placed`` data, and where they lie, for devices that need not be there.

    Args:
        clients: Everybody's data. Of shapes alone it is assumed that examples divide evenly.
        whole: Where arrays lie that every device has whole.
    """

    def shape(leaf, where=whole):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)

    devices, x = devices_at_work(), clients.x
    shapes = ClientData(*map(shape, clients))
    if not policy.divides_examples(x.size * x.dtype.itemsize, devices):
        return shapes
    room = -(-x.shape[0] // devices)
    if not isinstance(clients.train, jax.ShapeDtypeStruct):
        train, size = np.asarray(clients.train), np.asarray(clients.train_size)
        room = _placed(train, size, x.shape[0], devices)[0].shape[1]
    parts = NamedSharding(jax.sharding.get_mesh(), PartitionSpec(AXIS))
    made = jax.ShapeDtypeStruct((devices * room, *x.shape[1:]), x.dtype, sharding=parts)
    place = jax.ShapeDtypeStruct(x.shape[:1], np.int32, sharding=whole)
    rows = jax.ShapeDtypeStruct(clients.train.shape, np.int32, sharding=whole)
    inputs: Any = DividedExamples(InParts(made), place, rows)  # type: ignore[arg-type]
    return shapes._replace(x=inputs)


def together(clients: ClientData) -> ClientData:
    """The same data with all inputs on every device, for who trains one model on all of them."""
    if not isinstance(clients.x, DividedExamples):
        return clients
    x = clients.x.parts.array[clients.x.place]
    return clients._replace(x=lax.with_sharding_constraint(x, PartitionSpec()))


def _placed(
    train: Int[np.ndarray, " N M"], size: Int[np.ndarray, " N"], examples: int, devices: int
) -> tuple[Int32[np.ndarray, " D R"], Int32[np.ndarray, " T"], Int32[np.ndarray, " N M"]]:
    """Which examples each device has, and where they are: fields of ``DividedExamples``."""
    each, real = -(-len(train) // devices), np.arange(train.shape[1]) < size[:, None]
    rows, homes = np.zeros(train.shape, np.int32), []
    for device in range(devices):
        block = slice(device * each, (device + 1) * each)
        held = np.unique(train[block][real[block]])
        rows[block][real[block]] = np.searchsorted(held, train[block][real[block]])
        homes.append(held)
    left = np.setdiff1d(np.arange(examples), np.concatenate(homes))
    room = max(-(-(left.size + sum(map(len, homes))) // devices), *map(len, homes))
    own, place, taken = np.zeros((devices, room), np.int32), np.zeros(examples, np.int32), 0
    for device, held in enumerate(homes):
        others = left[taken : taken + room - held.size]
        taken += others.size
        its = np.concatenate([held, others])
        own[device, : its.size] = its
        place[its] = device * room + np.arange(its.size)
    return own, place, rows


def on_this_device(clients: ClientData, numbers: Int[Array, " S"], *, moved: bool) -> ClientData:
    """The data of some clients, as one device trains them, inside of its part.

    Args:
        clients: Everybody's.
        numbers: The device's clients; ``N``, nobody, among them.
        moved: Whether these are others than those that live there: their examples are then sent.
    """
    if not isinstance(clients.x, DividedExamples):
        return clients
    rows, part = clients.x.rows, clients.x.parts.array
    train = clients.train.at[numbers].get(mode="fill", fill_value=0)
    if moved:
        x = _sent(clients.x, numbers).reshape(-1, *part.shape[1:])
        y = clients.y[train].reshape(-1, *clients.y.shape[1:])
        mine = jnp.arange(train.size, dtype=rows.dtype).reshape(train.shape)
        return clients._replace(x=x, y=y, train=rows.at[numbers].set(mine, mode="drop"))
    size = clients.train_size.at[numbers].get(mode="fill", fill_value=0)
    real = jnp.arange(train.shape[1]) < size[:, None]
    there = jnp.where(real, rows.at[numbers].get(mode="fill", fill_value=0), part.shape[0])
    y = jnp.zeros((part.shape[0], *clients.y.shape[1:]), clients.y.dtype)
    return clients._replace(x=part, y=y.at[there].set(clients.y[train], mode="drop"), train=rows)


def _sent(x: DividedExamples, numbers: Int[Array, " S"]) -> Num[Array, " S M *shape"]:
    """The training examples of clients that live elsewhere, one of every device's at a time."""
    part, here = x.parts.array, lax.axis_index(AXIS)
    each = -(-x.rows.shape[0] // lax.axis_size(AXIS))

    def one_each(number):
        asked = lax.all_gather(number, AXIS)
        rows = x.rows.at[asked].get(mode="fill", fill_value=0)
        found = _if_here(part, jnp.where((asked // each == here)[:, None], rows, -1))
        return lax.psum_scatter(found, AXIS, tiled=False)

    return lax.map(one_each, numbers)
