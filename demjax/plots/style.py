"""How figures look: sizes for a printed column, colours that everybody tells apart."""

import re
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

LINE, LETTER = 0.14, 0.053
"""What a line of a legend takes in height, and a letter in width, in inches."""

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
    "legend.title_fontsize": 7,
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


def legend_above(
    ax: Axes, handles: Sequence[Any] | None = None, *, width: float | None = None, **options: Any
) -> None:
    """A legend above the axes, over no data, in as many columns as fit.

    Args:
        ax: The axes.
        handles: What it explains; by default the lines in the axes that have a label.
        width: Room for it, in inches; by default to the right of the vertical axis.
        **options: Of ``Axes.legend``.
    """
    figure = ax.get_figure(root=True)
    if handles is None:
        handles = labelled(ax)
    if not handles or figure is None:
        return
    if width is None:
        width = figure.get_figwidth() * min(1.0, ax.get_position().width / 0.77) - 0.6
    lines = explain(ax, handles, width, loc="lower left", bbox_to_anchor=(0, 1.03), **options)
    if figure.get_layout_engine() is None:  # which else cuts what is outside of the axes
        figure.set_layout_engine("constrained")
    if lines > 2:
        figure.set_figheight(figure.get_figheight() + LINE * (lines - 2))


def legend_of_figure(figure: Figure, handles: Sequence[Any], **options: Any) -> None:
    """A legend above all axes, in as many columns as fit; the figure grows by its lines."""
    lines = explain(figure, handles, figure.get_figwidth(), loc="outside upper center", **options)
    figure.set_figheight(figure.get_figheight() + LINE * lines)


def explain(where: Axes | Figure, handles: Sequence[Any], width: float, **options: Any) -> int:
    """A legend with every label as it is, also ``_mine`` or ``$``; returns its lines."""
    handle = 0.2 + 0.1 * options.get("handlelength", 2.2)
    letters = int((width - handle) / LETTER)
    shown = [folded(str(one.get_label()), letters) for one in handles]
    longest = max(len(line) for text in shown for line in text.split("\n"))
    columns = max(1, min(len(handles), int(width / (handle + LETTER * longest))))
    # Matplotlib leaves out labels that begin with "_", so they are written afterwards.
    legend = where.legend(handles, ["-"] * len(shown), ncols=columns, **options)
    for text, words, drawn, line in zip(
        legend.get_texts(), shown, legend.legend_handles, handles, strict=True
    ):
        text.set(text=words, parse_math=False)
        follow(line, drawn)
    titled = options.get("title") is not None
    return titled + -(-len(shown) // columns) * max(text.count("\n") + 1 for text in shown)


def labelled(ax: Axes) -> list[Any]:
    """The lines in axes that were given a label."""
    return [one for one in ax.lines if not re.fullmatch(r"_child\d+", str(one.get_label()))]


def follow(line: Any, drawn: Any) -> None:
    """Give what belongs to a line, such as its handle in a legend, the colours it gets later."""
    if not hasattr(line, "get_color"):
        return
    before = line.stale_callback

    def changed(artist: Any, stale: bool) -> None:
        drawn.set_color(artist.get_color())
        if before is not None:
            before(artist, stale)

    line.stale_callback = changed


def hex_color(color: str) -> str:
    """A colour as ``#rrggbb``, of such or of a name that Matplotlib knows.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(color, str) and re.fullmatch("#[0-9a-fA-F]{6}", color):
        return color.lower()
    try:
        from matplotlib.colors import to_hex

        return to_hex(color)
    except (ImportError, ValueError):
        raise ValueError(
            f"{color!r} is no colour; possible is one such as '#0072b2', or, with Matplotlib, a "
            "name such as 'black'."
        ) from None


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
