"""Pixels normalised at once, where a ``Normalization`` need not be kept."""

import numpy as np
from jaxtyping import Float, Num

from demjax.data.client_data import Partition
from demjax.data.transforms.normalization import overall, per_pixel, unit


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
    return unit(maximum=maximum)(np.asarray(x))


def standardize_pixels(x: Num[np.ndarray, " T *shape"]) -> Float[np.ndarray, " T *shape"]:
    """Standardise each pixel over all images: ``(x − mean) / (std + 0.001)``, in float32.

    The mean and the population standard deviation are of *all* the images given. The published
    experiment gives all 70,000 of MNIST, the test images and those that no client holds
    included; so do this before ``client_data``. Both are summed in float64.

    Args:
        x: Pixels, meant for 0…255 (the 0.001 does not scale with them); at least one image.

    Returns:
        float32 pixels; 0 where a pixel never changes.

    Raises:
        ValueError: There are no images.

    Source: the published experiment of Nguyen et al., arXiv 2007.03278, for MNIST.
    """
    x = np.asarray(x)
    return per_pixel(x)(x)


def standardize(
    x: Num[np.ndarray, " T *shape"], *, by: Num[np.ndarray, " S *shape"] | Partition
) -> Float[np.ndarray, " T *shape"]:
    """Standardise all pixels by one mean and one deviation: ``(x − mean) / (std + 0.001)``.

    Unlike a mean for each pixel, this is safe with few images: a pixel that none of them has
    lit would otherwise be divided by 0.001 where another image has it lit.

    Args:
        x: Pixels on any scale of about 1 or more.
        by: The images whose pixels give the mean and the population standard deviation, at
            least one; training images only, for test results that can be trusted. Or a partition
            of ``x``, for all clients' training images, with bytes on a scale of 0…1: what the
            command line does.

    Returns:
        float32 pixels.

    Raises:
        ValueError: There are no images in ``by``.
    """
    x = np.asarray(x)
    if isinstance(by, Partition):
        maximum = 255.0 if x.dtype == np.uint8 else 1.0
        return overall(x, rows=np.concatenate(by.train), maximum=maximum)(x)
    return overall(np.asarray(by), maximum=1.0)(x)
