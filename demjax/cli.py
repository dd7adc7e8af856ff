"""The command line: ``demjax run`` and ``demjax compare``."""

import argparse
import dataclasses
import difflib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from tqdm import tqdm

from demjax import __version__, assemble, experiment, runs
from demjax.experiment import Experiment
from demjax.metrics import Measures
from demjax.simulate import Moment, watch

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130


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
        return parsed.command(parsed)
    except ValueError as error:
        return _say(str(error), WRONG)
    except KeyboardInterrupt:
        return _say("Interrupted.", INTERRUPTED)


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
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    run = commands.add_parser("run", help="run one experiment", allow_abbrev=False)
    run.set_defaults(command=_run)
    run.add_argument("--out", type=Path, required=True, help="new folder for the results")
    run.add_argument("--config", type=Path, help="TOML file of options; flags win over it")
    fields = dataclasses.fields(Experiment)
    titles = dict.fromkeys(field.metadata["group"] for field in fields)
    groups = {title: run.add_argument_group(title) for title in titles}
    for field in fields:
        kind = next(kind for kind in experiment.option_types(field) if kind is not type(None))
        default = "" if field.default is None else f" [{field.default}]"
        choices = experiment.CHOICES.get(field.metadata["choices"] or "", ())
        possible = f": {', '.join(choices)}" if choices else ""
        groups[field.metadata["group"]].add_argument(
            "--" + field.name.replace("_", "-"),
            type=kind,
            default=argparse.SUPPRESS,
            metavar={int: "N", float: "X", str: "NAME"}[kind],
            help=(field.metadata["help"] + possible + default).replace("%", "%%"),
        )

    compare = commands.add_parser("compare", help="the last measures of several runs side by side")
    compare.set_defaults(command=_compare)
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder")

    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = run if parsed.command is _run else compare
        close = difflib.get_close_matches(unknown[0], command._option_string_actions, 1, 0.75)
        hint = f"perhaps {close[0]!r} was meant" if close else f"{command.prog} --help lists all"
        raise ValueError(f"The argument {unknown[0]!r} is unknown; {hint}.")
    return parsed


def _run(parsed: argparse.Namespace) -> int:
    """``demjax run``: check everything, then run and write down as it goes."""
    names = [field.name for field in dataclasses.fields(Experiment)]
    options = experiment.read_toml(parsed.config) if parsed.config else {}
    given = {name: getattr(parsed, name) for name in names if hasattr(parsed, name)}
    asked = Experiment(**experiment.override(options, given))
    resolved = experiment.resolve(asked)
    runs.check_free(parsed.out)
    built = assemble.build(resolved)
    for name in experiment.unused_options(asked):
        flag = name.replace("_", "-")
        print(f"demjax: {asked.algorithm} has no use for --{flag}.", file=sys.stderr)
    runs.create(parsed.out, experiment.to_toml(resolved))
    moments = watch(
        built.algorithm,
        built.task,
        built.clients,
        rounds=resolved.rounds,
        key=assemble.run_key(resolved),
        eval_every=resolved.eval_every,
    )
    return _Recorder(parsed.out, resolved).record(moments)


