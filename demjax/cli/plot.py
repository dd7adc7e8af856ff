"""Draws the figures of runs and writes them: ``demjax plot``."""

import argparse
import base64
import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from demjax.cli.parsing import Commands
from demjax.plots.figures import FIGURES
from demjax.plots.record import (
    NothingMeasuredError,
    Record,
    check_one_each,
    read,
    read_all,
)
from demjax.plots.style import style
from demjax.registry import nearest
from demjax.runs.new_files import check_folder, is_there, whole_file
from demjax.runs.reuse import expanded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("pdf", "png", "svg")
FOLDER = "plots"
"""Where a single run's figures go, in its folder."""

LARGE = 150_000
"""Bytes of an SVG from which on a page shows an image of pixels instead."""

TITLES = {
    "measures": "All measures over rounds",
    "comparison": "Settings compared",
    "extra": "Measures beside the score",
    "clients": "Each client over rounds",
    "distribution": "Distribution over clients",
    "fairness": "Fairness",
    "cost": "Time and bytes of a round",
    "dendrograms": "Dendrograms, with the cut of each level",
    "membership": "Who moves where, coloured by first group",
    "membership_true_clusters": "Who moves where, coloured by true cluster",
    "labels": "Labels of clients, by group",
    "group_sizes": "Sizes of groups, and clients alone",
    "rand_index": "Agreement with true clusters, and with the former tree",
}
"""What a page calls each figure."""


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    parser = commands.add_parser("plot", help=summary)
    parser.set_defaults(
        command=lambda given: plot(
            given.runs,
            out=given.out,
            form=given.format,
            only=given.only,
            names=given.names,
            colors=given.colors,
        )
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="a run's folder, or one of runs"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for them [RUN/plots]")
    parser.add_argument("--format", default="png", help=f"{', '.join(FORMATS)} [png]")
    names = ", ".join(FIGURES)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"figures to draw: {names}")
    add_looks(parser)


def add_looks(parser: argparse.ArgumentParser) -> None:
    """Add what runs are called and their colours, to ``plot`` and ``report``."""
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="what to call each RUN; equal ones are one line"
    )
    parser.add_argument(
        "--colors", nargs="+", metavar="COLOR", help="colour of each RUN, such as '#0072b2'"
    )


def plot(
    runs: Sequence[Path],
    *,
    out: Path | None = None,
    form: str = "png",
    only: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
) -> str:
    """Draw every figure that runs allow, and write them to a folder.

    Args:
        runs: Folders of one run, or of several to compare, or one that holds them.
        out: Where to write; by default ``plots`` in the single folder that was given.
        form: ``"pdf"``, ``"png"`` or ``"svg"``.
        only: Names of the figures to draw; by default all that can be.
        names: What to call each run, in place of its options; of equal names are one line.
        colors: The colour of each run.

    Returns:
        Which figures were written, and which not and why.

    Raises:
        ValueError: If a run cannot be read, a figure or format is unknown, none can be drawn or
            one that was named cannot, or a file is there already or cannot be written.
    """
    for name in only or ():
        if name not in FIGURES:
            raise ValueError(f"The figure {name!r} is unknown; {nearest(name, FIGURES)}.")
    if form not in FORMATS:
        raise ValueError(f"The format {form!r} is unknown; {nearest(form, FORMATS)}.")
    doubled = [run for place, run in enumerate(runs) if run in runs[:place]]
    if doubled:
        raise ValueError(f"The run {doubled[0]} was named twice; once is enough.")
    if out is None and len(runs) == 1:
        out = runs[0] / FOLDER
        if out.is_symlink():  # whoever made the run may have put it there
            raise ValueError(
                f"{out} is a link, through which figures would be written elsewhere; possible is "
                "--out with a folder."
            )
    runs = expanded(runs)
    if out is None:
        raise ValueError("Several runs share their figures; possible is --out with a folder.")
    check_matplotlib()
    records, lacking = _readable(runs, names, colors)
    if not records:
        raise ValueError(f"Nothing can be drawn: {' '.join(lacking)}")
    folder = out
    paths = {name: folder / f"{name}.{form}" for name in dict.fromkeys(only or FIGURES)}
    _check_free(folder, list(paths.values()))
    with style():
        drawn, reasons = _draw(records, list(paths))
        if drawn and not only:
            reasons.pop("extra", None)  # what nobody asked a run to measure is not missed
        if reasons and (only or not drawn):
            name, reason = next(iter(reasons.items()))
            raise ValueError(f"The figure {name!r} cannot be drawn. {reason}")
        _write(drawn, paths, folder)
    lines = [f"{folder}: {', '.join(paths[name].name for name in drawn)}"]
    for reason in dict.fromkeys(reasons.values()):
        names = [name for name in reasons if reasons[name] == reason]
        lines.append(f"no {', '.join(names)}: {reason}")
    return "\n".join([*lines, *lacking])


