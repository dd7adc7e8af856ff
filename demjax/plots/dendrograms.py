"""Dendrograms of a run, with the levels at which they were cut."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster import hierarchy

from demjax.plots.record import Record, Run, read
from demjax.plots.style import (
    BLACK,
    COLUMN,
    DASHES,
    SERIES,
    Axes,
    Figure,
    axes_or_new,
    legend_above,
    new_figure,
    spread_places,
    style,
)


def leaves_and_heights(
    merges: Float[np.ndarray, " N-1 4"],
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, " 2N-1"], Float[np.ndarray, " 2N-1"]]:
    """Where a dendrogram's parts are drawn: its leaves in order, each node's place and height.

    Args:
        merges: SciPy's linkage matrix of ``N`` clients.
    """
    count = len(merges) + 1
    order = hierarchy.leaves_list(np.asarray(merges, float))
    place, height = np.zeros(2 * count - 1), np.zeros(2 * count - 1)
    place[order] = np.arange(count)
    height[count:] = merges[:, 2]
    for number, pair in enumerate(merges[:, :2].astype(int)):
        place[count + number] = place[pair].mean()
    return order, place, height


def cut_heights(
    merges: Float[np.ndarray, " N-1 4"], groups: Int[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Between which heights a level's groups part each client from the others.

    A client's part is the largest subtree around it of clients that are all in its group; the
    cut lies between the height of that subtree, and of the next merge. A client of no group is
    a part of its own.

    Args:
        merges: SciPy's linkage matrix.
        groups: The group of each client, ``-1`` for none.

    Returns:
        The lower and the upper height for each client; the upper one is infinite where all are
        in one group.
    """
    count = len(merges) + 1
    children = merges[:, :2].astype(int)
    alone = np.where(groups < 0, -1 - np.arange(count), groups)
    whole = np.concatenate([alone, np.zeros(count - 1, int)])  # the group that a node is of
    pure = np.ones(2 * count - 1, bool)
    for number, (left, right) in enumerate(children):
        pure[count + number] = pure[left] and pure[right] and whole[left] == whole[right]
        whole[count + number] = whole[left]
    low, high = np.zeros(2 * count - 1), np.full(2 * count - 1, np.inf)
    low[count:] = merges[:, 2]
    for number in range(count - 2, -1, -1):
        for child in children[number]:
            if pure[count + number]:
                low[child], high[child] = low[count + number], high[count + number]
            else:
                high[child] = merges[number, 2]
    return low[:count], high[:count]


@style()
def dendrogram(
    run: Run, *, moment: int | None = None, cuts: bool = True, ax: Axes | None = None
) -> Axes:
    """Draw the dendrogram of a round: clients to the right, the height of a merge its distance.

    A line for each level passes between the groups of that level and the merges above them; where
    groups were cut at one height, it is straight. Subtrees have the colour of their lowest group.

    Args:
        run: A run: its folder, or its history.
        moment: A measured round; the last dendrogram until then is drawn. By default the last.
        cuts: Whether to draw the cut of each level.
        ax: Where to draw; by default in a new figure.

    Returns:
        The axes: the tree as a collection, then a line for each level, the lowest first.

    Raises:
        ValueError: If the run cannot be read, or had no dendrogram until then.
    """
    record = read(run)
    until = record.round[-1] if moment is None else moment
    found = [number for number in record.dendrograms if number <= until]
    if not found:
        raise ValueError(
            f"The run {record.name} holds no dendrogram until round {until}: its clients did not "
            "organise themselves, they are more than 2,000, or a client's model was not finite."
        )
    ax = axes_or_new(ax, (COLUMN, 2.4))
    draw(ax, record, max(found), cuts=cuts)
    ax.set(xlabel="clients, in the order of the tree", ylabel="distance")
    legend_above(ax)
    return ax


