"""Who is in which group over the rounds: an alluvial map."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from demjax.plots.alluvial import ALONE, Ribbon, flows
from demjax.plots.record import Run, places_of, read
from demjax.plots.style import (
    COLUMN,
    FILLS,
    GREY,
    Axes,
    axes_or_new,
    legend_above,
    style,
    whole_rounds,
)


@style()
def membership(
    run: Run,
    *,
    level: int = 1,
    moments: int | Sequence[int] = 10,
    true_clusters: Int[np.ndarray, " N"] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw who is in which group over the rounds, and who moves where: an alluvial map.

    A bar is a group, as high as it has clients; a ribbon are the clients that go from one group to
    another. Grey bars are clients in no group. Ribbons have the colour of the group in which their
    clients were at the first moment, or of their true cluster; of more than eight, the smallest are
    grey.

    Args:
        run: A run: its folder, or its history.
        level: Level of the groups, 1 for the lowest.
        moments: How many moments, at least 2, evenly from the first grouping on; or measured
            rounds.
        true_clusters: A number for each client, such as ``metrics.label_sets`` finds, to colour by.
        ax: Where to draw; by default in a new figure.

    Returns:
        The axes: ribbons as the first collection, bars as the second.

    Raises:
        ValueError: If the run cannot be read or has no such level, a round was not measured, or
            there are not as many true clusters as clients.
    """
    from matplotlib.collections import PathCollection, PolyCollection
    from matplotlib.patches import Patch

    record = read(run)
    if record.groups is None or not 1 <= level <= record.groups.shape[1]:
        there = 0 if record.groups is None else record.groups.shape[1]
        possible = f"possible are 1 to {there}" if there else "it has no levels of groups"
        raise ValueError(f"The run {record.name} has no groups on level {level}; {possible}.")
    every = record.groups[:, level - 1]
    if (every == ALONE).all():
        raise ValueError(f"The clients of the run {record.name} were never in groups.")
    first = int(np.argmax((every >= 0).any(axis=1)))
    places = places_of(record, moments, first)
    shown, rounds = every[places], record.round[places]
    count = every.shape[1]
    if true_clusters is not None and np.shape(true_clusters) != (count,):
        raise ValueError(
            f"{count} clients need as many true clusters, but {np.shape(true_clusters)} were given."
        )
    colours, legend = _colours(
        shown[0] if true_clusters is None else np.asarray(true_clusters), true_clusters is None
    )
    gap = 0.3 * count / max(8, max(len(np.unique(row)) for row in shown))
    blocks, ribbons = flows(shown, colours, gap=gap)
    ax = axes_or_new(ax, (COLUMN, 2.9))
    paint = [colour for colour, _ in legend]
    width = 0.07 * max(1, len(rounds) - 1) / 9
    paths = [_path(ribbon, width) for ribbon in ribbons]
    fills = [paint[ribbon.colour] for ribbon in ribbons]
    ax.add_collection(PathCollection(paths, facecolors=fills, alpha=0.6, linewidths=0))
    sides = [(block.moment - width, block.moment + width, block) for block in blocks]
    corners = [
        [(left, one.bottom), (right, one.bottom), (right, one.top), (left, one.top)]
        for left, right, one in sides
    ]
    fills = ["#999999" if block.group == ALONE else "#222222" for block in blocks]
    ax.add_collection(PolyCollection(corners, facecolors=fills, linewidths=0))
    top = max(block.top for block in blocks)
    ax.set(xlim=(-0.2, len(rounds) - 0.8), ylim=(-0.01 * top, 1.01 * top))
    whole_rounds(ax)
    ax.set_xticks(range(len(rounds)), [str(number) for number in rounds])
    ax.set_yticks([])
    ax.set_ylabel(f"{count:,} clients in groups of level {level}")
    ax.spines[:].set_visible(False)
    ax.tick_params(bottom=False)
    handles = [Patch(facecolor=colour, alpha=0.6, label=text) for colour, text in legend]
    title = f"in round {rounds[0]}" if true_clusters is None else "true clusters"
    legend_above(ax, handles, title=title, title_fontsize=7, alignment="left", handlelength=1.0)
    return ax


def _colours(
    numbers: np.ndarray, origin: bool
) -> tuple[Int[np.ndarray, " N"], list[tuple[str, str]]]:
    """A colour for each client, and for each colour what it stands for; the largest come first."""
    found, sizes = np.unique(numbers, return_counts=True)
    ranked = [int(n) for n in found[np.argsort(-sizes, kind="stable")] if n != ALONE or not origin]
    named = sorted(ranked[: len(FILLS)])
    what = "group" if origin else "cluster"  # a bare number reads as a label, such as a digit
    legend = [
        (FILLS[place], f"{what} {number} ({(numbers == number).sum():,})")
        for place, number in enumerate(named)
    ]
    place_of = {number: place for place, number in enumerate(named)}
    colours = np.array([place_of.get(int(number), len(named)) for number in numbers])
    rest = int((colours == len(named)).sum())
    if rest:
        alone = origin and not ranked[len(FILLS) :]
        legend.append((GREY, f"{'none' if alone else 'others'} ({rest:,})"))
    return colours, legend


def _path(ribbon: Ribbon, width: float) -> Any:
    """A ribbon's outline: two S-shaped edges between two bars."""
    from matplotlib import path

    left, right = ribbon.moment + width, ribbon.moment + 1 - width
    middle, size = (left + right) / 2, ribbon.size
    low = [(left, ribbon.start), (middle, ribbon.start), (middle, ribbon.end), (right, ribbon.end)]
    high = [(x, y + size) for x, y in reversed(low)]
    curve = [path.Path.CURVE4] * 3
    codes = [path.Path.MOVETO, *curve, path.Path.LINETO, *curve, path.Path.CLOSEPOLY]
    return path.Path([*low, *high, low[0]], codes)
