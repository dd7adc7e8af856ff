"""How fairly accuracy is shared out among clients."""

from collections.abc import Mapping, Sequence

from demjax.metrics.fairness import fairness_of as fairness_of
from demjax.plots.curves import draw_lines, title
from demjax.plots.per_client import of_clients
from demjax.plots.record import Run
from demjax.plots.settings import settings
from demjax.plots.style import (
    COLUMN,
    Axes,
    Figure,
    labelled,
    legend_of_figure,
    new_figure,
    style,
)

NAMES: Mapping[str, str] = {
    "worst": "mean of the worst tenth",
    "deviation": "standard deviation",
    "gini": "Gini coefficient",
    "jain": "Jain's index",
}


@style()
def fairness(
    runs: Run | Sequence[Run],
    *,
    measure: str = "c_spe",
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> list[Axes]:
    """Draw over rounds how fairly accuracy is shared out among clients, a line for each setting.

    Panels: the mean of the worst tenth of the clients, the standard deviation, the Gini
    coefficient and Jain's index, as ``fairness_of`` defines them; seeds are bands.

    Args:
        runs: A run or several: folders, or histories.
        measure: ``c_spe`` or ``c_gen``.
        names: What to call each run, in place of its options.
        colors: The colour of each run, or of the first of those that are one line.
        figure: Where to draw; by default a new one of a column's width.

    Returns:
        The axes, in the order of ``Fairness``.

    Raises:
        ValueError: If a run cannot be read or holds no clients, or the measure is another one.
    """
    several = settings(runs, names, colors)
    found = []
    for one in several:
        records = []
        for record in one.records:
            rounds, values = of_clients(record, measure)
            fair = fairness_of(values)._asdict()
            records.append(record._replace(round=rounds, measures=fair))
        found.append(one._replace(records=tuple(records)))
    figure = new_figure(figure, (COLUMN, 3.1))
    axes: list[Axes] = []
    for place, (name, shown) in enumerate(NAMES.items()):
        ax = figure.add_subplot(2, 2, place + 1)
        draw_lines(ax, found, name)
        ax.set_title(shown)
        if place < 2:
            ax.set_xlabel("")
        axes.append(ax)
    figure.supylabel(f"clients' {title(measure, several[0].records[0])}", fontsize=8)
    if len(several) > 1:
        legend_of_figure(figure, labelled(axes[0]))
    return axes
