"""The command line: ``demjax run``, ``compare``, ``plot``, ``report`` and on data."""

import argparse
import dataclasses
import difflib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, NoReturn

import jax

from demjax._version import __version__
from demjax.backend import memory, policy
from demjax.backend.compilation import compile_once
from demjax.backend.sharding import spread_over, use_cores
from demjax.cli import datasets, partition, plot, report
from demjax.data.sources.cache import default_folder
from demjax.experiment import build, config, defaults, experiment, validation
from demjax.experiment.experiment import Experiment
from demjax.experiment.presets import PRESETS
from demjax.runs import folder as run_folder
from demjax.runs.tensorboard import Row, event_file
from demjax.runs.writer import DONE, FAILED, INTERRUPTED, WRONG, Recorder, compare, first_line, say
from demjax.simulation.run import programs, watch


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, like all others here."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message[0].upper() + message[1:].rstrip(".") + ".")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns:
        0 done; 1 the run itself failed; 2 wrong arguments or data; 130 interrupted.
    """
    try:
        parsed = _read(sys.argv[1:] if arguments is None else arguments)
        outcome = parsed.command(parsed)  # how a run ended, or what there is to say
        if not isinstance(outcome, str):
            return outcome
        print(outcome)
        return DONE
    except ValueError as error:
        return say(str(error), WRONG)
    except MemoryError as error:
        return say(f"There is not enough memory. {str(error).rstrip('.')}.", FAILED)
    except KeyboardInterrupt:
        return say("Interrupted.", INTERRUPTED)


def entry() -> NoReturn:
    """What the shell's ``demjax`` calls: ``main``, and an end that leaves no trace of threads.

    A compiler that is interrupted at work can crash while Python takes everything down in order,
    so an interrupted run ends at once. SIGTERM, which schedulers send, stops a run as Ctrl-C does.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = FAILED
    try:
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # whoever read our output has gone
        os._exit(FAILED)
    if code == INTERRUPTED:
        os._exit(code)
    sys.exit(code)


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="demjax", description="Simulate learning systems of many clients.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"demjax {__version__}")
    commands = parser.add_subparsers(
        required=True, dest="subcommand", metavar="COMMAND", parser_class=_Parser
    )

    run = commands.add_parser("run", help="run one experiment", allow_abbrev=False)
    run.set_defaults(command=_run)
    run.add_argument("--out", type=Path, required=True, help="new folder for the results")
    run.add_argument(
        "--devices", type=int, metavar="N", help="devices to spread clients over [all; CPU cores]"
    )
    run.add_argument(
        "--tensorboard", action="store_true", help="also write a TensorBoard event file"
    )
    run.add_argument(
        "--no-compile-cache", action="store_true", help="compile anew what an earlier run compiled"
    )
    _add_options(run, dataclasses.fields(Experiment))

    dealing = commands.add_parser(
        "partition", help="deal a data set to clients, and show who has what", allow_abbrev=False
    )
    dealing.set_defaults(command=_partition)
    dealing.add_argument("--out", type=Path, help="new .npz file for it")
    dealing.add_argument("--picture", type=Path, help="new .png, .svg or .pdf file of it")
    _add_options(dealing, partition.options())

    comparing = commands.add_parser("compare", help="the last measures of runs side by side")
    comparing.set_defaults(command=lambda parsed: compare(parsed.runs))
    comparing.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder")

    figures = commands.add_parser("plot", help="draw the figures of runs", allow_abbrev=False)
    figures.set_defaults(command=_plot)
    plot.add_arguments(figures)

    datasets = commands.add_parser("datasets", help="which data sets there are, and which are here")
    datasets.set_defaults(command=_datasets)
    datasets.add_argument("--data-dir", type=Path, metavar="DIR", help="folder to search")
    datasets.add_argument("--fetch", metavar="NAME", help="download one to that folder")

    report.add(commands)

    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = commands.choices[parsed.subcommand]
        close = difflib.get_close_matches(unknown[0], command._option_string_actions, 1, 0.75)
        hint = f"perhaps {close[0]!r} was meant" if close else f"{command.prog} --help lists all"
        raise ValueError(f"The argument {unknown[0]!r} is unknown; {hint}.")
    return parsed


