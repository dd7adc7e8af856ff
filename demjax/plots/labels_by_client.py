"""Who has what, as an image."""

from typing import Any

import numpy as np
from jaxtyping import Int

from demjax.base import ClientData
from demjax.data import Partition
from demjax.plots.style import BLUE, IMAGE, ORANGE, Axes, axes_or_new

CLIENTS_AT_MOST = 200
"""More columns than this would be narrower than what a screen shows."""


def labels_by_client(
    clients: ClientData | Partition,
    y: Int[np.ndarray, " T"] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many examples of each label each client has, and above it how many it has in all.

    Colours are logarithmic; white is none. Of more than 200 clients a random 200 are drawn, in
    their order, always the same, and the image says so.

    Args:
        clients: Who has which examples.
        y: Labels of all examples, for a ``Partition``; ``ClientData`` has its own.
        ax: Where to draw; by default in a new figure, as wide as the clients need.

    Returns:
        The axes: clients to the right, labels upwards.

    Raises:
        ValueError: A partition came without its labels.
    """
    train, test, names = label_counts(clients, y)
    count = len(train)
    shown = np.arange(count)
    if count > CLIENTS_AT_MOST:
        shown = np.sort(np.random.default_rng(0).choice(count, CLIENTS_AT_MOST, replace=False))
    train, test = train[shown], test[shown]
    ax = axes_or_new(ax, size(count, len(names)))
    heat_map(ax, train + test, "examples of a label")
    what = f"client ({CLIENTS_AT_MOST} of {count:,}, at random)" if count > len(shown) else "client"
    ax.set(xlabel=what, ylabel="label")
    tick(ax.xaxis, shown, 10)
    tick(ax.yaxis, names, 16)

    bars = ax.inset_axes((0, 1.03, 1, 0.28), sharex=ax)
    places, trained = np.arange(len(shown)), train.sum(axis=1)
    bars.bar(places, trained, width=1.0, color=BLUE, label="training")
    bars.bar(places, test.sum(axis=1), width=1.0, bottom=trained, color=ORANGE, label="test")
    bars.tick_params(labelbottom=False, bottom=False)
    bars.set(ylabel="examples", xlim=(-0.5, len(shown) - 0.5))
    bars.spines[["top", "right"]].set_visible(False)
    bars.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    return ax


def heat_map(ax: Axes, counts: Int[np.ndarray, " N C"], label: str) -> None:
    """Draw numbers of examples as colours, logarithmic and white for none, with their bar.

    Args:
        ax: Where to draw; clients go to the right and labels upwards.
        counts: How many examples of each label each client has.
        label: What the bar of colours is called.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator

    shown = counts.T.astype(float)
    norm = LogNorm(1, max(2.0, shown.max()))
    image = ax.imshow(np.where(shown > 0, shown, np.nan), norm=norm, cmap="viridis_r", **IMAGE)
    ticks = LogLocator(subs=(1.0, 2.0, 5.0))
    bar = ax.figure.colorbar(image, ax=ax, label=label, ticks=ticks, format="%d", pad=0.02)
    bar.minorticks_off()


def size(clients: int, labels: int) -> tuple[float, float]:
    """Width and height of an image of so many clients and labels, in inches."""
    width = 0.09 * min(clients, CLIENTS_AT_MOST)
    return min(max(width, 6.0), 12.0), min(max(0.2 * labels, 4.0), 9.0)


def label_counts(
    clients: ClientData | Partition, y: Int[np.ndarray, " T"] | None = None
) -> tuple[Int[np.ndarray, " N C"], Int[np.ndarray, " N C"], Int[np.ndarray, " C"]]:
    """How many training and test examples of each label each client has, and the labels.

    Args:
        clients: Who has which examples.
        y: Labels of all examples, for a ``Partition``; ``ClientData`` has its own.

    Raises:
        ValueError: A partition came without its labels.
    """
    if isinstance(clients, ClientData):
        y = np.asarray(clients.y)
        tables = (clients.train, clients.train_size), (clients.test, clients.test_size)
        parts = [
            (rows[np.arange(rows.shape[1]) < sizes[:, np.newaxis]], sizes)
            for rows, sizes in ((np.asarray(rows), np.asarray(sizes)) for rows, sizes in tables)
        ]
    elif y is None:
        raise ValueError("A partition holds no labels, so say with y which each example has.")
    else:
        parts = [
            (np.concatenate(mine), np.array([len(one) for one in mine]))
            for mine in (clients.train, clients.test)
        ]
    y = np.asarray(y)
    names = np.unique(y)
    found = []
    for held, sizes in parts:
        code = np.repeat(np.arange(len(sizes)), sizes) * len(names)
        code += np.searchsorted(names, y[held.astype(np.int64)])
        counts = np.bincount(code, minlength=len(sizes) * len(names))
        found.append(counts.reshape(len(sizes), len(names)))
    return found[0], found[1], names


def tick(axis: Any, names: np.ndarray, most: int) -> None:
    """Name at most so many places of an axis, evenly."""
    places = np.arange(0, len(names), -(-len(names) // most))
    axis.set_ticks(places, [str(name) for name in names[places]])
