"""What a round takes: time, and models sent."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from demjax.plots.record import Record, Run
from demjax.plots.settings import Setting, looks, settings
from demjax.plots.style import COLUMN, GREY, Axes, Figure, folded, new_figure, style


class Cost(NamedTuple):
    """What a round of a run takes.

    Attributes:
        training: Seconds of a round, the median, without its measurement.
        measuring: Seconds of a measurement, the median.
        sent: Bytes of models that clients send and are sent in a round; ``None`` if not known.
    """

    training: float
    measuring: float
    sent: int | None


def cost_of(record: Record) -> Cost | None:
    """What a round of a run takes, from its summary and options; ``None`` without a round.

    Models are counted as numbers of 4 bytes, each participant's once up and once down:
    ``2 × 4 × P × participants``; an algorithm that only trains locally sends nothing.

    Args:
        record: A run that has ended.
    """
    seconds = record.summary.get("round_seconds"), record.summary.get("measure_seconds")
    if seconds[0] is None or seconds[1] is None:
        return None
    parameters, options = record.summary.get("parameters"), record.options
    participants = options.get("cohort") or record.summary.get("clients", options.get("clients"))
    sent = None
    if options.get("algorithm") == "local_only":
        sent = 0
    elif parameters is not None and participants is not None:
        sent = 2 * 4 * parameters * participants
    return Cost(float(seconds[0]), float(seconds[1]), sent)


@style()
def cost(
    runs: Run | Sequence[Run],
    *,
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> list[Axes]:
    """Draw the seconds that a round takes, its measurement apart, and the bytes of models sent.

    Args:
        runs: Folders of runs that have ended.
        names: What to call each run, in place of its options.
        colors: The colour of each run, or of the first of those that are one line.
        figure: Where to draw; by default a new one of a column's width.

    Returns:
        Two axes of bars, one for each setting, the mean over its seeds: seconds, and bytes as
        ``cost_of`` counts them. The second is left out where bytes are not known.

    Raises:
        ValueError: If a run cannot be read or its summary holds no times.
    """
    several = settings(runs, names, colors)
    costs = [_mean(one) for one in several]
    known = all(one.sent is not None for one in costs)
    lines = sum(folded(one.label, 20).count("\n") + 1.6 for one in several)
    height = 0.14 * lines + 0.6
    figure = new_figure(figure, (COLUMN, height * (1 + known)))
    axes = list(figure.subplots(1 + known, 1, squeeze=False)[:, 0])
    places = np.arange(len(several))
    colours = [look["color"] for look in looks(several)]
    training, measuring = (np.array([one[part] for one in costs]) for part in range(2))
    hatched = {"color": GREY, "hatch": "////", "edgecolor": "white", "linewidth": 0}
    axes[0].barh(places, training, color=colours, height=0.7)
    axes[0].barh(places, measuring, left=training, height=0.7, **hatched)
    axes[0].set_xlabel("seconds of a round; hatched: of a measurement", loc="right")
    if known:
        axes[1].barh(places, [(one.sent or 0) / 1e6 for one in costs], color=colours, height=0.7)
        axes[1].set_xlabel("MB of models sent in a round, up and down", loc="right")
    for ax in axes:
        labels = [folded(one.label, 20) for one in several]
        ax.set_yticks(places, labels, parse_math=False)
        ax.invert_yaxis()
        ax.tick_params(left=False)
        ax.margins(x=0.02)
        ax.set_xlim(left=0)
        ax.locator_params(axis="x", nbins=4)
    return axes


def _mean(setting: Setting) -> Cost:
    costs = []
    for record in setting.records:
        one = cost_of(record)
        if one is None:
            raise ValueError(
                f"The run {record.name} says not what a round took: it has not ended, or not a "
                "round of it was done."
            )
        costs.append(one)
    sent = [one.sent for one in costs if one.sent is not None]
    return Cost(
        training=float(np.mean([one.training for one in costs])),
        measuring=float(np.mean([one.measuring for one in costs])),
        sent=round(float(np.mean(sent))) if len(sent) == len(costs) else None,
    )
