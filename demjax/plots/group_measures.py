"""What the tree looks like over the rounds: sizes of groups, and agreement with other ones."""

import numpy as np

from demjax.plots.record import Record, Run, read
from demjax.plots.style import (
    COLUMN,
    DASHES,
    GREY,
    MARKERS,
    SERIES,
    Axes,
    Figure,
    new_figure,
    style,
    whole_rounds,
)

MANY = 25
"""More measurements than this are drawn as a mean over neighbouring ones."""


def rolling_mean(values: np.ndarray, reach: int) -> np.ndarray:
    """The mean of each value and of up to ``reach`` on both sides; NaN are left out, and stay."""
    there = np.isfinite(values)
    kernel = np.ones(2 * reach + 1)
    total = np.convolve(np.where(there, values, 0), kernel)[reach:-reach]
    count = np.convolve(there.astype(float), kernel)[reach:-reach]
    return np.where(there, total / np.maximum(count, 1), np.nan)


def _with_levels(run: Run) -> Record:
    record = read(run)
    if record.levels == 0:
        raise ValueError(f"The run {record.name} has no levels of groups under its root.")
    needed = ("groups", "smallest", "largest", "singletons", "rand_true", "rand_before")
    columns = [f"{name}_l{one + 1}" for one in range(record.levels) for name in needed]
    lacking = next((name for name in columns if name not in record.measures), None)
    if lacking is not None:
        raise ValueError(f"The run {record.name} has no column {lacking!r} of its groups.")
    if not any((record.measures[f"groups_l{one + 1}"] > 0).any() for one in range(record.levels)):
        raise ValueError(f"The clients of the run {record.name} were never in groups.")
    return record


def _panels(record: Record, titles: list[str], figure: Figure | None) -> list[Axes]:
    """Empty panels above one another, and above them a legend of the levels."""
    from matplotlib.lines import Line2D

    figure = new_figure(figure, (COLUMN, 1.15 * len(titles) + 0.45))
    axes = list(figure.subplots(len(titles), 1, sharex=True, squeeze=False)[:, 0])
    for ax, title in zip(axes, titles, strict=True):
        whole_rounds(ax)
        ax.set(ylabel=title)
        if ax is not axes[-1]:
            ax.set_xlabel("")
    handles = [
        Line2D([], [], label=f"level {level + 1}", **_look(level, 1))
        for level in range(record.levels)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
    return axes


def _look(level: int, count: int) -> dict:
    return {
        "color": SERIES[level % len(SERIES)],
        "linestyle": DASHES[level % len(DASHES)],
        "marker": MARKERS[level % len(MARKERS)],
        "markevery": max(1, count // 6),
    }


@style()
def group_sizes(run: Run, *, figure: Figure | None = None) -> list[Axes]:
    """Draw over rounds, for each level: how many groups, how large, how many clients are alone.

    Args:
        run: A run: its folder, or its history.
        figure: Where to draw; by default a new one of a column's width.

    Returns:
        Three axes: the number of groups; the mean size of a group, as a line, in a band from the
        smallest to the largest; the share of clients that are in a group of one or in none.

    Raises:
        ValueError: If the run cannot be read or has no groups under its root.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    record = _with_levels(run)
    axes = _panels(record, ["groups", "clients\nin a group", "share alone"], figure)
    rounds, known = record.round, record.measures
    for level in range(record.levels):
        end, look = f"_l{level + 1}", _look(level, len(rounds))
        groups = known["groups" + end]
        axes[0].plot(rounds, groups, **look)
        grouped = np.where(groups > 0, groups, np.nan)  # before the first grouping there are none
        mean = _grouped(record, level) / grouped
        axes[1].plot(rounds, mean, **look)
        low, high = known["smallest" + end], known["largest" + end]
        area = {"color": look["color"], "alpha": 0.15, "linewidth": 0}
        axes[1].fill_between(rounds, low, high, where=groups > 0, **area)
        axes[2].plot(rounds, known["singletons" + end], **look)
    axes[1].set_yscale("log")
    axes[1].yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes[1].yaxis.set_major_formatter("{x:g}")
    axes[1].yaxis.set_minor_locator(NullLocator())
    axes[2].set_ylim(-0.04, 1.04)
    return axes


def _grouped(record: Record, level: int) -> np.ndarray:
    """Clients that are in a group of a level at each measurement; NaN if that is not known."""
    if record.groups is None or level >= record.groups.shape[1]:
        return np.full(len(record.round), np.nan)
    return (record.groups[:, level] >= 0).sum(axis=1)


@style()
def rand_index(run: Run, *, figure: Figure | None = None) -> list[Axes]:
    """Draw over rounds, for each level, how its groups agree with true clusters and the past.

    Agreement is the adjusted Rand index, ``metrics.adjusted_rand``: 1 for the same groups, on
    average 0 for unrelated ones. Of more than 25 measurements it is a thin line, below its mean
    over neighbouring ones.

    Args:
        run: A run: its folder, or its history.
        figure: Where to draw; by default a new one of a column's width.

    Returns:
        Two axes: agreement with true clusters (planted ones, or which labels clients have); with
        the groups before the last regrouping.

    Raises:
        ValueError: If the run cannot be read or has no groups under its root.
    """
    record = _with_levels(run)
    axes = _panels(record, ["Rand index,\ntrue clusters", "Rand index,\nformer groups"], figure)
    for level in range(record.levels):
        look = _look(level, len(record.round))
        for ax, column in zip(axes, ("rand_true", "rand_before"), strict=True):
            values = record.measures[f"{column}_l{level + 1}"]
            if len(values) > MANY:  # which jump so much that levels hide each other
                ax.plot(record.round, values, color=look["color"], alpha=0.3, linewidth=0.5)
                values = rolling_mean(values, len(values) // MANY)
            ax.plot(record.round, values, **look)
    for ax in axes:
        ax.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    return axes
