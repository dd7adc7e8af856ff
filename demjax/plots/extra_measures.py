"""The measures beside the score over rounds."""

from collections.abc import Sequence

from demjax.plots.curves import columns_of, panels, taken
from demjax.plots.record import Run
from demjax.plots.settings import settings
from demjax.plots.style import Axes, Figure, style
from demjax.runs.schema import extra_of


@style()
def extra_measures(
    runs: Run | Sequence[Run],
    *,
    level: int = 1,
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> list[Axes]:
    """Draw the measures beside the score over rounds, a panel for each of clients, groups and root.

    Args:
        runs: A run or several, as ``curve`` takes them.
        level: Level of the groups' measures, 1 for the lowest.
        names: What to call each run, in place of its options.
        colors: The colour of each run, or of the first of those that are one line.
        figure: Where to draw; by default a new one of a column's width.

    Returns:
        The axes, one for each measure that at least one of the runs has.

    Raises:
        ValueError: If a run cannot be read, or none has such a measure.
    """
    several = settings(runs, names, colors)
    found = dict.fromkeys(
        extra_of(name)[0] for one in several for record in one.records for name in record.measures
    )
    possible = [f"{extra}_{column}" for extra in found if extra for column in columns_of(level)]
    shown = taken(several, possible)
    if not shown:
        raise ValueError("None of the runs has measures beside the score.")
    return panels(several, shown, figure)
