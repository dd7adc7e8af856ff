"""``demjax algorithms``: all learning systems by family, with their papers."""

from itertools import groupby

from demjax.cli.parsing import Commands
from demjax.registry import ALGORITHMS


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    parser = commands.add_parser("algorithms", help=summary)
    parser.set_defaults(command=lambda parsed: listing())


def listing() -> str:
    """All learning systems by family: the name to give, what it is, and its paper."""
    by_family = sorted(ALGORITHMS.choices(), key=lambda choice: choice.facts["family"])
    width = max(len(choice.name) for choice in by_family)
    lines = []
    for family, choices in groupby(by_family, key=lambda choice: choice.facts["family"]):
        lines.append(f"{family}")
        for choice in choices:
            lines.append(f"  {choice.name:<{width}}  {choice.summary}")
            lines.append(f"  {'':<{width}}  {choice.facts['paper']}")
    return "\n".join(lines)
