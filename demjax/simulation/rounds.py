"""The rounds of a run, one call of a compiled program each, and what is measured after them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from demjax import keys
from demjax.backend.examples import placed
from demjax.backend.placement import Stored, state_shapes, store
from demjax.base import Algorithm, ClientData, Models, Task
from demjax.metrics import Measures
from demjax.simulation.checks import check_arguments, check_state
from demjax.simulation.history import Moment, nan_is_no_value
from demjax.simulation.programs import Programs, programs
from demjax.simulation.progress import Progress
from demjax.simulation.schedule import schedule

QUICK = 10.0
"""Seconds up to which a run that is stopped is measured once more."""


class Resumed(NamedTuple):
    """Where a run goes on that ended early.

    Attributes:
        round: Rounds done.
        state: The algorithm's state then, with a row for each client.
        info: What the algorithm told of the last of them.
        measured: Whether it is known already what is measured then.
    """

    round: int
    state: Any
    info: Any
    measured: bool = False


def moments(
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
    state: Any = None,
    done: int = 0,
    stop: Callable[[], bool] | None = None,
    resumed: Resumed | None = None,
) -> Iterator[Moment]:
    """The moments of a run; arguments and errors as in ``watch``.

    Of one that is resumed they are those from there on, the first of which is measured if it would
    have been in a run that never ended.
    """
    check_arguments("A run", algorithm=algorithm, task=task, clients=clients, key=key)
    planned = schedule(rounds, eval_every, measures_every, take=take_measures, done=done)
    clients = placed(clients)
    if resumed is not None:
        state = resumed.state
    if state is not None:
        check_state(state, state_shapes(algorithm, clients, keys.for_initial_model(key)))
        state = store(state, clients.n_clients)  # a copy, for a round takes its memory over
    shown = Progress(done + rounds) if progress is True else (progress or None)
    with shown if shown and progress is True else nullcontext():
        parts = compiled or programs(
            algorithm,
            task,
            clients,
            key=key,
            take_measures=take_measures,
            rounds=rounds,
            eval_every=eval_every,
            measures_every=measures_every,
            done=done,
            progress=shown,
        )
        looks = {planned.sets[0]: parts.measures, **parts.some_measures}
        missing = [names for names in planned.sets if names not in looks]
        if missing:
            raise ValueError(
                f"The compiled programs have none that measures {' and '.join(missing[0])} alone; "
                "possible is what programs makes with the same rounds, eval_every and "
                "measures_every."
            )
        if state is None:
            state = _finished(parts.init, keys.for_initial_model(key), clients)
        due = {n: looks[names] for n, names in zip(planned.rounds, planned.taken, strict=True)}
        begin = (resumed or Resumed(done, None, parts.info))._replace(state=state)
        resumed = None  # what was read is no longer needed
        found = _moments(parts, due, key, begin, clients, shown, stop)
        yield from shown.follow(found, task.score_name) if shown else found


def _finished(program: Callable[..., Any], *arguments: Any) -> Any:
    """What a program gives, once it is there."""
    with nan_is_no_value():
        return jax.block_until_ready(program(*arguments))


def _moments(
    parts: Programs,
    due: Mapping[int, Callable[..., Measures]],
    key: PRNGKeyArray,
    begin: Resumed,
    clients: ClientData,
    shown: Progress | None,
    stop: Callable[[], bool] | None,
) -> Iterator[Moment]:
    """A moment before the first round and one after each, measured by what is due then."""
    (first, state, info, measured), last = begin, max(due)
    round_seconds, seconds = 0.0, 0.0
    for number in range(first, last + 1):
        if number > first:
            start = time.perf_counter()
            state, info = _finished(parts.round, key, jnp.int32(number - 1), state, clients)
            round_seconds = time.perf_counter() - start
        stopped = number < last and stop is not None and stop()
        known = measured and number == first
        measures, measure_seconds, take = None, 0.0, None if known else due.get(number)
        if stopped and jax.process_count() == 1:  # several would not take the same time
            take = parts.measures if seconds < QUICK else None
        if take is not None:
            if shown:
                shown.begin(f"measuring after round {number}")
            start = time.perf_counter()
            measures = _finished(take, key, state, clients)
            measure_seconds = seconds = time.perf_counter() - start
        yield Moment(
            number,
            measures,
            state if parts.state is None else Stored(state, parts.state),
            info,
            round_seconds,
            measure_seconds,
            parts.seconds,
            parts.model_bytes,
        )
        if stopped:
            return
