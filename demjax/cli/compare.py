"""``demjax compare``: the last measures of runs side by side."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from demjax.runs.writer import compare

if TYPE_CHECKING:
    from demjax.cli.main import Commands


def add(commands: "Commands") -> None:
    """Add the command to the command line's."""
    parser = commands.add_parser(
        "compare", help="the last measures of runs side by side", allow_abbrev=False
    )
    parser.set_defaults(command=_compare)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder")


def _compare(parsed: argparse.Namespace) -> str:
    return compare(parsed.runs)