class _Recorder:
    """Writes a run down as it happens: the one place of the command line that keeps state."""

    def __init__(self, out: Path, resolved: Experiment):
        self.out = out
        self.resolved = resolved
        self.rows: list[dict[str, Any]] = []
        self.round_seconds: list[float] = []
        self.measure_seconds: list[float] = []
        self.compile_seconds = 0.0
        self.environment = runs.environment()

    def record(self, moments: Iterator[Moment]) -> int:
        """Follow a run to its end, its failure or its interruption."""
        begin = time.perf_counter()
        bar = tqdm(total=self.resolved.rounds, unit="round", disable=None, dynamic_ncols=True)
        status, sentence, code = "done", "", DONE
        bar.set_description_str("compiling")
        if bar.disable:
            print("compiling", file=sys.stderr)
        try:
            for moment in moments:
                self.compile_seconds = moment.compile_seconds
                bar.set_description_str("")
                if moment.round > 0:
                    self.round_seconds.append(moment.round_seconds)
                    bar.update()
                if moment.measures is None:
                    continue
                self.measure_seconds.append(moment.measure_seconds)
                diverged = int(moment.measures.diverged)
                if diverged:
                    status, code = "diverged", FAILED
                    sentence = (
                        f"The run diverged: after round {moment.round} the models of {diverged} of "
                        f"{self.resolved.clients} clients are not finite; what was measured before "
                        f"is kept in {self.out}."
                    )
                    break
                seconds = time.perf_counter() - begin - self.compile_seconds
                self._keep(moment.round, jax.device_get(moment.measures), seconds, bar)
        except KeyboardInterrupt:
            status, code = "interrupted", INTERRUPTED
            # A second Ctrl-C shall not keep the summary from being written.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            bar.close()
            if not self.rows:
                runs.discard(self.out)
                return _say("Interrupted before anything was measured; nothing is kept.", code)
            done = len(self.round_seconds)
            sentence = f"Interrupted after {done} rounds; what was measured is kept in {self.out}."
        except OSError as error:
            status, code = "failed", FAILED
            sentence = f"The run stopped because {self.out} cannot be written: {error.strerror}."
        except jax.errors.JaxRuntimeError as error:
            status, code = "failed", FAILED
            sentence = f"The run failed on the device: {str(error).splitlines()[0]}"
        except Exception as error:  # whatever it is, what was measured gets its summary
            status, code = "failed", FAILED
            sentence = f"The run failed ({type(error).__name__}): {str(error).splitlines()[0]}"
        finally:
            bar.close()
        try:
            self._summarize(status, time.perf_counter() - begin)
        except OSError as error:
            code = FAILED
            sentence = sentence or f"The summary cannot be written: {error.strerror}."
        if self.rows:
            print(table([(str(self.out), self.rows[-1], status)]))
        return _say(sentence, code) if sentence else code

    def _keep(self, done: int, measures: Measures, seconds: float, bar: tqdm) -> None:
        row = runs.metrics_row(done, measures, seconds)
        runs.append(self.out / runs.CLIENTS, runs.clients_rows(done, measures))
        runs.append(self.out / runs.METRICS, [row])
        self.rows.append(row)
        last = {"C-SPE": row["c_spe"], "C-GEN": row["c_gen"], "Global": row["global"]}
        if not bar.disable:
            bar.set_postfix({name: f"{value:.3f}" for name, value in last.items()})
        else:
            shown = "  ".join(f"{name} {value:.4f}" for name, value in last.items())
            left = (seconds / max(done, 1)) * (self.resolved.rounds - done)
            when = f"about {left:.0f} s left" if done else "starting"
            print(f"round {done}/{self.resolved.rounds}  {shown}  {when}", file=sys.stderr)

    def _summarize(self, status: str, seconds: float) -> None:
        def median(values):
            return float(np.median(values)) if values else None

        summary = {
            "status": status,
            "algorithm": self.resolved.algorithm,
            "rounds_done": len(self.round_seconds),
            "final": self.rows[-1] if self.rows else None,
            "compile_seconds": self.compile_seconds,
            "round_seconds": median(self.round_seconds),
            "measure_seconds": median(self.measure_seconds),
            "total_seconds": seconds,
            **self.environment,
        }
        runs.write_summary(self.out, summary)


def _compare(parsed: argparse.Namespace) -> int:
    """``demjax compare``: the last measures of several runs, side by side."""
    summaries = [(str(out), runs.read_summary(out)) for out in parsed.runs]
    finals = [(out, summary["final"], summary["status"]) for out, summary in summaries]
    empty = [out for out, final, _ in finals if not final]
    if empty:
        raise ValueError(f"The run {empty[0]} ended before anything was measured.")
    print(table(finals))
    return DONE


def table(finals: Sequence[tuple[str, dict[str, Any], str]]) -> str:
    """Rows of last measures as an aligned table, a run a line, and how it ended unless done."""
    width = max(len("run"), *(len(name) for name, _, _ in finals))
    lines = [f"{'run':<{width}}  rounds   C-SPE   C-GEN  Global"]
    for name, row, status in finals:
        numbers = "  ".join(f"{row[measure]:6.4f}" for measure in ("c_spe", "c_gen", "global"))
        ended = "" if status == "done" else f"  {status}"
        lines.append(f"{name:<{width}}  {row['round']:>6}  {numbers}{ended}")
    return "\n".join(lines)


def _say(sentence: str, code: int) -> int:
    print(f"demjax: {sentence}", file=sys.stderr)
    return code
