"""The compiled parts of a run that is watched round by round."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from demjax import keys
from demjax.backend.examples import placed
from demjax.backend.placement import (
    state_shapes,
    state_shardings,
    stored_evenly,
    whole,
)
from demjax.backend.sharding import compiler_options
from demjax.base import Algorithm, ClientData, Models, Task
from demjax.metrics import Measures, measure, model_bytes
from demjax.simulation.history import no_info
from demjax.simulation.progress import Progress
from demjax.simulation.schedule import schedule, takers
from demjax.simulation.scored import scored_models
from demjax.tasks.data_check import check_data


class Programs(NamedTuple):
    """The compiled parts of a run; states are as they are stored.

    Attributes:
        init: ``(key, clients) -> state``: before the first round.
        round: ``(key, number, state, clients) -> (state, info)``; takes the state's memory over.
        measures: ``(key, state, clients) -> Measures``: all that are taken.
        seconds: Time spent on tracing and compiling.
        some_measures: The same of fewer measures, by their names.
        info: What is told of a round before there was one.
        model_bytes: Bytes of one model as it travels; 0 without a server.
        state: The shapes of a state as it is read.
        measured: Those of all measures.
    """

    init: jax.stages.Compiled
    round: jax.stages.Compiled
    measures: jax.stages.Compiled
    seconds: float
    some_measures: Mapping[tuple[str, ...], jax.stages.Compiled] = {}
    info: Any = None
    model_bytes: int = 0
    state: Any = None
    measured: Any = None


def programs(
    algorithm: Algorithm,
    task: Task,
    clients: ClientData,
    *,
    key: PRNGKeyArray,
    take_measures: Callable[[Models, ClientData], Measures] | None = None,
    rounds: int | None = None,
    eval_every: int | Sequence[int] = 1,
    measures_every: Mapping[str, int] | None = None,
    done: int = 0,
    progress: Progress | None = None,
) -> Programs:
    """Compile what ``watch`` runs, from shapes alone: no model is made.

    Args:
        algorithm, task, clients, key, take_measures: As in ``watch``.
        rounds, eval_every, measures_every, done: Likewise; the first two matter only with the last,
            where there is a program for each set of measures that are taken together.
        progress: Where to show what is being compiled.

    Raises:
        ValueError: If an interval is given of what is not measured, or without ``rounds``, or the
            task cannot learn from these data.
    """
    start = time.perf_counter()
    if measures_every and rounds is None:
        raise ValueError(
            "Programs for measures_every depend on how many rounds there are, but none was given; "
            "possible is rounds of at least 1."
        )
    if take_measures is not None:  # else measure does
        check_data(task, clients)
    take = take_measures or measure(task, clients)
    every = eval_every if rounds else 1
    sets = schedule(rounds or 1, every, measures_every, take=take, done=done).sets
    if progress:
        progress.begin("tracing")
    clients = placed(clients)
    shapes = state_shapes(algorithm, clients, keys.for_initial_model(key))
    algorithm = stored_evenly(algorithm, clients)

    def advance(key, number, state, clients):
        return algorithm.round(keys.for_round(key, number), state, clients)

    def look(taker, key, state, clients):
        return taker(scored_models(algorithm, key, state, clients), clients)

    state = jax.eval_shape(algorithm.init, keys.for_initial_model(key), clients)
    models = jax.eval_shape(algorithm.models, state)
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
    one_round = program(advance, donate_argnums=2, out_shardings=(where, whole()), keep_unused=True)
    one = one_round.lower(key, jnp.int32(0), state, clients)
    measured = partial(program, out_shardings=whole())
    looks = [
        measured(partial(look, each)).lower(key, state, clients) for each in takers(take, sets)
    ]
    names = ["init", "round", "measures", *(f"measures ({', '.join(some)})" for some in sets[1:])]
    compiled = _compile(dict(zip(names, (init, one, *looks), strict=True)), progress)
    return Programs(
        init=compiled[0],
        round=compiled[1],
        measures=compiled[2],
        seconds=time.perf_counter() - start,
        some_measures=dict(zip(sets[1:], compiled[3:], strict=True)),
        info=no_info(one.out_info[1]),
        # What takes the measures may be written for models of another form.
        model_bytes=model_bytes(models) if isinstance(models, Models) else 0,
        state=shapes,
        measured=looks[0].out_info,
    )


def _compile(
    lowered: Mapping[str, jax.stages.Lowered], progress: Progress | None
) -> list[jax.stages.Compiled]:
    """Compile programs side by side, and show which of them are not ready yet."""
    pool = ThreadPoolExecutor(len(lowered))  # compiling leaves Python alone
    left = list(lowered)
    try:
        futures = {pool.submit(part.compile): name for name, part in lowered.items()}
        if progress:
            progress.begin(f"compiling {', '.join(left)}")
        for future in as_completed(futures):
            left.remove(futures[future])
            if progress and left:
                progress.rename(f"compiling {', '.join(left)}")
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
