"""Which runs are one line of the page's curves, what it is called, and its colour."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from demjax.plots.record import Record, read_all
from demjax.plots.settings import settings
from demjax.report.folder import Run


class Line(NamedTuple):
    """A line of the curves: the mean of runs that differ by their seed only.

    Attributes:
        name: What it is called; ``None`` for the name of its only run.
        runs: The places of its runs.
        color: Its colour, ``#rrggbb``; ``None`` for one of the page's own.
    """

    name: str | None
    runs: tuple[int, ...]
    color: str | None


def lines_of(
    runs: Sequence[Run], names: Sequence[str] | None = None, colors: Sequence[str] | None = None
) -> list[Line]:
    """The lines of runs: those of one setting under different seeds together, all others apart.

    Raises:
        ValueError: If names or colours are not one for each run, or a colour is none.
    """
    bare = [
        Record(run.name, np.zeros(0, int), {}, None, None, None, {}, run.config, run.summary, None)
        for run in runs
    ]
    records = read_all(bare, names, colors)
    found: list[Line] = []
    for one in settings(records):
        places = [i for i, run in enumerate(records) if any(run is its for its in one.records)]
        seeds = {run.options.get("seed") for run in one.records}
        if one.records[0].named or len(seeds) == len(places):
            found.append(Line(one.label, tuple(places), one.color))
        else:  # the same run twice is no spread
            found += [Line(None, (place,), records[place].color) for place in places]
    if names is None and len(found) == len(runs):
        return [one._replace(name=None) for one in found]
    return found
