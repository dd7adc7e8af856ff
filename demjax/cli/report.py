"""``demjax report``: the page of runs, written all of it or not at all."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from demjax.cli.parsing import Commands
from demjax.cli.plot import add_looks, images
from demjax.report.folder import read
from demjax.report.page import page
from demjax.runs.new_files import check_new_file, whole_file
from demjax.runs.reuse import expanded

NAME = "report.html"
"""The page's name in its run's folder."""


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    parser = commands.add_parser("report", help=summary)
    parser.set_defaults(command=_report)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="a run's folder, or one of runs"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help=f"new file for it [{NAME} in the first RUN]"
    )
    parser.add_argument(
        "--no-figures", action="store_true", help="without those of demjax plot, so in no time"
    )
    add_looks(parser)


def write(
    runs: Sequence[Path],
    out: Path | None = None,
    *,
    figures: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
) -> Path:
    """Write the report of run folders.

    Args:
        runs: The folders, at least one.
        out: New file for the page; by default ``report.html`` in the first folder.
        figures: Further figures by title, each as a ``data:`` address of an image.
        names: What to call each run; of equal names are one line.
        colors: The colour of each run.

    Returns:
        The file.

    Raises:
        ValueError: If a folder holds no run or a damaged one, or the file cannot be written.
    """
    out = runs[0] / NAME if out is None else out
    check_new_file(out, "--out NEW_FILE")
    text = page([read(folder) for folder in runs], figures=figures, names=names, colors=colors)
    with whole_file(out) as partial:
        partial.write_text(text, encoding="utf-8")
    return out


def _report(parsed: argparse.Namespace) -> str:
    looks = {"names": parsed.names, "colors": parsed.colors}
    runs, out = expanded(parsed.runs), parsed.out
    if out is None and len(parsed.runs) == 1:
        out = parsed.runs[0] / NAME
    figures = {} if parsed.no_figures else images(runs, **looks)
    lacking = [run.missing for run in map(read, runs) if run.missing]
    return "\n".join([str(write(runs, out, figures=figures, **looks)), *lacking])
