"""Colours for many lines, told apart in grey as well: each as light as no other."""

import colorsys
from collections.abc import Sequence

import numpy as np

LIGHTEST = 0.75
"""How light a line may be on white, 0 to 1."""
_TURN = (5**0.5 - 1) / 2
"""Hues that are this far apart on their circle never come close, however many there are."""


def more_colours(count: int, taken: Sequence[str]) -> list[str]:
    """Some more colours, as far as they can be in grey from those taken and from each other.

    Args:
        count: How many.
        taken: Colours that there are, such as ``"#0072B2"``.
    """
    greys = sorted(lightness(colour) for colour in taken)
    edges = np.array([0.0, *(grey for grey in greys if 0 < grey < LIGHTEST), LIGHTEST])
    gaps = np.diff(edges)

    def fitting(apart: float) -> np.ndarray:
        return np.maximum(np.floor(gaps / apart + 1e-9).astype(int) - 1, 0)

    low, high = 1e-6, LIGHTEST
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if fitting(middle).sum() >= count else (low, middle)
    found = [
        start + gap * (place + 1) / (places + 1)
        for start, gap, places in zip(edges, gaps, fitting(low), strict=False)
        for place in range(places)
    ][:count]
    return [_of_lightness(grey, (0.1 + place * _TURN) % 1) for place, grey in enumerate(found)]


def lightness(colour: str) -> float:
    """How light a colour is in grey, 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _of_lightness(grey: float, hue: float) -> str:
    """A colour of a hue that is as light as a grey: darkened, or whitened, until it is."""
    pure = np.array(colorsys.hsv_to_rgb(hue, 0.8, 1.0))
    own = float(pure @ (0.2126, 0.7152, 0.0722))
    colour = pure * grey / own if grey < own else pure + (1 - pure) * (grey - own) / (1 - own)
    return "#" + "".join(f"{round(255 * float(part)):02X}" for part in colour)
