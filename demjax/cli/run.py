"""``demjax run``: check everything, then run and write down as it goes."""

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import jax

from demjax.backend import memory, policy
from demjax.backend.compilation import compile_once
from demjax.backend.processes import Together
from demjax.backend.sharding import spread_over, use_cores
from demjax.cli import processes
from demjax.cli.parsing import Commands, help_of, read_given, take_options
from demjax.data.sources.cache import default_folder
from demjax.experiment import build, config
from demjax.experiment.experiment import Experiment, resolve, with_defaults
from demjax.experiment.tables import all_options
from demjax.experiment.validation import intervals
from demjax.runs import folder as run_folder
from demjax.runs.beside import of_data, of_sample
from demjax.runs.environment import told_apart
from demjax.runs.exits import DONE, FAILED, first_line, say
from demjax.runs.tensorboard import Row, event_file
from demjax.runs.writer import Recorder
from demjax.simulation.ending import interruptible
from demjax.simulation.programs import programs
from demjax.simulation.progress import Progress
from demjax.simulation.rounds import moments

DIVIDE = {"auto": None, "yes": True, "no": False}


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    run = commands.add_parser(
        "run",
        help=summary,
        add_help=False,
        usage="demjax run --out DIR [--config FILE] [--preset NAME] [OPTION VALUE …]",
        description="Run one experiment. What is chosen says which options there are: --algorithm "
        "fedavg --help shows FedAvg's.",
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="new folder for the results")
    run.add_argument(
        "--devices", type=int, metavar="N", help="devices to spread clients over [all; CPU cores]"
    )
    run.add_argument(
        "--divide-examples",
        choices=tuple(DIVIDE),
        default="auto",
        help="whether each of several devices has a part of the examples in place of all of them "
        "[auto: where they are more than a tenth of its memory]",
    )
    processes.add_flags(run)
    run.add_argument(
        "--tensorboard", action="store_true", help="also write a TensorBoard event file"
    )
    run.add_argument(
        "--no-compile-cache", action="store_true", help="compile anew what an earlier run compiled"
    )
    take_options(run, _run)


def _run(parsed: argparse.Namespace, words: Sequence[str]) -> int | str:
    given = read_given(parsed, words)
    if parsed.help:
        return help_of(parsed.parser, all_options(with_defaults(given.options)))
    if parsed.out is None:
        raise ValueError("The option --out is needed: a new folder for the results.")
    resolved = resolve(given.options)
    joined, local = processes.asked_for(parsed), _devices_here(parsed.devices)
    with joined as seen:
        here = seen is None or seen.writes
        return processes.ended_in_order(partial(_spread, parsed, resolved, local, here, seen), seen)


def _spread(
    parsed: argparse.Namespace,
    resolved: Experiment,
    devices: int | None,
    here: bool,
    seen: Together | None,
) -> int:
    """A run on all devices, written down by the process that is here to do so."""
    if here:
        run_folder.check_free(parsed.out)
    wanted = parsed.tensorboard and here
    with (
        event_file(parsed.out, wanted=wanted) as also,
        _devices(devices, alone=seen is None),
        policy.dividing_examples(DIVIDE[parsed.divide_examples]),
    ):
        if here and parsed.config and (differing := told_apart(parsed.config)):
            say(differing, DONE)
        kept = None if parsed.no_compile_cache else default_folder()
        return _watched(parsed.out, resolved, also, kept and kept / "programs", seen)


def _cores() -> int:
    there = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if there else os.cpu_count() or 1


def _devices_here(asked: int | None) -> int | None:
    """How many devices of this process are asked for, on a CPU as many as there are then made."""
    cores = _cores()
    if asked is not None and asked < 1:
        raise ValueError(f"--devices can be 1 or more, but {asked} was given.")
    with suppress(ValueError):  # where something has been computed, the devices are as they are
        use_cores(min(asked or cores, cores))
    return asked


def _devices(asked: int | None, *, alone: bool) -> AbstractContextManager:
    """The devices of a run: those asked for, or all there are, on a CPU one for each core."""
    try:
        cores = _cores()
        if asked is not None and asked > cores and policy.devices_are_cores():
            raise ValueError(
                f"--devices was given as {asked}; possible is 1 to {cores}, one a core."
            )
        return spread_over(asked if alone else None)
    except (RuntimeError, AssertionError) as error:  # both are JAX's
        raise ValueError(_no_start(error)) from None


def _no_start(error: Exception) -> str:
    """Why JAX finds no device, and where it would."""
    from jax.extend.backend import backends  # here, as it is hardly ever needed

    asked = os.environ.get("JAX_PLATFORMS")
    why = first_line(error).split(" (")[0].rstrip(".") if str(error) else "there is no such device"
    jax.config.update("jax_platforms", "")
    try:
        platforms = ",".join(backends())
    except (RuntimeError, AssertionError):  # a plug-in that is broken stands in the way
        platforms = "cpu"
    given = f"JAX_PLATFORMS={asked}" if asked else "JAX_PLATFORMS unset"
    return f"JAX cannot start with {given}, for {why}; possible is JAX_PLATFORMS={platforms}."


def _watched(
    out: Path,
    resolved: Experiment,
    also: Callable[[Row], None],
    kept: Path | None,
    seen: Together | None,
) -> int:
    built = build.build(resolved)
    resolved, count = built.experiment, len(built.partition.train)
    task, clients = built.task, built.clients
    plan: dict[str, Any] = {
        "rounds": resolved.rounds,
        "key": jax.random.key(resolved.seed),  # of all randomness but the partition
        "eval_every": resolved.eval_every,
        "measures_every": intervals(resolved.values),
        "take_measures": built.take_measures,
    }
    here = seen is None or seen.writes
    with Progress(resolved.rounds, stream=None if here else processes.nowhere()) as progress:
        for note in built.notes:
            progress.say(note)
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
        needs, present = memory.needed(*compiled[:3]), memory.free()
        memory.check_fits(
            needs, present, clients=count, examples=memory.whole(clients.x, clients.y)
        )
        progress.say(f"needs {memory.gigabytes(needs)} of memory")
        if here:
            run_folder.create(out, config.to_toml(resolved), built.partition, built.y)
        parameters = build.parameters(task)
        # Of several processes none can stop after a round of its own and measure once more.
        with interruptible() if seen is None else nullcontext(lambda: False) as stop:
            shown: dict[str, Any] = {"progress": progress, "stop": stop}
            recorder = Recorder(
                out,
                resolved,
                parameters,
                also,
                compile_cache=found,
                measures=built.take_measures.measures,
                score=task.score_name,
                labels=built.labels,
                facts=of_data(clients, task.score_name) | of_sample(built.take_measures.sampled),
                clients=count,
                together=seen,
                **shown,
            )
            return recorder.record(
                moments(built.algorithm, task, clients, **plan, compiled=compiled, **shown)
            )
