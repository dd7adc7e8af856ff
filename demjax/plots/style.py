"""How figures look: sizes for a printed column, colours that everybody tells apart."""

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure
else:  # so that importing demjax stays light
    Axes = Figure = Any

COLUMN, PAGE = 3.4, 7.0
"""Widths of a printed column and page, in inches."""

BLUE, VERMILLION, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#000000"
PURPLE, ORANGE, SKY, YELLOW, GREY = "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#B3B3B3"

SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""Colours of what has none of its own, in their order. Source: Okabe and Ito, Color Universal
Design, 2008; without yellow, which is too light for lines."""

FILLS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, "#555555")
"""Colours of areas, likewise, neighbours unlike in grey too."""

DASHES: tuple[Any, ...] = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.2, 1, 1.2)),
    (0, (2, 1)),
    (0, (8, 2)),
    (0, (4, 1, 1, 1, 1, 1)),
)
IMAGE: dict[str, Any] = {"aspect": "auto", "origin": "lower", "interpolation": "nearest"}
"""How images are drawn: arguments of ``Axes.imshow``."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")

_SETTINGS = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.titlepad": 4,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.3,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # letters, not outlines, as publishers ask
    "svg.hashsalt": "demjax",  # the same figure, the same bytes
}


@contextmanager
def style() -> Iterator[None]:
    """The style of all figures, as a context or a decorator; afterwards all is as before."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS), in_silence():  # type: ignore[arg-type]
        yield


@contextmanager
def in_silence() -> Iterator[None]:
    """Without Matplotlib's warnings of letters that its fonts lack, and of layouts too tight."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def axes_or_new(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """The axes that were given, or those of a new figure of a size in inches."""
    return new_figure(None, size).add_subplot() if ax is None else ax


def new_figure(figure: Figure | None, size: tuple[float, float]) -> Figure:
    """The figure that was given, made that size, or a new one; what is drawn keeps inside it."""
    import matplotlib.pyplot as plt

    if figure is None:
        return plt.figure(figsize=size, layout="constrained")
    figure.set_size_inches(*size)
    figure.set_layout_engine("constrained")
    return figure


def whole_rounds(ax: Axes) -> None:
    """Name the axis of rounds, which are whole numbers."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel("round")


def legend_above(ax: Axes, handles: Sequence[Any] | None = None, **options: Any) -> None:
    """A legend above the axes, over no data, in as many columns as fit.

    Args:
        ax: The axes.
        handles: What it explains; by default what in the axes has a label.
        **options: Of ``Axes.legend``.
    """
    if handles is None:
        handles = ax.get_legend_handles_labels()[0]
    if not handles:
        return
    labels = [str(handle.get_label()) for handle in handles]
    columns = legend_columns(labels, handle=0.2 + 0.1 * options.get("handlelength", 2.2))
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.03), ncols=columns, **options)


def legend_columns(labels: Sequence[str], handle: float = 0.42) -> int:
    """How many columns of a legend with such labels fit into a printed column.

    A handle, and the gaps around it, take so many inches; a letter is one of 7 points.
    """
    one = handle + 0.053 * max(map(len, labels))
    return max(1, min(len(labels), int(COLUMN / one)))


def legend_height(labels: Sequence[str]) -> float:
    """The height of such a legend, in inches."""
    return 0.14 * -(-len(labels) // legend_columns(labels))


def shade(colour: str, place: int, count: int) -> tuple[float, float, float]:
    """One of several shades of a colour, darker ones first.

    One is the colour itself; of two the second is lighter; more go from darker to lighter.
    """
    from matplotlib.colors import to_rgb

    darkest, lightest = (0.5 if count > 2 else 0.0), 0.6
    light = place / max(1, count - 1) * (darkest + lightest) - darkest
    red, green, blue = (
        1 - (1 - part) * (1 - light) if light > 0 else part * (1 + light) for part in to_rgb(colour)
    )
    return red, green, blue


def spread_places(count: int, most: int) -> list[int]:
    """At most so many of ``0 … count - 1``, evenly, the first and last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def folded(text: str, width: int) -> str:
    """A text in lines of about so many letters, broken between words."""
    return "\n".join(textwrap.wrap(text, max(10, width)))
