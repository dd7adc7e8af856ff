"""The measures over rounds: settings compared, seeds as bands."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from demjax.plots.record import Run
from demjax.plots.settings import Setting, looks, settings
from demjax.plots.style import (
    BLACK,
    BLUE,
    COLUMN,
    GREEN,
    ORANGE,
    PAGE,
    VERMILLION,
    Axes,
    Figure,
    axes_or_new,
    folded,
    follow,
    labelled,
    legend_above,
    legend_of_figure,
    new_figure,
    style,
    whole_rounds,
)
from demjax.plots.titles import MEASURES as MEASURES
from demjax.plots.titles import columns_of as columns_of
from demjax.plots.titles import title as title

LOOKS: Mapping[str, dict[str, Any]] = {
    "global": {"color": BLACK, "linestyle": "-", "marker": "o"},
    "g_gen": {"color": GREEN, "linestyle": (0, (4, 1.5)), "marker": "^"},
    "g_spe": {"color": ORANGE, "linestyle": (0, (5, 1.2, 1, 1.2)), "marker": "D"},
    "c_spe": {"color": VERMILLION, "linestyle": (0, (2, 1)), "marker": "s"},
    "c_gen": {"color": BLUE, "linestyle": (0, (1, 1.2)), "marker": "v"},
}
"""How each measure's line is drawn: arguments of ``Axes.plot``."""