def images(
    runs: Sequence[Path],
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
) -> dict[str, str]:
    """Every figure that runs allow, for a page: small ones as SVG, others as PNG.

    Args:
        runs: Folders of one run, or of several to compare.
        names: What to call each run, in place of its options.
        colors: The colour of each run.

    Returns:
        By title a ``data:`` address; empty without Matplotlib, and where runs cannot be read.
    """
    if find_spec("matplotlib") is None:
        return {}
    try:
        records = _readable(runs, names, colors)[0]
    except ValueError:
        records = []  # whoever makes the page says why
    if not records:
        return {}
    found = {}
    with style():
        for name, figure in _draw(records, list(FIGURES))[0].items():
            text = io.BytesIO()
            figure.savefig(text, format="svg", metadata={"Date": None})
            kind = "svg+xml"
            if text.tell() > LARGE:
                text, kind = io.BytesIO(), "png"
                figure.savefig(text, format="png", dpi=160)
            coded = base64.b64encode(text.getvalue()).decode()
            found[TITLES[name]] = f"data:image/{kind};base64,{coded}"
    return found


def _readable(
    runs: Sequence[Path], names: Sequence[str] | None, colors: Sequence[str] | None
) -> tuple[list[Record], list[str]]:
    """The runs of which something was measured, and what runs lack, a sentence each."""
    check_one_each(len(runs), names=names, colors=colors)
    found: dict[int, Record] = {}
    lacking: list[str] = []
    for place, run in enumerate(runs):
        try:
            found[place] = read(run)
        except NothingMeasuredError as error:
            lacking.append(str(error))
    looks = [given and [given[place] for place in found] for given in (names, colors)]
    records = read_all(list(found.values()), *looks) if found else []
    return records, lacking + [one.missing for one in records if one.missing]


def _draw(
    records: Sequence[Record], names: Sequence[str]
) -> tuple[dict[str, "Figure"], dict[str, str]]:
    """The figures that can be drawn, and why the others cannot."""
    from matplotlib.figure import Figure

    drawn, reasons = {}, {}
    for name in names:
        figure = Figure()
        try:
            FIGURES[name](records, figure)
            drawn[name] = figure
        except ValueError as error:
            reasons[name] = str(error)
    return drawn, reasons


def _write(drawn: dict[str, "Figure"], paths: dict[str, Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        # Without a date, so that the same run gives the same file.
        date = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
        with whole_file(paths[name]) as partial:
            figure.savefig(partial, metadata=date.get(paths[name].suffix[1:]))


def _check_free(folder: Path, paths: Sequence[Path]) -> None:
    """Refuse a folder that is a file or cannot be written, and figures that are there already."""
    there = next((path for path in paths if is_there(path)), None)
    if there is not None:
        raise ValueError(
            f"{there} exists and would be overwritten; possible is another --out, or --only with "
            "other figures."
        )
    check_folder(folder)


def check_matplotlib() -> None:
    """Refuse to draw without Matplotlib."""
    if find_spec("matplotlib") is None:
        raise ValueError(
            "Figures need matplotlib, which is not installed; possible is pip install "
            "'demjax[plots]'."
        )
