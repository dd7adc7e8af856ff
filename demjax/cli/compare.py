"""``demjax compare``: the last measures of runs side by side."""

from pathlib import Path

from demjax.cli.parsing import Commands
from demjax.runs.comparison import compare


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    parser = commands.add_parser("compare", help=summary)
    parser.set_defaults(command=lambda parsed: compare(parsed.runs))
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder")
