"""Rounds and measures: a whole run as one program, or a round at a time as it happens."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import PRNGKeyArray

from demjax import keys
from demjax.backend.sharding import compiler_options, on_every_device
from demjax.base import Algorithm, ClientData, Models, Task
from demjax.metrics import Measures, measure
from demjax.simulation.history import History, Moment, nan_is_no_value, no_info
from demjax.simulation.programs import Programs, programs
from demjax.simulation.progress import Progress
from demjax.simulation.schedule import Schedule, schedule, takers
from demjax.tasks.data_check import check_data


def simulate(
    algorithm: Algorithm,
    task: Task,
    clients: ClientData,
    *,
    rounds: int,
    key: PRNGKeyArray,
    eval_every: int | Sequence[int] = 1,
    measures_every: Mapping[str, int] | None = None,
    take_measures: Callable[[Models, ClientData], Measures] | None = None,
    progress: bool | Progress = False,
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
        measures_every: Rounds between two measurements of single measures, such as
            ``{"client": 10, "group": 5}``: in a measured round those are due whose interval
            divides it, in the first and the last all; ``schedule`` says more.
        take_measures: How to measure, ``(models, clients) -> Measures``; by default
            ``measure(task, clients)``. For ``measures_every`` it must have a keyword
            ``measures``, as what ``measure`` returns.
        progress: Whether to show how far the run is. It is then not one program, but ``watch``'s
            round by round, with the same numbers to rounding, and not under ``jit``.

    Returns:
        The history.

    Raises:
        ValueError: If ``rounds`` or an interval is below 1 or of what is not measured,
            ``progress`` is asked for under ``jit`` or ``vmap``, or the task cannot learn from
            these data (``Task.check``).
    """
    if take_measures is not None:  # else measure does
        check_data(task, clients)
    take = take_measures or measure(task, clients)
    planned = schedule(rounds, eval_every, measures_every, take=take)
    if progress:
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((key, clients))):
            raise ValueError(
                "A run that is itself compiled cannot show its progress, but progress was asked "
                "for under jit or vmap; possible is progress=False."
            )
        when: dict[str, Any] = {"eval_every": eval_every, "measures_every": measures_every}
        options = when | {"take_measures": take, "progress": progress}
        return _collected(watch(algorithm, task, clients, rounds=rounds, key=key, **options))

    @partial(jax.jit, compiler_options=compiler_options())
    def run(key, clients):
        # Traced once, for the shapes of its info and for the loop.
        @partial(jax.jit, inline=True)
        def one_round(number, state):
            return algorithm.round(keys.for_round(key, number), state, clients)

        def until(carry, span):
            start, end, which = span
            state, info = lax.fori_loop(start, end, lambda n, c: one_round(n, c[0]), carry)
            looks = takers(take, planned.sets)
            models = algorithm.models(state)
            if len(looks) == 1:
                return (state, info), (looks[0](models, clients), info)
            return (state, info), (lax.switch(which, looks, models, clients), info)

        state = algorithm.init(keys.for_initial_model(key), clients)
        nothing = no_info(jax.eval_shape(one_round, jnp.int32(0), state)[1])
        return lax.scan(until, (state, nothing), _spans(planned))

    with nan_is_no_value():
        (state, _), (measures, info) = run(key, clients)
    return History(np.asarray(planned.rounds), measures, state, info)


def _spans(planned: Schedule) -> tuple[jax.Array, ...]:
    """From which round to which each span goes, and which set of measures is taken then.

    The first span is empty: what takes the measures is in the program once.
    """
    spans = jnp.asarray(list(pairwise([0, *planned.rounds])), jnp.int32)
    which = [planned.sets.index(taken) for taken in planned.taken]
    return spans[:, 0], spans[:, 1], jnp.asarray(which, jnp.int32)


def _collected(moments: Iterator[Moment]) -> History:
    """The history of a watched run."""
    kept = []
    for moment in moments:
        if moment.measures is not None:
            kept.append((moment.round, moment.measures, moment.info))
    rounds, *rows = zip(*kept, strict=True)
    with nan_is_no_value():
        measures, info = (jax.tree.map(lambda *leaves: jnp.stack(leaves), *row) for row in rows)
    return History(np.asarray(rounds), measures, moment.state, info)


def watch(
    algorithm: Algorithm,
    task: Task,
    clients: ClientData,
    *,
    rounds: int,
    key: PRNGKeyArray,
    eval_every: int | Sequence[int] = 1,
    measures_every: Mapping[str, int] | None = None,
    take_measures: Callable[[Models, ClientData], Measures] | None = None,
    compiled: Programs | None = None,
    progress: bool | Progress = False,
) -> Iterator[Moment]:
    """Run an algorithm a round at a time, and tell of each as soon as it is done.

    The same rounds with the same keys as ``simulate``, each one call of one compiled program,
    so that a run can be watched, stopped, or written down as it goes.

    Args:
        algorithm, task, clients, rounds, key: As in ``simulate``.
        eval_every, measures_every, take_measures: As in ``simulate``.
        compiled: What ``programs`` made of the same arguments; by default made here.
        progress: Whether to show how far the run is, on the standard error stream; or where to
            show it, which is then left open.

    Yields:
        A moment before the first round, and one after each.

    Raises:
        ValueError: If ``rounds`` or an interval is below 1 or of what is not measured, or
            ``compiled`` was made for other intervals, or the task cannot learn from these data.
    """
    planned = schedule(rounds, eval_every, measures_every, take=take_measures)
    clients = on_every_device(clients)
    shown = Progress(rounds) if progress is True else (progress or None)
    with shown if shown and progress is True else nullcontext():
        when: dict[str, Any] = {"eval_every": eval_every, "measures_every": measures_every}
        options = when | {"rounds": rounds, "take_measures": take_measures, "progress": shown}
        parts = compiled or programs(algorithm, task, clients, key=key, **options)
        looks = {planned.sets[0]: parts.measures, **parts.some_measures}
        missing = [names for names in planned.sets if names not in looks]
        if missing:
            raise ValueError(
                f"The compiled programs have none that measures {' and '.join(missing[0])} alone; "
                "possible is what programs makes with the same rounds, eval_every and "
                "measures_every."
            )
        due = {n: looks[names] for n, names in zip(planned.rounds, planned.taken, strict=True)}
        moments = _moments(parts, due, rounds, key, clients, shown)
        yield from shown.follow(moments) if shown else moments


def _moments(
    parts: Programs,
    due: Mapping[int, Callable[..., Measures]],
    rounds: int,
    key: PRNGKeyArray,
    clients: ClientData,
    shown: Progress | None,
) -> Iterator[Moment]:
    """The rounds of ``watch``, measured by what is due after each."""

    def done(program: Callable[..., Any], *arguments: Any) -> Any:
        with nan_is_no_value():
            return jax.block_until_ready(program(*arguments))

    state = done(parts.init, keys.for_initial_model(key), clients)
    info, round_seconds = parts.info, 0.0
    for number in range(rounds + 1):
        if number > 0:
            start = time.perf_counter()
            state, info = done(parts.round, key, jnp.int32(number - 1), state, clients)
            round_seconds = time.perf_counter() - start
        measures, measure_seconds = None, 0.0
        if number in due:
            if shown:
                shown.begin(f"measuring after round {number}")
            start = time.perf_counter()
            measures = done(due[number], state, clients)
            measure_seconds = time.perf_counter() - start
        seconds = round_seconds, measure_seconds, parts.seconds
        yield Moment(number, measures, state, info, *seconds, parts.model_bytes)