def _add_options(parser: argparse.ArgumentParser, fields: Sequence[dataclasses.Field]) -> None:
    """A flag for each option of an experiment, and where else options come from."""
    parser.add_argument(
        "--config",
        type=Path,
        help="TOML file of options, which win over a preset; flags win over both",
    )
    names = ", ".join(PRESETS)
    parser.add_argument("--preset", metavar="NAME", help=f"options that go together: {names}")
    titles = dict.fromkeys(field.metadata["group"] for field in fields)
    groups = {title: parser.add_argument_group(title) for title in titles}
    for field in fields:
        one, many, _ = experiment.option_types(field)
        metavar = {int: "N", float: "X", str: "NAME"}[one or many or str]
        default = "" if field.default is None else f" [{field.default}]"
        choices = defaults.CHOICES.get(field.metadata["choices"] or "", ())
        possible = f": {', '.join(choices)}" if choices else ""
        groups[field.metadata["group"]].add_argument(
            "--" + field.name.replace("_", "-"),
            type=_reader(field),
            default=argparse.SUPPRESS,
            metavar=metavar if one else f"{metavar},…",
            help=(field.metadata["help"] + possible + default).replace("%", "%%"),
        )


def _reader(field: dataclasses.Field) -> Callable[[str], Any]:
    """What argparse reads an option's word with; it names its type when it complains."""

    def read(word):
        return experiment.parse(field, word)

    one, many, _ = experiment.option_types(field)
    read.__name__ = one.__name__ if one else f"list of {(many or str).__name__}"
    return read


def _run(parsed: argparse.Namespace) -> int:
    """``demjax run``: check everything, then run and write down as it goes."""
    asked = _asked(parsed)
    resolved = validation.resolve(asked)
    run_folder.check_free(parsed.out)
    with event_file(parsed.out, wanted=parsed.tensorboard) as also, _devices(parsed.devices):
        kept = None if parsed.no_compile_cache else default_folder()
        return _watched(parsed.out, asked, resolved, also, kept and kept / "programs")


def _asked(parsed: argparse.Namespace) -> Experiment:
    """The experiment of a preset, a file and flags, each winning over the one before."""
    names = [field.name for field in dataclasses.fields(Experiment)]
    if parsed.preset is not None and parsed.preset not in PRESETS:
        hint = validation.nearest(parsed.preset, PRESETS)
        raise ValueError(f"The preset {parsed.preset!r} is unknown; {hint}.")
    filed = config.read_toml(parsed.config) if parsed.config else {}
    filed = config.override(PRESETS.get(parsed.preset, {}), filed)
    given = {name: getattr(parsed, name) for name in names if hasattr(parsed, name)}
    return Experiment(**config.override(filed, given))


def _devices(asked: int | None) -> AbstractContextManager:
    """The devices of a run: those asked for, or all there are, on a CPU one for each core."""
    there = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if there else os.cpu_count() or 1
    if asked is not None and asked < 1:
        raise ValueError(f"--devices can be 1 or more, but {asked} was given.")
    if asked is not None and asked > cores and policy.devices_are_cores():
        raise ValueError(f"--devices was given as {asked}; possible is 1 to {cores}, one a core.")
    with suppress(ValueError):  # where something has been computed, the devices are what they are
        use_cores(min(asked or cores, cores))
    return spread_over(asked)


def _watched(
    out: Path,
    asked: Experiment,
    resolved: Experiment,
    also: Callable[[Row], None],
    kept: Path | None,
) -> int:
    built = build.build(resolved)
    for user, name in validation.unused_options(asked):
        print(f"demjax: {user} has no use for --{name.replace('_', '-')}.", file=sys.stderr)
    print("compiling", file=sys.stderr)
    key, parts = build.run_key(resolved), built[:3]
    try:
        with build.products(resolved):
            compiled, found = compile_once(
                lambda: programs(*parts, key=key, take_measures=built.take_measures), kept
            )
    except jax.errors.JaxRuntimeError as error:
        return say(f"The run cannot be compiled: {first_line(error)}", FAILED)
    needs, present = memory.needed(*compiled[:3]), memory.free()
    examples = memory.whole(built.clients.x, built.clients.y)
    memory.check_fits(needs, present, clients=resolved.clients, examples=examples)
    print(f"needs {memory.gigabytes(needs)} of memory", file=sys.stderr)
    run_folder.create(out, config.to_toml(resolved), built.partition, built.y)
    moments = watch(
        *parts,
        rounds=resolved.rounds,
        key=key,
        eval_every=resolved.eval_every,
        take_measures=built.take_measures,
        compiled=compiled,
    )
    return Recorder(out, resolved, build.parameters(built.task), also, found).record(moments)


def _partition(parsed: argparse.Namespace) -> str:
    return partition.show(_asked(parsed), out=parsed.out, picture=parsed.picture)


def _plot(parsed: argparse.Namespace) -> str:
    return plot.plot(parsed.runs, out=parsed.out, form=parsed.format, only=parsed.only)


def _datasets(parsed: argparse.Namespace) -> str:
    folder = parsed.data_dir
    return (
        datasets.listing(folder) if parsed.fetch is None else datasets.fetch(parsed.fetch, folder)
    )
