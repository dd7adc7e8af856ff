"""Layouts of images: their axes as models take them, ``[T, H, W, C]``."""

import math
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Num

from demjax.data.rows_in_files import Inputs, RowsInFiles, changed

Layout = Literal["auto", "hwc", "chw", "hw", "as_is"]
"""Axes of an input: height, width, channels; ``as_is`` leaves them, ``auto`` looks."""

_CHANNELS, _LEAST_SIDE = (1, 3, 4), 8


def images(
    x: Num[Inputs, " T *shape"], layout: Layout = "auto", *, whose: str = "these data"
) -> Num[Any, " T *shape"]:
    """Inputs with height, width and channels as their axes, where they are images.

    ``auto`` gives a channel axis to ``[T, H, W]`` of bytes, or of a square of 8×8 or more, and
    leaves all else; what is unmistakably channels first is refused. Any other layout is what the
    inputs have, or what their rows ``[T, H·W·C]`` hold, square and of 1 or 3 channels.

    Args:
        x: Inputs.
        layout: Their axes.
        whose: What they are of, for the sentence.

    Returns:
        ``[T, H, W, C]``; what is no image as it is.

    Raises:
        ValueError: The inputs are not of this layout, or are channels first and it is ``auto``.
    """
    shape = x.shape[1:]
    if layout == "as_is":
        return x
    if isinstance(x, RowsInFiles):
        return changed(x, partial(images, layout=layout, whose=whose))
    if layout == "auto":
        if _is_image(shape[1:]) and shape[0] in _CHANNELS:
            raise ValueError(
                f"The images of {whose} have the shape {shape}, which is channels first; models "
                f"take the shape {(*shape[1:], shape[0])}, so possible is --layout chw, or hwc if "
                "these are rows, columns and channels nevertheless."
            )
        bare = len(shape) == 2 and (x.dtype == np.uint8 or _is_image(shape, square=True))
        return x[..., np.newaxis] if bare else x
    if len(shape) == 1:
        return _from_rows(x, layout, whose)
    if layout == "hw" and len(shape) == 2:
        return x[..., np.newaxis]
    grey = len(shape) == 3 and shape[2] == 1 and _is_image(shape[:2])  # in any layout the same
    if grey or (layout == "hwc" and len(shape) == 3):
        return x
    if layout == "chw" and len(shape) == 3 and not (_is_image(shape[:2]) and shape[2] in _CHANNELS):
        return np.ascontiguousarray(np.moveaxis(x, 1, -1))
    possible = {2: "hw", 3: "hwc"}.get(len(shape), "as_is")
    raise ValueError(
        f"The inputs of {whose} have the shape {shape}, which is not of the layout {layout}; "
        f"possible is --layout {possible}."
    )


def row_side(width: int) -> tuple[int, int] | None:
    """Side and channels of the square image that a row of so many numbers can be."""
    for channels in (1, 3):
        side = math.isqrt(width // channels)
        if side * side * channels == width and side >= _LEAST_SIDE:
            return side, channels
    return None


def _is_image(shape: tuple[int, ...], *, square: bool = False) -> bool:
    """Whether these can be height and width of an image."""
    return len(shape) == 2 and min(shape) >= _LEAST_SIDE and not (square and shape[0] != shape[1])


def _from_rows(
    x: Num[np.ndarray, " T D"], layout: Layout, whose: str
) -> Num[np.ndarray, " T H W C"]:
    found = row_side(x.shape[1])
    if found is None or (layout == "hw" and found[1] != 1):
        raise ValueError(
            f"The inputs of {whose} are rows of {x.shape[1]} numbers, which are no square image "
            f"of the layout {layout}; possible is --layout auto."
        )
    side, channels = found
    axes = (channels, side, side) if layout == "chw" else (side, side, channels)
    made = x.reshape(len(x), *axes)
    return np.ascontiguousarray(np.moveaxis(made, 1, -1)) if layout == "chw" else made
