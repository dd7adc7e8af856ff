"""How different clients are: each one's curve, and how their measures are distributed."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from demjax.plots.curves import title
from demjax.plots.record import Record, Run, places_of, read
from demjax.plots.settings import COLOURS, looks, settings
from demjax.plots.style import (
    BLACK,
    BLUE,
    COLUMN,
    DASHES,
    Axes,
    axes_or_new,
    legend_above,
    shade,
    style,
    whole_rounds,
)


@style()
def clients(run: Run, *, measure: str = "c_gen", ax: Axes | None = None) -> Axes:
    """Draw a measure of every client over rounds as thin lines, and their mean as a bold one.

    Args:
        run: A run: its folder, or its history.
        measure: ``c_gen`` or ``c_spe``.
        ax: Where to draw; by default in a new figure.

    Returns:
        The axes; the last line is the plain mean of those clients that have a value, where the
        measure C-SPE counts each client by its test examples.

    Raises:
        ValueError: If the run cannot be read or holds no clients, or the measure is another one.
    """
    from matplotlib.lines import Line2D

    record = read(run)
    rounds, values = of_clients(record, measure)
    ax = axes_or_new(ax, (COLUMN, 2.4))
    colour = record.color or COLOURS.get(str(record.options.get("algorithm")), BLUE)
    count = values.shape[1]
    faint = max(0.04, min(0.5, 15 / count))
    ax.plot(rounds, values, color=colour, alpha=faint, linewidth=0.5, rasterized=count > 500)
    there = np.isfinite(values)
    mean = np.where(there, values, 0).sum(axis=1) / np.maximum(1, there.sum(axis=1))
    ax.plot(rounds, mean, color=BLACK, linewidth=2, label="their plain mean")
    whole_rounds(ax)
    ax.set_ylabel(title(measure, record))
    one = Line2D([], [], color=colour, linewidth=0.5, label=f"each of {count:,} clients")
    legend_above(ax, [one, ax.lines[-1]])
    return ax


def of_clients(
    record: Record, measure: str
) -> tuple[Int[np.ndarray, " E"], Float[np.ndarray, " E N"]]:
    """The rounds after which a run's clients were measured, and a measure of every client then.

    Raises:
        ValueError: If the run does not hold it, or the measure is not one of clients.
    """
    if measure not in ("c_gen", "c_spe"):
        raise ValueError(f"Clients have no measure {measure!r}; possible are 'c_gen' and 'c_spe'.")
    values = record.client_gen if measure == "c_gen" else record.client_spe
    if values is None or record.client_gen is None:
        raise ValueError(f"The run {record.name} holds no measures of its clients.")
    taken = np.isfinite(record.client_gen).any(axis=1)
    if not taken.any():
        raise ValueError(
            f"The run {record.name} did not measure its clients, so that C-SPE and C-GEN are "
            "missing; possible is a run whose measures hold 'client'."
        )
    return record.round[taken], values[taken]


@style()
def distribution(
    runs: Run | Sequence[Run],
    *,
    measure: str = "c_gen",
    moments: int | Sequence[int] = 4,
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw how a measure is distributed over clients: which share of them has at most so much.

    Of one run several rounds are drawn, later ones darker; of several, each setting's last round,
    the clients of all its seeds together. Clients without a value are left out.

    Args:
        runs: A run or several: folders, or histories.
        measure: ``c_gen`` or ``c_spe``.
        moments: How many moments of a single run, at least 2, evenly; or measured rounds.
        names: What to call each run, in place of its options.
        colors: The colour of each run, or of the first of those that are one line.
        legend: Whether to explain the lines above the axes.
        ax: Where to draw; by default in a new figure.

    Returns:
        The axes: accuracy to the right, the share of clients upwards.

    Raises:
        ValueError: If a run cannot be read or holds no clients, the measure is another one, or
            a round was not measured.
    """
    several = settings(runs, names, colors)
    if sum(len(one.records) for one in several) == 1:
        lines = _over_rounds(several[0].records[0], measure, moments)
    else:
        lines = []
        for one, look in zip(several, looks(several), strict=True):
            last = [of_clients(record, measure)[1][-1] for record in one.records]
            look = {name: value for name, value in look.items() if name != "marker"}
            lines.append((np.concatenate(last), {"label": one.label, **look}))
    ax = axes_or_new(ax, (COLUMN, 2.3))
    for values, look in lines:
        values = np.sort(values[np.isfinite(values)])
        if len(values):  # a step up at each client's value
            share = np.arange(len(values) + 1) / len(values)
            ax.step(np.append(values[:1], values), share, where="post", **look)
    shown = title(measure, several[0].records[0])
    ax.set(xlabel=f"a client's {shown}", ylabel="share of clients", ylim=(0, 1.02))
    if legend:
        legend_above(ax)
    return ax


def _over_rounds(record: Record, measure: str, moments: int | Sequence[int]) -> list:
    rounds, values = of_clients(record, measure)
    places = places_of(record._replace(round=rounds), moments)
    colour = record.color or COLOURS.get(str(record.options.get("algorithm")), BLUE)
    drawn = []
    for rank, place in enumerate(places):
        later = len(places) - 1 - rank
        look = {
            "color": shade(colour, later, len(places)),
            "linestyle": DASHES[later % len(DASHES)],
            "label": f"round {rounds[place]}",
        }
        drawn.append((values[place], look))
    return drawn