def draw(ax: Axes, record: Record, moment: int, *, cuts: bool = True) -> None:
    """Draw the dendrogram that was first seen after a round, and its cuts."""
    from matplotlib.collections import LineCollection

    merges = record.dendrograms[moment]
    order, place, height = leaves_and_heights(merges)
    count = len(order)
    groups = np.full((0, count), -1)
    if record.groups is not None:
        groups = record.groups[np.searchsorted(record.round, moment)]
    colours = _colours(merges, groups[0], order) if len(groups) else [BLACK] * (count - 1)
    forks = [
        [(place[a], height[a]), (place[a], top), (place[b], top), (place[b], height[b])]
        for (a, b), top in zip(merges[:, :2].astype(int), merges[:, 2], strict=True)
    ]
    thin = max(0.25, min(0.8, 60 / count))
    ax.add_collection(LineCollection(forks, colors=colours, linewidths=thin, capstyle="butt"))
    top = float(merges[:, 2].max())
    if cuts:
        for level, row in enumerate(groups):
            low, high = (heights[order] for heights in cut_heights(merges, row))
            line = _line(low, np.minimum(high, 1.08 * top))
            edges = np.repeat(np.arange(count + 1) - 0.5, 2)[1:-1]
            look = {"linestyle": DASHES[(level + 1) % len(DASHES)], "color": "#444444"}
            ax.plot(edges, np.repeat(line, 2), linewidth=0.7, label=f"level {level + 1}", **look)
    ax.set(xlim=(-0.5 - 0.01 * count, count - 0.5 + 0.01 * count), ylim=(0, 1.1 * top or 1.0))
    ax.set_xticks([])
    ax.spines[["top", "right", "bottom"]].set_visible(False)


def _line(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A line between two heights for each leaf: straight if it can be, else in steps."""
    if low.max() < high.min():
        return np.full(len(low), (low.max() + high.min()) / 2)
    return (low + high) / 2


def _colours(merges: np.ndarray, groups: np.ndarray, order: np.ndarray) -> list[str]:
    """The colour of each merge: its lowest group's, black above groups."""
    count = len(order)
    colour: dict[int, str] = {}
    for client in order:  # neighbours in the figure have different colours
        if groups[client] >= 0:
            colour.setdefault(groups[client], SERIES[len(colour) % (len(SERIES) - 1)])
    inside = np.concatenate([groups, np.full(count - 1, -1)])
    for number, (left, right) in enumerate(merges[:, :2].astype(int)):
        if inside[left] == inside[right]:
            inside[count + number] = inside[left]
    return [colour.get(group, BLACK) for group in inside[count:]]


@style()
def dendrograms(
    run: Run,
    *,
    moments: int | Sequence[int] = 10,
    cuts: bool = True,
    figure: Figure | None = None,
) -> list[Axes]:
    """Draw how the dendrogram changes: ten moments of a run, evenly, all at one scale.

    Args:
        run: A run: its folder, or its history.
        moments: How many of the moments at which clients regrouped, at least 2; or measured
            rounds, at each of which the last dendrogram until then is drawn.
        cuts: Whether to draw the cut of each level.
        figure: Where to draw; by default a new one of a column's width.

    Returns:
        The axes, first moment first.

    Raises:
        ValueError: If the run cannot be read or has no dendrograms, or none until a round.
    """
    record = read(run)
    known = sorted(record.dendrograms)
    if not known:
        raise ValueError(
            f"The run {record.name} holds no dendrograms: its clients did not organise "
            "themselves, they are more than 2,000, or a client's model was not finite."
        )
    if isinstance(moments, int):
        if moments < 2:
            raise ValueError(f"At least 2 moments are drawn, but {moments} was given.")
        shown = [known[place] for place in spread_places(len(known), moments)]
    else:
        if not moments or min(moments) < known[0]:
            raise ValueError(
                f"The first dendrogram of {record.name} is of round {known[0]}; possible are "
                "that round and later ones."
            )
        shown = [max(number for number in known if number <= wanted) for wanted in moments]
    rows = -(-len(shown) // 2)
    figure = new_figure(figure, (COLUMN, 1.0 * rows + 0.35))
    axes: list[Axes] = []
    for place, moment in enumerate(shown):
        shared = axes[0] if axes else None
        ax = figure.add_subplot(rows, min(2, len(shown)), place + 1, sharey=shared)
        draw(ax, record, moment, cuts=cuts)
        ax.set_title(f"after round {moment}")
        if place % 2 == 0:
            ax.set_ylabel("distance")
        else:
            ax.tick_params(labelleft=False)
        axes.append(ax)
    axes[0].set_ylim(0, 1.1 * max(record.dendrograms[number][:, 2].max() for number in shown))
    handles = axes[0].get_legend_handles_labels()[0]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    return axes
