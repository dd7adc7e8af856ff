"""How fairly accuracy is shared out among clients."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

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


class Fairness(NamedTuple):
    """How fairly accuracy is shared out, at each measurement.

    Attributes:
        worst: Mean of the worst tenth of the clients, of at least one.
        deviation: Standard deviation over clients.
        gini: Gini coefficient: 0 if all have the same, towards 1 if one has everything.
        jain: Jain's index: 1 if all have the same, ``1 / N`` if one has everything.
    """

    worst: Float[np.ndarray, " E"]
    deviation: Float[np.ndarray, " E"]
    gini: Float[np.ndarray, " E"]
    jain: Float[np.ndarray, " E"]


NAMES: Mapping[str, str] = {
    "worst": "mean of the worst tenth",
    "deviation": "standard deviation",
    "gini": "Gini coefficient",
    "jain": "Jain's index",
}


def fairness_of(values: Float[np.ndarray, " E N"]) -> Fairness:
    """How fairly a measure is shared out among clients.

    With the ``n`` values that are there in ascending order, ``x_1 ≤ … ≤ x_n``, and their mean
    ``m``:

    - worst: the mean of ``x_1 … x_k``, where ``k = max(1, ⌊n / 10⌋)``;
    - deviation: ``√(Σ (x_i − m)² / n)``;
    - Gini: ``Σ (2 i − n − 1) x_i / (n² m)``;
    - Jain: ``(Σ x_i)² / (n Σ x_i²)``.

    Args:
        values: A measure of each client at each measurement, 0 or more; NaN where a client has
            none, which leaves it out.

    Returns:
        The four numbers at each measurement: NaN without a client, and for the last two where
        all have 0.

    Source: Gini, Variabilità e mutabilità, 1912; Jain, Chiu and Hawe, A quantitative measure of
    fairness, DEC Research Report TR-301, 1984; Li et al., Fair resource allocation in federated
    learning, ICLR 2020, for the worst tenth and the deviation.
    """
    rows = [_of_one(np.sort(row[np.isfinite(row)])) for row in np.asarray(values, float)]
    return Fairness(*np.array(rows, float).reshape(-1, 4).T)


def _of_one(x: np.ndarray) -> tuple[float, float, float, float]:
    count, total = len(x), x.sum()
    if not count:
        return (np.nan,) * 4
    worst = float(x[: max(1, count // 10)].mean())
    if total <= 0:
        return worst, float(x.std()), np.nan, np.nan
    rank = 2 * np.arange(1, count + 1) - count - 1
    return worst, float(x.std()), float(rank @ x / (count * total)), total**2 / (count * (x @ x))


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
