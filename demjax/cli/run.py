"""``demjax run``: check everything, then run and write down as it goes."""

import argparse
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

import jax

from demjax.backend import policy
from demjax.backend.cores import use_cores
from demjax.backend.processes import Together
from demjax.backend.sharding import spread_over
from demjax.cli import dividing, processes, resuming
from demjax.cli.parsing import Commands, help_of, read_given, take_options
from demjax.data.sources.cache import default_folder
from demjax.experiment.experiment import Experiment, resolve, with_defaults
from demjax.experiment.tables import all_options
from demjax.runs import folder as run_folder
from demjax.runs.carry_out import carry_out
from demjax.runs.environment import told_apart
from demjax.runs.exits import DONE, first_line, say
from demjax.runs.tensorboard import event_file


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    run = commands.add_parser(
        "run",
        help=summary,
        add_help=False,
        usage="demjax run --out DIR [--config FILE] [--preset NAME] [OPTION VALUE …]\n"
        "       demjax run --resume DIR [--rounds N]",
        description="Run one experiment. What is chosen says which options there are: --algorithm "
        "fedavg --help shows FedAvg's.",
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="new folder for the results")
    run.add_argument(
        "--devices", type=int, metavar="N", help="devices to spread clients over [all; CPU cores]"
    )
    dividing.add_flag(run)
    resuming.add_flags(run)
    processes.add_flags(run)
    run.add_argument(
        "--tensorboard", action="store_true", help="also write a TensorBoard event file"
    )
    run.add_argument(
        "--no-compile-cache", action="store_true", help="compile anew what an earlier run compiled"
    )
    take_options(run, _run)


def _run(parsed: argparse.Namespace, words: Sequence[str]) -> int | str:
    resuming.check_flags(parsed)
    if parsed.resume is not None and not parsed.help:
        resolved, done = resuming.as_begun(parsed, words)
        if done:
            return say(*done)
    else:
        given = read_given(parsed, words)
        if parsed.help:
            return help_of(parsed.parser, all_options(with_defaults(given.options)))
        if parsed.out is None:
            raise ValueError("The option --out is needed: a new folder for the results.")
        resolved = resolve(given.options)
    joined, local = processes.asked_for(parsed), devices_here(parsed.devices)
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
    out = parsed.out if parsed.resume is None else parsed.resume
    if here and parsed.resume is None:
        run_folder.check_free(out)
    wanted = parsed.tensorboard and here
    stream = None if here else processes.nowhere()
    with (
        event_file(out, wanted=wanted) as also,
        devices_of_run(devices, alone=seen is None),
        dividing.as_asked(parsed),
    ):
        if here and parsed.config and (differing := told_apart(parsed.config)):
            say(differing, DONE)
        kept = None if parsed.no_compile_cache else default_folder()
        kept = kept and kept / "programs"
        return carry_out(
            resolved,
            out,
            stream=stream,
            kept=kept,
            also=also,
            seen=seen,
            every=parsed.checkpoint_every,
            keep=parsed.keep,
            resume=parsed.resume is not None,
        )


def _cores() -> int:
    there = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if there else os.cpu_count() or 1


def devices_here(asked: int | None) -> int | None:
    """How many devices of this process are asked for, on a CPU as many as there are then made."""
    cores = _cores()
    if asked is not None and asked < 1:
        raise ValueError(f"--devices can be 1 or more, but {asked} was given.")
    with suppress(ValueError):  # where something has been computed, the devices are as they are
        use_cores(min(asked or cores, cores))
    return asked


def devices_of_run(asked: int | None, *, alone: bool) -> AbstractContextManager:
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
