"""When a run is measured, and what is measured then."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from demjax.metrics import MEASURES, Measures
from demjax.metrics.selection import check_intervals
from demjax.registry import check_made, check_number

Take = Callable[..., Measures]
"""What takes measures: ``(models, clients) -> Measures``."""


class Schedule(NamedTuple):
    """When what is measured.

    Attributes:
        rounds: The measured rounds, ascending: 0 first, the last round last.
        taken: Which measures are taken in each of them.
    """

    rounds: list[int]
    taken: list[tuple[str, ...]]

    @property
    def sets(self) -> list[tuple[str, ...]]:
        """The different sets of measures, the first of which are all."""
        return list(dict.fromkeys(self.taken))


def measured_rounds(rounds: int, every: int | Sequence[int], done: int = 0) -> list[int]:
    """The rounds after which a run is measured: 0, each ``every``-th or listed one, the last.

    Arguments and errors are those of ``schedule``.
    """
    for name, number, least in (("rounds", rounds, 1), ("done", done, 0)):
        check_made(f"A run needs {name} as", number, int | np.integer, "a whole number")
        check_number("A run", name, int(number), least)
    last = done + rounds
    if not isinstance(every, Sequence | np.ndarray) or isinstance(every, str):
        possible = "a whole number, or the rounds themselves"
        check_made("A run needs eval_every as", every, int | np.integer, possible)
    if isinstance(every, int | np.integer):
        check_number("A run", "eval_every", int(every), 1)
        every = range(-(-done // int(every)) * int(every), last, int(every))
    outside = [number for number in every if not done <= number <= last]
    if outside:
        raise ValueError(
            f"A run of {rounds} rounds can be measured after {done} to {last} of them, but "
            f"{outside[0]} was given."
        )
    return sorted({done, *every, last})


def schedule(
    rounds: int,
    eval_every: int | Sequence[int] = 1,
    measures_every: Mapping[str, int] | None = None,
    *,
    take: Take | None = None,
    done: int = 0,
) -> Schedule:
    """Say in which rounds what is measured.

    In a measured round those measures are due whose interval divides its number, in the first and
    the last round all of them. A round in which none is due is not measured.

    Args:
        rounds: Rounds of the run, at least 1.
        eval_every: Rounds between two measurements, at least 1; or the rounds themselves.
        measures_every: By the name of a measure, ``"client"``, ``"group"`` or ``"global"``, the
            rounds between two of its measurements; by default it is due whenever there is one.
        take: What takes the measures; by default what ``measure`` makes.
        done: Rounds before the run, from which its own are counted on.

    Raises:
        ValueError: If a number is out of range, or an interval is given of what is not measured.
    """
    measured = measured_rounds(rounds, eval_every, done)
    asked: tuple[str, ...] = getattr(take, "measures", MEASURES)
    check_intervals(measures_every, take, asked)
    every = measures_every or {}
    ends = (done, done + rounds)
    due = [
        tuple(name for name in asked if number in ends or number % every.get(name, 1) == 0)
        for number in measured
    ]
    kept = [(number, names) for number, names in zip(measured, due, strict=True) if names]
    return Schedule([number for number, _ in kept], [names for _, names in kept])


def takers(take: Take, sets: Sequence[tuple[str, ...]]) -> list[Take]:
    """What takes each set of measures, of which the first are all that ``take`` takes."""
    return [take, *(partial(take, measures=some) for some in sets[1:])]
