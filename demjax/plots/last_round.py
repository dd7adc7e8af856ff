"""Many systems in their last round, a row for each, where lines over rounds cover each other."""

from collections.abc import Sequence

import numpy as np

from demjax.plots.settings import Setting, looks
from demjax.plots.style import GREY, PAGE, Axes, Figure, folded, new_figure
from demjax.plots.titles import title

LETTERS = 34
"""How wide a system's name may be before it is folded."""


def rows_of_systems(
    several: Sequence[Setting], shown: Sequence[str], figure: Figure | None
) -> list[Axes]:
    """A panel for each column, in it a row for each setting, the greatest of the first on top.

    A dot is the mean over seeds of what was last measured, its line goes from the least to the
    most. A setting without a measure has no dot there.

    Args:
        several: The settings.
        shown: Columns that at least one of them has.
        figure: Where to draw; by default a new one of a page's width.
    """
    ends = {name: [_last(one, name) for one in several] for name in shown}
    order = sorted(range(len(several)), key=lambda n: -_mean(ends[shown[0]][n]))
    labels = [folded(several[n].label, LETTERS) for n in order]
    height = sum(0.11 * label.count("\n") + 0.155 for label in labels) + 0.6
    figure = new_figure(figure, (PAGE, height))
    axes = list(figure.subplots(1, len(shown), sharey=True, squeeze=False)[0])
    drawn = looks(several)
    for ax, column in zip(axes, shown, strict=True):
        for row, n in enumerate(order):
            values = ends[column][n]
            if not np.isfinite(values).any():
                continue
            colour = drawn[n]["color"]
            ax.plot([np.nanmin(values), np.nanmax(values)], [row, row], color=colour)
            ax.plot([_mean(values)], [row], color=colour, marker="o")
        ax.set_title(folded(title(column, several[0].records[0]), 22))
        ax.grid(axis="y", color=GREY, linewidth=0.3)
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(order)), labels, parse_math=False)
    axes[0].set_ylim(len(order) - 0.5, -0.5)
    counts = sorted({len(one.records) for one in several})
    seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    words = f"; dot: mean of {seeds} seeds, line: least to most" if counts[-1] > 1 else ""
    figure.supxlabel(f"last measurement{words}", fontsize=7)
    return axes


def _last(one: Setting, column: str) -> np.ndarray:
    found = one.values(column)
    return np.array([np.nan]) if found is None else found[1][:, -1]


def _mean(values: np.ndarray) -> float:
    """The mean of what there is; below everything where nothing is."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else -np.inf
