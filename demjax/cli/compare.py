"""``demjax compare``: systems run and compared, or the last measures of runs side by side."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from demjax.cli import resuming
from demjax.cli.parsing import Commands, help_of, pairs, read_config, take_options
from demjax.cli.run import devices_here, devices_of_run
from demjax.experiment.config import read_preset
from demjax.experiment.experiment import with_defaults
from demjax.experiment.grids import VALIDATION, read_grid
from demjax.experiment.overriding import override
from demjax.experiment.systems import specified, systems, word_read
from demjax.experiment.tables import all_options
from demjax.plots.record import NothingMeasuredError, Record, read
from demjax.plots.settings import settings
from demjax.runs import score_tables
from demjax.runs.compare_systems import carried_out, how_far
from demjax.runs.compared import Comparison, compared, write
from demjax.runs.comparison import compare
from demjax.runs.comparison_plan import Plan
from demjax.runs.exits import DONE, FAILED, say
from demjax.runs.new_files import whole_file
from demjax.runs.planning import planned
from demjax.runs.reuse import expanded
from demjax.runs.scores import BY

PICTURE = "comparison.png"
"""The picture's name in the comparison's folder."""


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    parser = commands.add_parser(
        "compare",
        help=summary,
        add_help=False,
        usage="demjax compare RUN … | --algorithms NAME[:OPTION=VALUE],… --seeds N,… --out DIR "
        "[OPTION VALUE …]",
        description="Show the last measures of runs, or run systems under several seeds and "
        "compare them. Systems get those of the options of demjax run that they take.",
    )
    parser.add_argument(
        "--algorithms",
        metavar="NAME,…",
        help="systems to run, each with options of its own: fedavg,fedavg:mix=0.6,ditto:prox=0.5",
    )
    parser.add_argument("--seeds", metavar="N,…", help="seeds that each is run with [0]")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the comparison")
    parser.add_argument(
        "--by", default=BY[0], metavar="NAME", help=f"what is best: {', '.join(BY)} [{BY[0]}]"
    )
    parser.add_argument(
        "--grid",
        action="append",
        metavar="OPTION=VALUE,…",
        help="values to try on validation examples, for systems that take the option; repeatable",
    )
    parser.add_argument(
        "--validation",
        metavar="X",
        help=f"share of each client's training examples held out for --grid [{VALIDATION}]",
    )
    parser.add_argument(
        "--devices", type=int, metavar="N", help="devices to spread clients over [all; CPU cores]"
    )
    resuming.add_checkpoints(parser)
    parser.add_argument(
        "--no-compile-cache", action="store_true", help="compile anew what an earlier run compiled"
    )
    take_options(parser, _compare)


def _compare(parsed: argparse.Namespace, words: Sequence[str]) -> int | str:
    if parsed.algorithms is not None:
        return _systems(parsed, words)
    if parsed.help:
        return help_of(parsed.parser, {})
    _check_runs(parsed, words)
    runs = expanded([Path(word) for word in words])
    return "\n".join([compare(runs), *over_seeds(runs)])


def _check_runs(parsed: argparse.Namespace, words: Sequence[str]) -> None:
    """Refuse options that belong to a comparison of systems."""
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    given = [
        "seeds",
        "out",
        "grid",
        "validation",
        "config",
        "preset",
        "devices",
        "checkpoint_every",
        "keep",
    ]
    own = [f"--{name.replace('_', '-')}" for name in given if getattr(parsed, name) is not None]
    if flags or own:
        flag = (own or flags)[0]
        known = list(parsed.parser._option_string_actions)
        close = difflib.get_close_matches(flag, known, 1, 0.75)
        if close and not own:
            raise ValueError(f"The argument {flag!r} is unknown; perhaps {close[0]!r} was meant.")
        raise ValueError(f"The option {flag} needs --algorithms beside it: the systems to compare.")
    if not words:
        raise ValueError(
            "Nothing was given to compare; possible are folders of runs, or --algorithms with "
            "--out."
        )


def over_seeds(runs: Sequence[Path]) -> list[str]:
    """Mean and standard deviation of runs that differ by their seed only, a line a setting."""
    records: list[Record] = []
    for run in runs:
        try:
            records.append(read(run))
        except NothingMeasuredError:  # which is said elsewhere
            continue
    several = settings(records) if records else []
    moments = {str(one.summary.get("measured_at") or "") for one in records} - {""}
    said = []
    for one in several:
        seeds = {record.options.get("seed") for record in one.records}
        if len(seeds) == len(one.records) > 1:
            shown = [_spread(one.records, name) for name in ("c_spe", "c_gen", "global")]
            said.append(f"{one.label}, {len(seeds)} seeds: {', '.join(filter(None, shown))}")
    if said:
        said.append("± sample standard deviation over seeds")
    if len(moments) > 1:
        for moment in sorted(moments):
            mine = [str(one.folder) for one in records if one.summary.get("measured_at") == moment]
            said.append(f"clients' models scored {moment}: {', '.join(mine)}")
    return said


def _spread(records: Sequence[Record], name: str) -> str:
    values = np.array([one.measures[name][-1] for one in records if name in one.measures])
    values = values[~np.isnan(values)]
    shown = {"c_spe": "C-SPE", "c_gen": "C-GEN", "global": "Global"}[name]
    if values.size < 2:
        return ""
    return f"{shown} {values.mean():.4f} ± {values.std(ddof=1):.4f}"


def _systems(parsed: argparse.Namespace, words: Sequence[str]) -> int | str:
    filed = read_preset(parsed.preset) if parsed.preset is not None else {}
    given, wanted = pairs(words), specified(parsed.algorithms)
    filed = override(filed, read_config(parsed.config, given)) if parsed.config else filed
    if parsed.help:
        return help_of(parsed.parser, _options(wanted, filed, given))
    if parsed.out is None:
        raise ValueError("The option --out is needed: a folder for the comparison.")
    if parsed.validation is not None and not parsed.grid:
        raise ValueError("The option --validation needs --grid beside it: the values to choose of.")
    resuming.check_checkpoints(parsed)
    plan = planned(
        wanted,
        seeds=_seeds(parsed.seeds),
        out=parsed.out,
        filed=filed,
        given=given,
        by=parsed.by,
        grid=read_grid(parsed.grid or ()),
        validation=_share(parsed.validation),
        read=word_read,
    )
    for note in plan.notes:
        print(note, file=sys.stderr)
    devices = devices_here(parsed.devices)
    with devices_of_run(devices, alone=True):
        saved = {"every": parsed.checkpoint_every, "keep": parsed.keep}
        plan, code = carried_out(plan, cached=not parsed.no_compile_cache, **saved)
    return _shown(plan) if code == DONE else _ended_early(plan, code)


def _options(wanted: Sequence, filed: dict, given: dict) -> dict:
    """The options that at least one of the systems takes, for help."""
    found: dict = {}
    for one in systems(wanted, filed, given, word_read)[0]:
        found = {**all_options(with_defaults(dict(one.options))), **found}
    left_out = ("algorithm", "seed", "validation")
    return {name: option for name, option in found.items() if name not in left_out}


def _seeds(text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in (text or "0").split(","))
    except ValueError:
        raise ValueError(
            f"--seeds needs whole numbers parted by commas, but {text!r} was given."
        ) from None


def _share(text: str | None) -> float:
    try:
        return VALIDATION if text is None else float(text)
    except ValueError:
        raise ValueError(f"--validation needs a number, but {text!r} was given.") from None


def _ended_early(plan: Plan, code: int) -> int:
    how = "A run failed" if code == FAILED else "Interrupted"
    return say(f"{how}; {how_far(plan)}", code)


def _shown(plan: Plan) -> str:
    """Write what came of a comparison, and the table as text."""
    comparison = compared(plan)
    files = write(comparison, plan.out)
    lines = [score_tables.as_text(comparison.table, comparison.notes), ""]
    if find_spec("matplotlib") is None:
        lines.append(f"no {PICTURE}: matplotlib is not installed.")
    else:
        files.append(_draw(comparison, plan.out / PICTURE))
    return "\n".join([*lines, f"{plan.out}: {', '.join(path.name for path in files)}"])


def _draw(comparison: Comparison, path: Path) -> Path:
    from matplotlib.figure import Figure

    from demjax.plots.compared import systems as drawn
    from demjax.plots.style import style

    figure = Figure()
    with style():
        drawn(comparison, figure=figure)
        with whole_file(path) as partial:
            figure.savefig(partial)
    return path
