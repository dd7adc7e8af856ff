"""Who has which labels, with the groups drawn on."""

from typing import Any

import numpy as np
from jaxtyping import Int

from demjax.data import load_partition
from demjax.experiment.experiment import resolve, with_defaults
from demjax.experiment.load_data import load, partitioned
from demjax.experiment.tables import all_options
from demjax.plots.labels_by_client import heat_map, label_counts, tick
from demjax.plots.record import Record, Run, places_of, read
from demjax.plots.style import COLUMN, FILLS, GREY, IMAGE, Axes, axes_or_new, style
from demjax.registry import code_in


def held(
    record: Record,
) -> tuple[Int[np.ndarray, " N C"], Int[np.ndarray, " C"], Int[np.ndarray, " N"]]:
    """What the clients of a run hold, from its partition and its data set, which is loaded anew.

    Returns:
        How many examples of each label each client has; the labels; the kind of each client, as
        planted, or which set of labels its training examples have.

    Raises:
        ValueError: If there is no partition, or the data are not here or not those it was made of.
    """
    from demjax.runs.folder import PARTITION  # here: ``runs`` asks the package for its version

    if record.folder is None or not (record.folder / PARTITION).exists() or not record.options:
        raise ValueError(f"The run {record.name} does not hold which examples each client has.")
    options = _data_options(record)
    if own := [word for value in options.values() for word in code_in(value)]:
        raise ValueError(
            f"The run {record.name} has its examples by {own[0]}, whose code is not run to draw "
            "them; possible is demjax.plots.labels_by_group with counts."
        )
    experiment = resolve(options, tables=("run", "data"))
    dataset = load(experiment)
    partition = load_partition(record.folder / PARTITION, y=dataset.y)
    train, test, names = label_counts(partition, dataset.y)
    true_clusters = None
    if experiment.conflict is not None or experiment.partition == "planted":
        true_clusters = partitioned(experiment, dataset).true_clusters
    if true_clusters is None:
        true_clusters = np.unique(train > 0, axis=0, return_inverse=True)[1].reshape(-1)
    return train + test, names, np.asarray(true_clusters)


def _data_options(record: Record) -> dict[str, Any]:
    """Those options of a run that decide who has what, as far as this version knows them."""
    codes = any(map(code_in, record.options.values()))
    known = all_options({} if codes else with_defaults(record.options), ("run", "data"))
    return {name: value for name, value in record.options.items() if name in known}


@style()
def labels_by_group(
    run: Run,
    *,
    counts: Int[np.ndarray, " N C"] | None = None,
    moment: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw which labels each client has, clients next to their group's, groups as bars below.

    Args:
        run: A run: its folder, or its history.
        counts: How many examples of each label each client has, such as
            ``labels_by_client.label_counts`` counts; by default from the run's folder and data.
        moment: A measured round whose groups are drawn; by default the last.
        ax: Where to draw; by default in a new figure.

    Returns:
        The axes: an image of labels × clients; its child axes holds a row of bars a level.

    Raises:
        ValueError: If the run cannot be read, has no groups, was not measured then, or does not
            hold who has what, or ``counts`` are of another number of clients.
    """
    record = read(run)
    if record.groups is None or not record.groups.shape[1]:
        raise ValueError(f"The run {record.name} has no levels of groups under its root.")
    place = -1 if moment is None else places_of(record, [moment])[0]
    groups, names = record.groups[place], None
    if counts is None:
        counts, names, _ = held(record)
    if len(counts) != groups.shape[1]:
        raise ValueError(f"Labels of {len(counts)} clients were given for {groups.shape[1]}.")
    last = np.where(groups < 0, groups.max() + 1, groups)  # who is in no group comes last
    order = np.lexsort(last)
    ax = axes_or_new(ax, (COLUMN, 2.5))
    heat_map(ax, counts[order], "examples")
    names = np.arange(counts.shape[1]) if names is None else names
    tick(ax.yaxis, names, 12)
    ax.set(ylabel="label", xticks=[])
    edges = np.flatnonzero(np.diff(last[0][order])) + 0.5
    thin = min(0.5, 8 / max(1, len(edges)))
    for edge in edges:
        ax.axvline(edge, color="black", linewidth=thin)

    levels = len(groups)
    high = 0.055 * levels
    bars = ax.inset_axes((0, -high - 0.02, 1, high), sharex=ax)
    extent = (-0.5, len(order) - 0.5, -0.5, levels - 0.5)
    bars.imshow([_row(row[order]) for row in groups], extent=extent, **IMAGE)
    bars.set_yticks(range(levels), [f"level {level + 1}" for level in range(levels)], fontsize=7)
    bars.tick_params(length=0)
    bars.spines[:].set_visible(False)
    bars.set_xlabel(f"{len(order):,} clients, by their groups after round {record.round[place]}")
    return ax


def _row(groups: np.ndarray) -> list:
    """Colours of a level's bar: neighbouring groups differ, who is in none is grey."""
    from matplotlib.colors import to_rgb

    change = np.append(0, np.cumsum(np.diff(groups) != 0))
    return [
        to_rgb(GREY if group < 0 else FILLS[place % len(FILLS)])
        for group, place in zip(groups, change, strict=True)
    ]
