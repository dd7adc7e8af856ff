"""Rounds and measures: a whole run as one program, or a round at a time as it happens."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Int, PRNGKeyArray

from demjax import keys
from demjax.backend.sharding import compiler_options, on_every_device, state_shardings
from demjax.base import Algorithm, ClientData, Models, Task
from demjax.metrics import Measures, measure
from demjax.registry import check_number


class History(NamedTuple):
    """What a whole run measured.

    Attributes:
        round: Rounds done at each of the ``E`` measurements: first 0, last the last round.
        measures: All measures, leaves with a leading axis ``E``.
        state: The algorithm's state after the last round.
    """

    round: Int[np.ndarray, " E"]
    measures: Measures
    state: Any


class Moment(NamedTuple):
    """What is known after a round of a run that is being watched.

    Attributes:
        round: Rounds done.
        measures: The measures, or ``None`` in a round that is not measured.
        state: The algorithm's state; the next round takes its memory over.
        info: What the algorithm tells of its last round; ``None`` before the first.
        round_seconds: Time of the last round; 0 before the first.
        measure_seconds: Time of the measurement; 0 without one.
        compile_seconds: Time spent on tracing and compiling so far.
    """

    round: int
    measures: Measures | None
    state: Any
    info: Any
    round_seconds: float
    measure_seconds: float
    compile_seconds: float


def measured_rounds(rounds: int, every: int | Sequence[int]) -> list[int]:
    """The rounds after which a run is measured: 0, each ``every``-th or listed one, the last.

    Args:
        rounds: Rounds of the run, at least 1.
        every: Rounds between two measurements, at least 1; or the rounds themselves.

    Raises:
        ValueError: If a number is out of range.
    """
    check_number("A run", "rounds", rounds, 1)
    if isinstance(every, int | np.integer):
        check_number("A run", "eval_every", int(every), 1)
        every = range(0, rounds, int(every))
    outside = [number for number in every if not 0 <= number <= rounds]
    if outside:
        raise ValueError(
            f"A run of {rounds} rounds can be measured after 0 to {rounds} of them, but "
            f"{outside[0]} was given."
        )
    return sorted({0, *every, rounds})


def simulate(
    algorithm: Algorithm,
    task: Task,
    clients: ClientData,
    *,
    rounds: int,
    key: PRNGKeyArray,
    eval_every: int | Sequence[int] = 1,
    take_measures: Callable[[Models, ClientData], Measures] | None = None,
) -> History:
    """Run an algorithm, rounds and measures together, as one compiled program.

    Round ``r`` is given ``keys.for_round(key, r)``, and the initial model
    ``keys.for_initial_model(key)``, so that the same key gives the same bits on the same machine.
    May itself be called under ``jit`` and ``vmap``, over keys and over the numbers that an
    algorithm, an optimizer or the local training is made of; ``sweep`` does it as suits the device.

    Args:
        algorithm: What to run.
        task: What is learned, for the measures.
        clients: Everybody's data.
        rounds: Rounds to run, at least 1.
        key: All randomness of the run.
        eval_every: Rounds between two measurements, at least 1, or the measured rounds
            themselves; 0 and the last are always measured.
        take_measures: How to measure, ``(models, clients) -> Measures``; by default
            ``measure(task, clients)``.

    Returns:
        The history.

    Raises:
        ValueError: If ``rounds`` or ``eval_every`` is below 1.
    """
    moments = measured_rounds(rounds, eval_every)
    take = take_measures or measure(task, clients)

    @partial(jax.jit, compiler_options=compiler_options())
    def run(key, clients):
        def one_round(number, state):
            return algorithm.round(keys.for_round(key, number), state, clients)[0]

        def until(state, span):
            state = lax.fori_loop(span[0], span[1], one_round, state)
            return state, take(algorithm.models(state), clients)

        # The first span is empty: what takes the measures is in the program once.
        spans = jnp.asarray(list(pairwise([0, *moments])), jnp.int32)
        return lax.scan(until, algorithm.init(keys.for_initial_model(key), clients), spans)

    state, measures = run(key, clients)
    return History(np.asarray(moments), measures, state)


class Programs(NamedTuple):
    """The compiled parts of a run.

    Attributes:
        init: ``(key, clients) -> state``: before the first round.
        round: ``(key, number, state, clients) -> (state, info)``; takes the state's memory over.
        measures: ``(state, clients) -> Measures``.
        seconds: Time spent on tracing and compiling.
    """

    init: jax.stages.Compiled
    round: jax.stages.Compiled
    measures: jax.stages.Compiled
    seconds: float


def programs(
    algorithm: Algorithm,
    task: Task,
    clients: ClientData,
    *,
    key: PRNGKeyArray,
    take_measures: Callable[[Models, ClientData], Measures] | None = None,
) -> Programs:
    """Compile what ``watch`` runs, from shapes alone: no model is made.

    Takes the arguments of ``watch`` that a program depends on.
    """
    start = time.perf_counter()
    take = take_measures or measure(task, clients)
    clients = on_every_device(clients)

    def advance(key, number, state, clients):
        return algorithm.round(keys.for_round(key, number), state, clients)

    def look(state, clients):
        return take(algorithm.models(state), clients)

    state = jax.eval_shape(algorithm.init, keys.for_initial_model(key), clients)
    where = state_shardings(state, clients.n_clients)
    program = partial(jax.jit, compiler_options=compiler_options())
    init = program(algorithm.init, out_shardings=where).lower(keys.for_initial_model(key), clients)
    if where is not None:
        state = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            state,
            where,
        )
    # Else a state that is not read, such as that of clients who start anew, is not donated.
    one_round = program(advance, donate_argnums=2, out_shardings=(where, None), keep_unused=True)
    rounds = one_round.lower(key, jnp.int32(0), state, clients)
    lowered = init, rounds, program(look).lower(state, clients)
    pool = ThreadPoolExecutor(len(lowered))  # compiling leaves Python alone
    try:
        compiled = list(pool.map(lambda part: part.compile(), lowered))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return Programs(*compiled, seconds=time.perf_counter() - start)


def watch(
    algorithm: Algorithm,
    task: Task,
    clients: ClientData,
    *,
    rounds: int,
    key: PRNGKeyArray,
    eval_every: int | Sequence[int] = 1,
    take_measures: Callable[[Models, ClientData], Measures] | None = None,
    compiled: Programs | None = None,
) -> Iterator[Moment]:
    """Run an algorithm a round at a time, and tell of each as soon as it is done.

    The same rounds with the same keys as ``simulate``, each one call of one compiled program,
    so that a run can be watched, stopped, or written down as it goes.

    Args:
        algorithm: What to run.
        task: What is learned, for the measures.
        clients: Everybody's data.
        rounds: Rounds to run, at least 1.
        key: All randomness of the run.
        eval_every: Rounds between two measurements, at least 1, or the measured rounds.
        take_measures: How to measure, ``(models, clients) -> Measures``; by default
            ``measure(task, clients)``.
        compiled: What ``programs`` made of the same arguments; by default made here.

    Yields:
        A moment before the first round, and one after each.

    Raises:
        ValueError: If ``rounds`` or ``eval_every`` is below 1.
    """
    moments = set(measured_rounds(rounds, eval_every))
    clients = on_every_device(clients)
    parts = compiled or programs(algorithm, task, clients, key=key, take_measures=take_measures)
    state = jax.block_until_ready(parts.init(keys.for_initial_model(key), clients))
    info, round_seconds = None, 0.0
    for number in range(rounds + 1):
        if number > 0:
            start = time.perf_counter()
            advanced = parts.round(key, jnp.int32(number - 1), state, clients)
            state, info = jax.block_until_ready(advanced)
            round_seconds = time.perf_counter() - start
        measures, measure_seconds = None, 0.0
        if number in moments:
            start = time.perf_counter()
            measures = jax.block_until_ready(parts.measures(state, clients))
            measure_seconds = time.perf_counter() - start
        yield Moment(number, measures, state, info, round_seconds, measure_seconds, parts.seconds)
