"""Grids of options that are tuned on validation examples before a comparison."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from demjax.experiment.experiment import with_defaults
from demjax.experiment.systems import COMMON, Read, System
from demjax.experiment.tables import all_options
from demjax.registry import ALGORITHMS, check_value, expand, nearest

VALIDATION = 0.2
"""The share of each client's training examples that is held out, unless another one is given."""


def read_grid(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values to try by option, from ``mix=0.2,0.6`` and its like.

    Raises:
        ValueError: If one is no such word, or an option is there twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, _, values = word.partition("=")
        name, several = name.strip().replace("-", "_"), [v.strip() for v in values.split(",")]
        if not name or not all(several):
            raise ValueError(
                f"--grid was given as {word!r}; possible is an option with the values to try, such "
                "as mix=0.2,0.6."
            )
        if name in found or len(set(several)) < len(several):
            what = f"the option {name!r}" if name in found else f"a value of {name!r}"
            raise ValueError(f"--grid was given {what} twice; once is enough.")
        found[name] = tuple(several)
    return found


def combinations(
    system: System, grid: Mapping[str, Sequence[Any]], read: Read = lambda option, value: value
) -> list[dict[str, Any]]:
    """What of a grid is tried for a system: all combinations of the options that it takes.

    Options that were given for this system alone are not tuned. Without any there are none.

    Raises:
        ValueError: If a value is none of its option.
    """
    options = all_options(with_defaults(dict(system.options)))
    taken = [name for name in grid if name in options and name not in system.own]
    values: list[list[Any]] = []
    for name in taken:
        several = [read(options[name], value) for value in grid[name]]
        for value in several:
            check_value(options[name], value, f"--grid {name} needs")
        values.append(several)
    return [dict(zip(taken, one, strict=True)) for one in product(*values)] if taken else []


def check_grid(grid: Mapping[str, Sequence[Any]], systems: Sequence[System]) -> None:
    """Refuse a grid over what is no option, or none that a system takes and does not share.

    Raises:
        ValueError: One sentence.
    """
    known = [all_options(with_defaults(dict(one.options))) for one in systems]
    for name, values in grid.items():
        tables = {options[name].table for options in known if name in options}
        if tables & set(COMMON) or name == "algorithm":
            raise ValueError(
                f"--grid was given {name!r}, which all systems of a comparison share, so that it "
                "cannot be tuned; possible are options of systems and of training."
            )
        if not tables:
            others = [one for one in ALGORITHMS if name in _own(one)]
            possible = {
                n: option
                for options in known
                for n, option in options.items()
                if option.table not in COMMON and n != "algorithm"
            }
            what = f"is for {', '.join(others)}" if others else "is no option"
            raise ValueError(
                f"--grid was given {name!r}, which {what}; {nearest(name, sorted(possible))}."
            )
        if not len(values):
            raise ValueError(f"--grid was given no value of {name!r}; possible is at least one.")
        if all(name in one.own or name not in of for one, of in zip(systems, known, strict=True)):
            raise ValueError(
                f"--grid was given {name!r}, but every system that takes it was given a value of "
                "its own; possible is a system without one."
            )


def _own(algorithm: str) -> set[str]:
    return set(expand(ALGORITHMS[algorithm].make, {}, given=ALGORITHMS.given))