@style()
def curve(
    runs: Run | Sequence[Run],
    *,
    measure: str = "c_gen",
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw one measure over rounds, a line for each setting.

    Runs that differ by their seed only are one line, their mean, in a band from the least to the
    most. Lines are called by the options by which the settings differ.

    Args:
        runs: A run or several: folders, or histories.
        measure: A column of ``metrics.csv``, such as ``g_gen_l1``.
        names: What to call each run, in place of its options; of equal names are one line.
        colors: The colour of each run, or of the first of those that are one line.
        legend: Whether to explain the lines above the axes.
        ax: Where to draw; by default in a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: If a run cannot be read, or none has the measure.
    """
    several = settings(runs, names, colors)
    ax = axes_or_new(ax, (COLUMN, 2.4))
    if not draw_lines(ax, several, measure):
        raise ValueError(f"None of the runs has the measure {measure!r}; {_columns(several)}.")
    ax.set_ylabel(title(measure, several[0].records[0]))
    if legend:
        legend_above(ax, title=spread(several))
    return ax


def spread(several: Sequence[Setting]) -> str | None:
    """What lines and bands are, for a legend's title; ``None`` where there are no bands."""
    counts = sorted({len(one.records) for one in several} - {1})
    if not counts:
        return None
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"line: mean of {seeds} seeds; band: least to most"


def draw_lines(ax: Axes, several: Sequence[Setting], measure: str) -> int:
    """Draw a measure of all settings that have it; returns how many these are."""
    drawn = 0
    for one, look in zip(several, looks(several), strict=True):
        values = one.values(measure)
        if values is not None:
            draw_band(ax, *values, look, one.label)
            drawn += 1
    whole_rounds(ax)
    return drawn


def draw_band(ax: Axes, rounds: Any, values: Any, look: dict[str, Any], label: str) -> None:
    """Draw the mean of several runs, and a band from the least to the most."""
    every = max(1, len(rounds) // 6)
    (line,) = ax.plot(rounds, values.mean(axis=0), label=label, markevery=every, **look)
    if len(values) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        band = ax.fill_between(rounds, low, high, color=look["color"], alpha=0.2, linewidth=0)
        follow(line, band)


def taken(several: Sequence[Setting], columns: Sequence[str]) -> list[str]:
    """Those of some columns that at least one of the settings has."""
    return [name for name in columns if any(one.values(name) is not None for one in several)]


def _columns(several: Sequence[Setting]) -> str:
    known = dict.fromkeys(
        name
        for one in several
        for record in one.records
        for name, values in record.measures.items()
        if not np.isnan(values).all()
    )
    return f"possible are {', '.join(known)}"


def _name_missing(ax: Axes, several: Sequence[Setting], shown: Sequence[str]) -> None:
    """Say below an axis which measures of clients and of the root no run has taken."""
    missing = [MEASURES[name] for name in ("c_spe", "c_gen", "global") if name not in shown]
    known = any(name in r.measures for one in several for r in one.records for name in MEASURES)
    if missing and known:
        ax.set_xlabel(f"{ax.get_xlabel()}\nnot measured: {', '.join(missing)}")


@style()
def comparison(
    runs: Run | Sequence[Run],
    *,
    level: int = 1,
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> list[Axes]:
    """Draw all measures over rounds, a panel for each and in it a line for each setting.

    Args:
        runs: Runs to compare, as ``curve`` takes them.
        level: Level of the groups' measures, 1 for the lowest.
        names: What to call each run, in place of its options.
        colors: The colour of each run, or of the first of those that are one line.
        figure: Where to draw; by default a new one of a column's width.

    Returns:
        The axes of the measures that at least one of the runs has, Global first.

    Raises:
        ValueError: If a run cannot be read.
    """
    several = settings(runs, names, colors)
    shown = taken(several, columns_of(level))
    if not shown:
        raise ValueError(f"None of the runs has a measure to compare; {_columns(several)}.")
    axes = panels(several, shown, figure)
    _name_missing(axes[-1], several, shown)
    return axes


def panels(several: Sequence[Setting], shown: Sequence[str], figure: Figure | None) -> list[Axes]:
    """A panel for each column, in it a line for each setting, and a legend of these above."""
    rows = -(-len(shown) // 2)
    figure = new_figure(figure, (COLUMN, 1.35 * rows + 0.15))
    axes: list[Axes] = []
    for place, column in enumerate(shown):
        ax = figure.add_subplot(rows, 2, place + 1, sharex=axes[0] if axes else None)
        draw_lines(ax, several, column)
        ax.set_title(folded(title(column, several[0].records[0]), 22))
        if place < len(shown) - 2:
            ax.set_xlabel("")
        axes.append(ax)
    every = {line.get_label(): line for ax in axes for line in labelled(ax)}
    drawn = [every[one.label] for one in several if one.label in every]
    legend_of_figure(figure, drawn, title=spread(several))
    return axes


@style()
def measures(
    runs: Run | Sequence[Run],
    *,
    level: int = 1,
    names: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> list[Axes]:
    """Draw all measures over rounds, settings side by side: in each panel a line for each measure.

    Args:
        runs: A run or several, as ``curve`` takes them.
        level: Level of the groups' measures, 1 for the lowest.
        names: What to call each run, in place of its options.
        figure: Where to draw; by default a new one, of a column's width for a single setting.

    Returns:
        The axes, one for each setting.

    Raises:
        ValueError: If a run cannot be read.
    """
    several = settings(runs, names)
    columns = min(len(several), 3)
    rows = -(-len(several) // columns)
    figure = new_figure(figure, (COLUMN if columns == 1 else PAGE, 2.1 * rows + 0.3))
    axes: list[Axes] = []
    seen: dict[str, Any] = {}
    for place, one in enumerate(several):
        shared = {"sharex": axes[0], "sharey": axes[0]} if axes else {}
        ax = figure.add_subplot(rows, columns, place + 1, **shared)
        for name, shown in MEASURES.items():
            column = f"{name}_l{level}" if name.startswith("g_") else name
            values = one.values(column)
            if values is not None:
                draw_band(ax, *values, LOOKS[name], shown)
        whole_rounds(ax)
        seen |= {str(line.get_label()): line for line in ax.get_lines()}
        wide = int((COLUMN if columns == 1 else PAGE / columns) / 0.062) - 4
        ax.set_title(folded(one.label, wide), parse_math=False)
        ax.set_ylabel(one.records[0].score if place % columns == 0 else "")
        _name_missing(ax, [one], taken([one], list(MEASURES)))
        axes.append(ax)
    handles = [seen[shown] for shown in MEASURES.values() if shown in seen]
    tight: dict[str, Any] = {"handlelength": 1.9, "columnspacing": 0.8}
    tight |= {"ncols": 5, "title": spread(several)}
    figure.legend(handles=handles, loc="outside upper center", **tight)
    return axes
