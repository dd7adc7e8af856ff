"""Runs: simulated to their end, or watched a round at a time as it happens."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Task
from demjax.metrics import Measures, measure
from demjax.simulation.checks import check_arguments
from demjax.simulation.ending import divergence, interruptible
from demjax.simulation.history import History, Moment, ScoreName, nan_is_no_value
from demjax.simulation.programs import Programs, programs
from demjax.simulation.progress import Progress
from demjax.simulation.resuming import kept
from demjax.simulation.rounds import moments
from demjax.simulation.saving import Checkpoints
from demjax.simulation.schedule import schedule
from demjax.simulation.whole import being_traced, whole_run


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
    state: Any = None,
    done: int = 0,
    checkpoint: str | Path | Checkpoints | None = None,
) -> History:
    """Run an algorithm to its last round, and keep all measures.

    Round ``r`` is given ``keys.for_round(key, r)``, and the initial model
    ``keys.for_initial_model(key)``, so that the same key gives the same bits on the same machine.
    May itself be called under ``jit`` and ``vmap``, where it is one program, over keys and over
    the numbers that an algorithm, an optimizer or the local training is made of; ``sweep`` does
    it as suits the device.

    Ctrl-C ends it after the present round with a ``KeyboardInterrupt`` whose ``history`` is what
    a whole run would have returned, up to then. Where models or losses diverge, there is a
    ``RuntimeWarning`` of it, once; not under ``jit``, where ``measures.diverged`` counts them.

    Args:
        algorithm: What to run.
        task: What is learned, for the measures.
        clients: Everybody's data.
        rounds: Rounds to run, at least 1.
        key: All randomness of the run.
        eval_every: Rounds between two measurements, at least 1, or the measured rounds
            themselves; the first and the last are always measured.
        measures_every: Rounds between two measurements of single measures, such as
            ``{"client": 10, "group": 5}``: in a measured round those are due whose interval
            divides it, in the first and the last all; ``schedule`` says more.
        take_measures: How to measure, ``(models, clients) -> Measures``; by default
            ``measure(task, clients)``. For ``measures_every`` it must have a keyword
            ``measures``, as what ``measure`` returns.
        progress: Whether to show how far the run is; not under ``jit``.
        state: Where the run begins, such as another run's ``history.state``, in place of
            ``algorithm.init``.
        done: Rounds that the state has behind it, from which rounds, and so keys, count on: with
            the same key, and ``done=history.round[-1]``, the run goes on as if it had not ended.
        checkpoint: A folder where the state is saved every 10 rounds, at the end, and on Ctrl-C;
            or ``Checkpoints(folder, every=…, keep=…)``. Where there is a checkpoint in it, the run
            goes on from there, also to a later round than was asked for then, and gives what it
            would have if it had never ended. Where one cannot be written, there is a
            ``RuntimeWarning``, and the run goes on. Not under ``jit``.

    Returns:
        The history.

    Raises:
        ValueError: One sentence, if an argument is not what it should be, such as a factory in
            place of an algorithm, ``progress`` or ``checkpoint`` is asked for under ``jit`` or
            ``vmap``, or the newest checkpoint is of another run.
        KeyboardInterrupt: On Ctrl-C; with the attribute ``history`` from the first round on.
    """
    check_arguments("A run", algorithm=algorithm, task=task, clients=clients, key=key)
    take = measure(task, clients) if take_measures is None else take_measures
    check_arguments("A run", take_measures=take)
    planned = schedule(rounds, eval_every, measures_every, take=take, done=done)
    score = ScoreName(task.score_name)
    if being_traced():
        if progress:
            raise ValueError(
                "A run that is itself compiled cannot show its progress, but progress was asked "
                "for under jit or vmap; possible is progress=False."
            )
        if checkpoint is not None:
            raise ValueError(
                "A run that is itself compiled cannot be saved, but checkpoint was given under jit "
                "or vmap; possible is checkpoint=None."
            )
        whole = whole_run(algorithm, clients, planned=planned, key=key, take=take, state=state)
        return whole._replace(score=score)
    plan: dict[str, Any] = {
        "rounds": rounds,
        "key": key,
        "eval_every": eval_every,
        "measures_every": measures_every,
        "take_measures": take,
        "done": done,
    }
    shown = Progress(done + rounds) if progress is True else (progress or None)
    with shown if shown and progress is True else nullcontext():
        compiled = programs(algorithm, task, clients, **plan, progress=shown)
        known = kept(checkpoint, compiled, planned=planned, key=key, clients=clients)
        with interruptible() as stop, known as found:
            plan |= {"compiled": compiled, "progress": shown or False, "state": state}
            warned = ""
            plan |= {"stop": stop.after_round, "resumed": found.take_over()}
            begun = moments(algorithm, task, clients, **plan)
            for moment in begun:
                measured = moment.measures is not None
                if measured and not warned and (warned := divergence(moment, clients.n_clients)):
                    warnings.warn(warned, RuntimeWarning, stacklevel=2)
                found.add(moment, stopped=stop())
    numbers, measures, info = zip(*found.rows, strict=True)
    history = History(np.array(numbers), _stacked(measures), moment.state, _stacked(info), score)
    if moment.round < done + rounds:
        stopped = KeyboardInterrupt(
            f"The run was interrupted after round {moment.round} of {done + rounds}; what was "
            "measured is this exception's history."
        )
        stopped.history = history  # type: ignore[attr-defined]
        raise stopped
    return history


def _stacked(rows: Sequence[Any]) -> Any:
    """Pytrees as one, stacked by the host, which need not compile it."""

    def stack(*leaves: Any) -> jax.Array:
        if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
            return jnp.stack(leaves)
        return jnp.asarray(np.stack(leaves))

    with nan_is_no_value():
        return jax.tree.map(stack, *rows)


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
    state: Any = None,
    done: int = 0,
    stop: Callable[[], bool] | None = None,
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
        state: Where the run begins, as in ``simulate``.
        done: Rounds that it has behind it, likewise.
        stop: Asked after each round whether the run shall end there; it is then measured once
            more, unless the last measurement took longer than 10 seconds.

    Yields:
        A moment before the first round, and one after each. The next round takes the memory of
        the state over: what is to be read later is to be copied, ``jax.tree.map(jnp.copy, state)``.

    Raises:
        ValueError: One sentence, if an argument is not what it should be, or ``compiled`` was made
            for other intervals.
    """
    found = moments(
        algorithm,
        task,
        clients,
        rounds=rounds,
        key=key,
        eval_every=eval_every,
        measures_every=measures_every,
        take_measures=take_measures,
        compiled=compiled,
        progress=progress,
        state=state,
        done=done,
        stop=stop,
    )
    warned = ""
    for moment in found:
        yield moment
        # Only to those who go on: others have seen the measures.
        if not warned and moment.measures is not None:
            warned = divergence(moment, clients.n_clients)
            if warned:
                warnings.warn(warned, RuntimeWarning, stacklevel=2)
