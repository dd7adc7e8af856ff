"""How raw inputs become what a model sees: a shift and a divisor, found once, applied anywhere.

``per_pixel(x)(x)`` is ``x`` normalised at once; what gives the means is summed in float64.

Applied to all images beforehand, or in the training step to a batch of bytes, the numbers are
the same to rounding: ``classification(model, example, inputs=normalization)``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num

from demjax.data.client_data import Partition
from demjax.registry import NORMALIZATIONS

AT_ONCE = 4096
SPARE = 0.001
"""Added to deviations, as in the published experiments, so that none is 0."""


@dataclass(frozen=True, eq=False)
class Normalization:
    """``(x − shift) / divisor``, in float32.

    Attributes:
        shift: What is subtracted: one number, or one for each pixel.
        divisor: What the rest is divided by, above 0, likewise.
    """

    shift: Float[np.ndarray, " *shape"]
    divisor: Float[np.ndarray, " *shape"]

    def __call__(self, x: Any) -> Any:
        """Normalise inputs ``[..., *shape]``, an array of NumPy's or of JAX's, into float32."""
        scaled = x.astype(np.float32)
        if isinstance(scaled, np.ndarray):  # in place: images of a whole data set are large
            scaled -= self.shift
            scaled /= self.divisor
            return scaled
        return (scaled - self.shift) / self.divisor


@NORMALIZATIONS.register(scaled=True, by_rows=True)
def unit(*, maximum: float = 255.0) -> Normalization:
    """From 0…maximum to 0…1.

    Raises:
        ValueError: The maximum is not a positive number.
    """
    return _single(0.0, _positive(maximum))


@NORMALIZATIONS.register(scaled=True, by_rows=True)
def centred(*, maximum: float = 255.0) -> Normalization:
    """From 0…maximum to −1…1: ``(x / maximum − ½) / ½``.

    Raises:
        ValueError: The maximum is not a positive number.

    Source: the published experiment of Nguyen et al., arXiv 2007.03278, for CIFAR-10.
    """
    return _single(_positive(maximum) / 2, maximum / 2)


@NORMALIZATIONS.register("standardized", by_rows=True)
def overall(
    x: Num[np.ndarray, " T *shape"],
    *,
    rows: Int[np.ndarray, " S"] | Partition | None = None,
    maximum: float = 255.0,
) -> Normalization:
    """One mean and one deviation of all pixels: ``(x/maximum − mean) / (std + 0.001)``.

    Args:
        x: Inputs, 0…maximum, or with a maximum of 1 on any scale of about 1 or more.
        rows: The inputs that give the mean and the population standard deviation of
            ``x / maximum``; by default all. Take the training examples for results to be trusted,
            as the command line does: those of all clients, where this is a partition.
        maximum: The value that counts as 1, above 0.

    Raises:
        ValueError: There are no inputs, or the maximum is not a positive number.

    Source: the published experiment of Nguyen et al., arXiv 2007.03278, for Fashion-MNIST.
    """
    maximum = _positive(maximum)
    rows = np.concatenate(rows.train) if isinstance(rows, Partition) else rows
    mean, square = _moments(x, rows)
    middle = mean.mean()
    # Deviations of pixels' own means count too: all pixels are measured from one mean.
    deviation = math.sqrt(np.mean(square + np.square(mean - middle)))
    return _single(middle, deviation + SPARE * maximum)


@NORMALIZATIONS.register(by_rows=True)
def per_pixel(
    x: Num[np.ndarray, " T *shape"], *, rows: Int[np.ndarray, " S"] | None = None
) -> Normalization:
    """A mean and a deviation for each pixel: ``(x − mean) / (std + 0.001)``.

    A pixel that never changes becomes 0. With few inputs one that none of them has lit is divided
    by 0.001 where another has it lit; ``overall`` is safe.

    Args:
        x: Inputs, meant for 0…255 (the 0.001 does not scale with them).
        rows: The inputs that give the means and population standard deviations; by default all, as
            the published experiment gives all 70,000 of MNIST, tests and those that no client holds
            included: so find it before ``client_data``.

    Raises:
        ValueError: There are no inputs.

    Source: the published experiment of Nguyen et al., arXiv 2007.03278, for MNIST.
    """
    mean, square = _moments(x, rows)
    return _single(mean, np.sqrt(square) + SPARE)


@NORMALIZATIONS.register(by_rows=True)
def published(
    x: Num[np.ndarray, " T *shape"], *, maximum: float = 255.0, dataset: str
) -> Normalization:
    """As in the experiment published on the data set: of all its images, tests included.

    Args:
        x: Inputs, 0…maximum.
        maximum: The value that counts as 1, above 0.
        dataset: The data set's name, one of ``PUBLISHED``.

    Raises:
        ValueError: If there is no published scale of the data set.

    Source: the published experiments of Nguyen et al., arXiv 2007.03278.
    """
    if dataset not in PUBLISHED:
        raise ValueError(
            f"There is no published scale of the data set {dataset!r}; possible is --dataset with "
            f"one of {', '.join(PUBLISHED)}, or another --normalization."
        )
    return PUBLISHED[dataset](x, maximum)


PUBLISHED: Mapping[str, Callable[..., Normalization]] = {
    "cifar10": lambda x, maximum: centred(maximum=maximum),
    "cifar10_jpeg": lambda x, maximum: centred(maximum=maximum),
    "fashion_mnist": lambda x, maximum: overall(x, maximum=maximum),
    "leaf": lambda x, maximum: unit(maximum=maximum),
    "mnist": lambda x, maximum: per_pixel(x),
}
"""The data sets of published experiments, and how their inputs were scaled."""


def _single(
    shift: Float[np.ndarray, " *shape"] | float, divisor: Float[np.ndarray, " *shape"] | float
) -> Normalization:
    return Normalization(np.asarray(shift, np.float32), np.asarray(divisor, np.float32))


def _positive(maximum: float) -> float:
    if not 0 < maximum < math.inf:
        raise ValueError(f"Pixels can be scaled by a maximum above 0 only, not by {maximum}.")
    return float(maximum)


def _moments(
    x: Num[np.ndarray, " T *shape"], rows: Int[np.ndarray, " S"] | None
) -> tuple[Float[np.ndarray, " *shape"], Float[np.ndarray, " *shape"]]:
    """Mean and variance of each pixel, in float64, some rows at a time."""
    rows = None if rows is None else np.sort(rows)  # as files hold them
    count = len(x) if rows is None else len(rows)
    if not x.ndim or not count:
        raise ValueError("Pixels can be standardised by at least one image, not by none.")

    def parts():
        for start in range(0, count, AT_ONCE):
            part = slice(start, start + AT_ONCE)
            yield np.asarray(x[part] if rows is None else x[rows[part]], np.float64)

    mean = np.sum([part.sum(axis=0) for part in parts()], axis=0) / count
    square = np.sum([np.square(part - mean).sum(axis=0) for part in parts()], axis=0) / count
    return mean, square
