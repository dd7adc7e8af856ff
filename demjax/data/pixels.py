"""Pure functions that normalise pixels."""

import math

import numpy as np
from jaxtyping import Float, Num

_PICTURES_AT_ONCE = 4096


def scale_to_unit(
    x: Num[np.ndarray, " T *shape"], *, maximum: float = 255.0
) -> Float[np.ndarray, " T *shape"]:
    """Scale pixels to 0…1: ``x / maximum``, in float32.

    Args:
        x: Pixels, 0…maximum.
        maximum: The value that becomes 1, above 0.

    Returns:
        float32 pixels.

    Raises:
        ValueError: The maximum is not a positive number.
    """
    if not 0 < maximum < math.inf:
        raise ValueError(f"Pixels can be scaled by a maximum above 0 only, not by {maximum}.")
    return np.asarray(x, np.float32) / np.float32(maximum)


def standardize_pixels(x: Num[np.ndarray, " T *shape"]) -> Float[np.ndarray, " T *shape"]:
    """Standardise each pixel over all pictures: ``(x − mean) / (std + 0.001)``, in float32.

    The mean and the population standard deviation are of *all* the pictures given. The published
    experiment gives all 70,000 of MNIST, the test pictures and those that no client holds
    included; so do this before ``client_data``. Both are summed in float64.

    Args:
        x: Pixels, meant for 0…255 (the 0.001 does not scale with them); at least one picture.

    Returns:
        float32 pixels; 0 where a pixel never changes.

    Raises:
        ValueError: There are no pictures.

    Source: the published experiment of Nguyen et al., arXiv 2007.03278, for MNIST.
    """
    x = np.asarray(x)
    if not x.shape or not x.shape[0]:
        raise ValueError("Pixels can be standardised over at least one picture, not over none.")
    mean = x.mean(axis=0, dtype=np.float64)
    squares = np.zeros(x.shape[1:])
    for start in range(0, len(x), _PICTURES_AT_ONCE):
        squares += np.square(x[start : start + _PICTURES_AT_ONCE] - mean).sum(axis=0)
    standardized = x.astype(np.float32)
    standardized -= mean.astype(np.float32)
    standardized /= (np.sqrt(squares / len(x)) + 0.001).astype(np.float32)
    return standardized


def standardize(
    x: Num[np.ndarray, " T *shape"], *, by: Num[np.ndarray, " S *shape"]
) -> Float[np.ndarray, " T *shape"]:
    """Standardise all pixels by one mean and one deviation: ``(x − mean) / (std + 0.001)``.

    Unlike a mean for each pixel, this is safe with few pictures: a pixel that none of them has
    lit would otherwise be divided by 0.001 where another picture has it lit.

    Args:
        x: Pixels on any scale of about 1 or more.
        by: The pictures whose pixels give the mean and the population standard deviation, at
            least one; training pictures only, for test results that can be trusted.

    Returns:
        float32 pixels.

    Raises:
        ValueError: There are no pictures in ``by``.
    """
    by = np.asarray(by)
    if not by.size:
        raise ValueError("Pixels can be standardised by at least one picture, not by none.")
    mean, deviation = by.mean(dtype=np.float64), by.std(dtype=np.float64)
    return (x.astype(np.float32) - np.float32(mean)) / np.float32(deviation + 0.001)
