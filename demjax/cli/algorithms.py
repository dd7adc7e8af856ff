"""``demjax algorithms``: all learning systems by family, with their papers."""

import argparse
from itertools import groupby
from typing import TYPE_CHECKING

from demjax import algorithms  # noqa: F401 (registers them)
from demjax.registry import ALGORITHMS

if TYPE_CHECKING:
    from demjax.cli.main import Commands


def add(commands: "Commands") -> None:
    """Add the command to the command line's."""
    parser = commands.add_parser(
        "algorithms", help="which learning systems there are, by family", allow_abbrev=False
    )
    parser.set_defaults(command=_algorithms)


def _algorithms(parsed: argparse.Namespace) -> str:
    return listing()


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
