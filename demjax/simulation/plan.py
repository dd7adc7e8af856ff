"""What a round needs on a device that need not be here: compiled for it, but never run."""

import re
from contextlib import nullcontext
from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from demjax.backend import memory, policy
from demjax.backend.accelerators import absent_devices
from demjax.backend.accelerators import accelerator as known_accelerator
from demjax.backend.collectives import collectives
from demjax.backend.examples import placed_shapes
from demjax.backend.placement import state_shardings, stored_evenly
from demjax.backend.sharding import AXIS
from demjax.base import Algorithm, ClientData
from demjax.pytrees import stored_bytes
from demjax.simulation.operations import work_of

MOST_TRIES, MOST_CLIENTS = 4, 10**8
"""How often the largest number of clients is compiled for, and how many are not looked beyond."""


class Plan(NamedTuple):
    """What a round needs. Bytes are those of one device.

    Attributes:
        accelerator: The device's name.
        devices: How many of them.
        clients: Clients of all of them.
        fits: Whether a device has the memory.
        models_bytes: Of its clients' models, one for each, as they are stored.
        data_bytes: Of the clients' examples, whole or, where a run would divide them, in parts.
        arguments_bytes: Of all that is there before a round: models, states and data.
        temp_bytes: What a round takes beside that; ``None`` where it does not fit and nobody says.
        needs_bytes: Of all together; of several devices of a CPU, which share it, for all of them.
        device_bytes: Of the device.
        largest_clients: About as many clients would fit, with as many examples each; ``None`` if
            not asked for.
        operations: Of a round's products on all devices together.
        moved_bytes: What these read and write.
        roofline_seconds: What both take by the maker's figures, where each product reads and
            writes the device's memory; what caches keep is faster.
        between_bytes: Bytes between devices, by the kind of step, each step counted once.
    """

    accelerator: str
    devices: int
    clients: int
    fits: bool
    models_bytes: int
    data_bytes: int
    arguments_bytes: int
    temp_bytes: int | None
    needs_bytes: int
    device_bytes: int
    largest_clients: int | None
    operations: float
    moved_bytes: float
    roofline_seconds: float | None
    between_bytes: dict[str, int]


class _Compiled(NamedTuple):
    """What a compiler says of a round; ``temp`` is ``None`` where it does not fit."""

    data: int
    arguments: int
    temp: int | None
    needs: int
    text: str


