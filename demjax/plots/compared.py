"""Systems compared: measures and fairness over rounds, seeds as bands."""

from collections.abc import Sequence

from demjax.metrics.fairness import fairness_of
from demjax.plots.curves import panels, taken
from demjax.plots.last_round import rows_of_systems
from demjax.plots.record import Record, Run, read_all
from demjax.plots.settings import settings
from demjax.plots.style import Axes, Figure, style
from demjax.runs.compared import Comparison

SHOWN = ("c_spe", "c_gen", "g_gen_l1", "global", "worst_tenth", "jain")
"""The columns that have a panel, in their order."""
LINES = 10
"""So many systems can be told apart as lines over rounds."""
AT_END = ("c_spe", "c_gen", "global", "worst_tenth")
"""The columns that have a panel where more of them are drawn in their last round."""


@style()
def systems(
    runs: Comparison | Run | Sequence[Run],
    *,
    names: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> list[Axes]:
    """Draw systems over rounds, a panel for each measure and in it a line for each system.

    More than ten are drawn in their last round, a row for each.

    Panels are C-SPE, C-GEN, G-GEN of the lowest level, Global, the mean C-SPE of the worst tenth
    of the clients, and Jain's index of it. Seeds are a line, their mean, in a band from the least
    to the most.

    Args:
        runs: What ``demjax.compare`` returns, or runs, as ``curve`` takes them.
        names: What to call each run, in place of its options; not of a comparison.
        figure: Where to draw; by default a new one of a column's width.

    Returns:
        The axes, of what at least one of the systems has.

    Raises:
        ValueError: If a run cannot be read, or none has a measure.
    """
    if isinstance(runs, Comparison):
        records = _records(runs)
    else:
        records = [_with_fairness(record) for record in read_all(runs, names)]
    several = settings(records)
    shown = taken(several, SHOWN)
    if not shown:
        raise ValueError(f"None of the runs has a measure of {', '.join(SHOWN)}.")
    if len(several) > LINES:
        ends = [name for name in shown if name in AT_END]
        return rows_of_systems(several, ends or shown, figure)
    return panels(several, shown, figure)


def _records(comparison: Comparison) -> list[Record]:
    """The runs by their systems' names, with the moment of scoring where that differs."""
    found = []
    moments = {str(row["system"]): str(row["measured_at"]) for row in comparison.table}
    differ = len({moment for moment in moments.values() if moment}) > 1
    for label, folders in zip(comparison.systems, comparison.runs, strict=True):
        moment = moments[label]
        name = f"{label} ({moment})" if differ and moment and moment not in label else label
        found += read_all(list(folders), [name] * len(folders))
    return [_with_fairness(record) for record in found]


def _with_fairness(record: Record) -> Record:
    if record.client_spe is None:
        return record
    fair = fairness_of(record.client_spe)
    measures = {**record.measures, "worst_tenth": fair.worst, "jain": fair.jain}
    return record._replace(measures=measures)
