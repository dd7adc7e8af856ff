"""The groups that clients have: their distances in order, and how far merge heights jump."""

import numpy as np

from demjax.plots.dendrograms import leaves_and_heights
from demjax.plots.style import BLUE, IMAGE, ORANGE, Figure, new_figure, style
from demjax.simulation.group_search import Groups


@style()
def found_groups(found: Groups, *, figure: Figure | None = None) -> Figure:
    """Draw what ``demjax.groups`` found: all distances, group by group, and the jumps.

    On the left the distances of all clients, in the order of the tree; lines part groups. On the
    right how far merge heights rise at each number of groups, beside how far they do by chance.

    Args:
        found: What was found.
        figure: Where to draw; by default a new figure.

    Returns:
        The figure.
    """
    figure = new_figure(figure, (7.2, 3.2))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    order = leaves_and_heights(found.merges)[0]
    order = order[np.argsort(found.groups[order], kind="stable")]
    apart = found.distances[np.ix_(order, order)]
    off = ~np.eye(len(order), dtype=bool)
    top = np.quantile(apart[off], 0.99)
    image = left.imshow(np.where(off, apart, np.nan), cmap="viridis", **IMAGE, vmin=0, vmax=top)
    for edge in np.flatnonzero(np.diff(found.groups[order])) + 0.5:
        left.axhline(edge, color="black", linewidth=0.6)
        left.axvline(edge, color="black", linewidth=0.6)
    left.set(xlabel="client, group by group", ylabel="client", xticks=[], yticks=[])
    figure.colorbar(image, ax=left, label="distance, in units of chance", shrink=0.8)

    numbers = np.arange(2, len(found.ratio) + 2)
    counted = (found.ratio == np.max(found.ratio)) & (found.n_groups > 1)
    colours = np.where(counted, ORANGE, BLUE)
    right.bar(numbers, found.ratio - 1, bottom=1, color=list(colours))
    right.axhline(found.limit, color="black", linewidth=0.8, linestyle="--")
    right.text(numbers[-1] + 0.4, found.limit, "by chance up to here", ha="right", va="bottom")
    right.set(xlabel="groups", ylabel="jump of merge heights", xticks=numbers[::2])
    right.set_ylim(1, None)
    right.spines[["top", "right"]].set_visible(False)
    return figure
