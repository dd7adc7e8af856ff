"""One experiment carried out: built, compiled, run, and written down into its folder as it goes."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np

from demjax.backend import memory
from demjax.backend.compilation import compile_once
from demjax.backend.examples import placed
from demjax.backend.processes import Together
from demjax.backend.sharding import devices_at_work
from demjax.data.client_data import widened
from demjax.experiment import build, config
from demjax.experiment.experiment import Experiment
from demjax.experiment.validation import intervals
from demjax.metrics import label_sets
from demjax.runs import folder as run_folder
from demjax.runs.beside import of_data, of_sample
from demjax.runs.environment import settings
from demjax.runs.exits import DONE, FAILED, INTERRUPTED, TERMINATED, first_line, say
from demjax.runs.resume import (
    asked_before,
    checkpoint_of,
    cut_back,
    holds_row,
    read,
    write_asked,
)
from demjax.runs.tensorboard import Row
from demjax.runs.writer import Recorder
from demjax.simulation.ending import interruptible
from demjax.simulation.programs import programs
from demjax.simulation.progress import Progress
from demjax.simulation.rounds import Resumed, moments
from demjax.simulation.saving import Checkpoints, Saver, check_identity, identity
from demjax.simulation.schedule import Schedule, schedule

KEEP = 2
"""Checkpoints that are kept by default: where the newest is broken, there is the one before."""


def carry_out(
    experiment: Experiment,
    out: Path,
    *,
    heading: str = "",
    stream: TextIO | None = None,
    kept: Path | None = None,
    widths: tuple[int, int] | None = None,
    also: Callable[[Row], None] = lambda row: None,
    seen: Together | None = None,
    alone: bool = True,
    every: int | None = None,
    keep: int | None = None,
    resume: bool = False,
) -> int:
    """Run an experiment to its end and write it into a folder.

    Args:
        experiment: As ``resolve`` returns it.
        out: A new or empty folder, or that of the run that is resumed.
        heading: A line to show above it.
        stream: Where its progress is shown; by default the standard error stream.
        kept: Where compiled programs are kept between runs; ``None`` for nowhere.
        widths: Widths of the rows of training and test examples, so that other seeds' programs fit;
            by default those of the data.
        also: What else each row of ``metrics.csv`` goes to.
        seen: The processes of the run; ``None`` for one.
        alone: Whether no other run follows: then its last measures are printed, and Ctrl-C in its
            last round, with which it ends anyway, is no interruption.
        every: Rounds between two checkpoints; by default as before, or one where it is stopped.
        keep: How many of them are kept; by default as before, or ``KEEP``.
        resume: Whether the folder holds the run already, which goes on from its newest checkpoint,
            or begins anew where there is none.

    Returns:
        The exit code: how the run ended.

    Raises:
        ValueError: The data, or what was chosen, cannot be used; nothing was written.
    """
    built = build.build(experiment)
    resolved, count = built.experiment, len(built.partition.train)
    task, clients = built.task, built.clients
    if widths is not None:
        clients = widened(clients, *widths)
    present = memory.free()  # before the data lie there, which what is needed counts
    try:
        clients = placed(clients)
    except jax.errors.JaxRuntimeError as error:
        return say(f"The data cannot be put on the devices: {first_line(error)}", FAILED)
    plan: dict[str, Any] = {
        "rounds": resolved.rounds,
        "key": jax.random.key(resolved.seed),  # of all randomness but the partition
        "eval_every": resolved.eval_every,
        "measures_every": intervals(resolved.values),
        "take_measures": built.take_measures,
    }
    here = seen is None or seen.writes
    with Progress(resolved.rounds, stream=stream) as progress, ExitStack() as stack:
        point = None
        if resume:
            if here:
                stack.enter_context(run_folder.alone(out))
            point, said = checkpoint_of(out, resolved.rounds)
            for line in said if here else ():
                progress.say(f"demjax: {line}")
        for line in filter(None, (heading, *built.notes)):
            progress.say(line)
        progress.say("compiling")
        try:
            with build.as_asked(resolved):
                compiled, found = compile_once(
                    lambda: programs(built.algorithm, task, clients, **plan, progress=progress),
                    kept,
                )
        except jax.errors.JaxRuntimeError as error:
            progress.close()
            return say(f"The run cannot be compiled: {first_line(error)}", FAILED)
        needs = memory.needed(*compiled[:3])
        memory.check_fits(
            needs, present, clients=count, examples=memory.whole(clients.x, clients.y)
        )
        progress.say(f"needs {memory.gigabytes(needs)} of memory")
        known = asked_before(out) if resume else {}
        every, keep = every or known.get("every"), keep or known.get("keep", KEEP)
        asked = {"every": every, "keep": keep, "devices": devices_at_work()}
        asked |= {"processes": jax.process_count()}
        own = identity(plan["key"], built.clients)
        before = None
        if point is not None:
            check_identity(point, own, resolved.rounds)
            before = read(point, compiled)
            if seen is None and _known(out, point.round, plan):
                before = before._replace(point=before.point._replace(measured=True))
        if here:
            if not resume:
                stack.enter_context(run_folder.alone(out))
            _prepare(out, built, before and before.point, plan, anew=resume)
            if every is not None:
                with suppress(OSError):  # the run can do without
                    write_asked(out, **asked)
        # Nothing here keeps the state that was read, once it lies on the devices.
        states, before = [before and before.point], before and before.without_state()
        saver = Saver(
            Checkpoints(out / run_folder.CHECKPOINTS, every, keep),
            resolved.rounds,
            known=point.round if point else None,
            writes=here,
        )
        with interruptible() as stop:
            shown: dict[str, Any] = {"progress": progress, "stop": stop}
            recorder = Recorder(
                out,
                resolved,
                build.parameters(task),
                also,
                compile_cache=found,
                measures=built.take_measures.measures,
                score=task.score_name,
                labels=built.labels,
                facts=_facts(built),
                clients=count,
                together=seen,
                told=alone,
                terminated=stop.terminated,
                saver=saver,
                about={"identity": own, "settings": settings(), **asked},
                before=before,
                **shown,
            )
            plan |= {"compiled": compiled, **shown, "stop": stop.after_round}
            found_there = moments(built.algorithm, task, clients, **plan, resumed=states.pop())
            code = recorder.record(found_there)
            if here and code == DONE and every is None:  # of an interruption that is made up for
                run_folder.forget_checkpoints(out)
            if alone or not stop():
                return code
            return TERMINATED if stop.terminated() else INTERRUPTED


def _planned(plan: Mapping[str, Any]) -> Schedule:
    """When what is measured."""
    when = {name: plan[name] for name in ("rounds", "eval_every", "measures_every")}
    return schedule(**when, take=plan["take_measures"])


def _known(out: Path, number: int, plan: Mapping[str, Any]) -> bool:
    """Whether what a run measures after a round is written down already, and nothing else."""
    due = number < plan["rounds"] and number in _planned(plan).rounds
    return due and not plan["measures_every"] and holds_row(out, number)


def _prepare(
    out: Path, built: build.Run, point: Resumed | None, plan: Mapping[str, Any], *, anew: bool
) -> None:
    """Make a run's folder ready: a new one, one that is begun anew, or one that goes on.

    Args:
        out: The folder, which is held.
        built: The run.
        point: Where it goes on.
        plan: When what is measured, among other things.
        anew: Whether what the folder holds of the run goes, where it does not go on.
    """
    text = config.to_toml(built.experiment)
    if point is not None:
        first = point.round + point.measured
        cut_back(out, first, [done for done in _planned(plan).rounds if done < first])
        run_folder.write_config(out, text)
    elif anew:
        run_folder.discard(out)
        run_folder.fill(out, text, built.partition, built.y)
    else:
        run_folder.create(out, text, built.partition, built.y)


def _facts(built: build.Run) -> dict[str, Any]:
    """What the summary says beside the measures: when clients are scored, and of the data."""
    planted = built.true_clusters
    clusters = label_sets(built.clients) if planted is None else planted
    truth = {"planted": planted is not None, "count": int(np.unique(clusters).size)}
    return {
        "measured_at": built.algorithm.moment,
        "true_clusters": truth,
        **of_data(built.clients, built.task.score_name),
        **of_sample(built.take_measures.sampled),
    }