def plan(
    algorithm: Algorithm,
    clients: ClientData,
    *,
    accelerator: str,
    devices: int = 1,
    largest: bool = True,
    batch_size: int = 10,
    pooled: bool = False,
) -> Plan:
    """Compile a round for a device that need not be here, and say what it needs there.

    Args:
        algorithm: What would be run.
        clients: Everybody's data; shapes alone will do.
        accelerator: ``"cpu"`` for this machine, or one of ``backend.accelerators.ACCELERATORS``.
        devices: How many, over which clients are spread; 1 to 64.
        largest: Whether to find how many clients would fit, which takes some more compilations.
        batch_size: That of local training, by which its batches are counted.
        pooled: Whether one model is trained on the examples of all clients, batch after batch, and
            not each client's on its own.

    Returns:
        The plan.

    Raises:
        ValueError: If the accelerator is unknown, there are no so many devices, or what compiles
            for it is not installed: the sentence says what to install.
    """
    if accelerator == "cpu":
        here = jax.devices("cpu")[:devices]
        if len(here) < devices:
            raise ValueError(f"A plan for this CPU can be for 1 to {len(here)} devices.")
        known, limit = None, memory.present()
        places: Any = here
    else:
        known = known_accelerator(accelerator)
        places, limit = absent_devices(accelerator, devices), known.memory
    count = clients.train.shape[0]
    platform = "cpu" if known is None else known.platform
    with policy.compiling_for(platform, limit if known else None):
        found = _compiled(algorithm, clients, places, limit)
        state = jax.eval_shape(algorithm.init, _key(), clients)
        steps = -(-clients.train.shape[1] * (count if pooled else 1) // batch_size)
        traced = jax.make_jaxpr(algorithm.round)(_key(), state, _shapes(clients))
        work = work_of(traced, steps=steps)
        one = stored_bytes(jax.eval_shape(algorithm.models, state).client)
        most = _largest(algorithm, clients, places, limit, found) if largest else None
    times = (
        None
        if known is None
        else max(work.operations / known.operations, work.bytes / known.bandwidth) / devices
    )
    return Plan(
        accelerator=accelerator,
        devices=devices,
        clients=count,
        fits=found.temp is not None and found.needs <= limit,
        models_bytes=one * -(-count // devices),
        data_bytes=found.data,
        arguments_bytes=found.arguments,
        temp_bytes=found.temp,
        needs_bytes=found.needs,
        device_bytes=limit,
        largest_clients=most,
        operations=work.operations,
        moved_bytes=work.bytes,
        roofline_seconds=times,
        between_bytes={kind: sum(made) for kind, made in collectives(found.text).items()},
    )


def _key() -> Any:
    return jax.eval_shape(lambda: jax.random.key(0))


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def _bytes(tree: Any) -> int:
    """Bytes that one device has of arrays whose shapes say where they lie."""
    leaves = jax.tree.leaves(tree)
    return sum(prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in leaves)


def resized(clients: ClientData, count: int) -> ClientData:
    """The shapes of data of another number of clients, with as many examples each."""
    before = clients.train.shape[0]

    def shape(name, leaf):
        rows = -(-leaf.shape[0] * count // before) if name in ("x", "y") else count
        return jax.ShapeDtypeStruct((rows, *leaf.shape[1:]), leaf.dtype)

    return ClientData(**{name: shape(name, leaf) for name, leaf in clients._asdict().items()})


def _compiled(algorithm: Algorithm, clients: ClientData, places: Any, limit: int) -> _Compiled:
    mesh = Mesh(np.array(places), (AXIS,))
    whole: Any = SingleDeviceSharding(places[0])
    if len(places) > 1:
        whole = NamedSharding(mesh, PartitionSpec())

    def placed(leaf, where):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)

    with jax.set_mesh(mesh) if len(places) > 1 else nullcontext():
        algorithm = stored_evenly(algorithm, clients)
        state = jax.eval_shape(algorithm.init, _key(), clients)
        where = state_shardings(state, clients.train.shape[0])
        where = jax.tree.map(lambda _: whole, state) if where is None else where
        data = placed_shapes(clients, whole)
        arguments = placed(_key(), whole), jax.tree.map(placed, state, where), data
        program = jax.jit(
            algorithm.round,
            donate_argnums=1,
            keep_unused=True,
            out_shardings=(where, None),
            compiler_options=policy.compiler_options(len(places)),
        ).lower(*arguments)
        try:
            made = program.compile()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            said = re.search(r"\(([\d.]+)G\) exceeds", str(error))
            needs = int(float(said[1]) * 2**30) if said else limit + 1
            needs = max(needs, limit + 1)
            return _Compiled(_bytes(data), _bytes(arguments), None, needs, "")
        needs = memory.planned(made)
    told, text = made.memory_analysis(), made.as_text()
    assert told is not None
    assert text is not None
    temp = told.temp_size_in_bytes + told.output_size_in_bytes - told.alias_size_in_bytes
    return _Compiled(_bytes(data), told.argument_size_in_bytes, temp, needs, text)


def _largest(
    algorithm: Algorithm, clients: ClientData, places: Any, limit: int, found: _Compiled
) -> int:
    """About as many clients as fit: where a parabola through compilations meets the memory.

    What it says is compiled too, and the parabola goes through that then.
    """
    count = clients.train.shape[0]
    compiled = {count: found}

    def compile_for(size):
        if size not in compiled:
            compiled[size] = _compiled(algorithm, resized(clients, size), places, limit)
        return compiled[size].temp is not None and compiled[size].needs <= limit

    for size in (count // 2, count // 4):
        compile_for(max(len(places), size))
    for _ in range(MOST_TRIES):
        needs = {n: one.needs for n, one in sorted(compiled.items()) if one.temp is not None}
        low = _meets(dict(list(needs.items())[-3:]), limit) if needs else min(compiled) // 2
        if low < 1 or low in compiled or (compile_for(low) and compiled[low].needs > 0.9 * limit):
            break
    return max((n for n in compiled if compile_for(n)), default=0)


def _meets(needs: dict[int, int], limit: int) -> int:
    """Where the parabola through the bytes that numbers of clients need reaches a limit."""
    curve = np.polynomial.Polynomial.fit(list(needs), list(needs.values()), min(2, len(needs) - 1))
    low, high = 0, max(needs)
    while high < MOST_CLIENTS and curve(high) <= limit:
        low, high = high, 2 * high
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (middle, high) if curve(middle) <= limit else (low, middle)
    return low
