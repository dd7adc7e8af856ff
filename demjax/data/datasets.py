"""Pictures and labels of a data set in file order, and pure functions that normalise them.

Whatever is wrong with a user's files or names is a ``ValueError`` of one sentence: which file,
what was found, what is expected.
"""

import difflib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num, UInt8

from demjax.data.idx import by, read_idx

NAMES = ("digits", "mnist")
"""The names that ``load`` knows."""

_MNIST_FOLDERS = ("", "mnist", "MNIST/raw")
_MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_PICTURES_AT_ONCE = 4096


class Dataset(NamedTuple):
    """All examples of a data set, training examples first, as the files order them.

    Attributes:
        x: Pictures, not normalised: float32 in 0…1, or uint8 in 0…255 where the files hold
            bytes (a quarter of the memory; the normalising functions give float32).
        y: Labels, int32, ``0 … classes - 1``.
        classes: Number of labels.
        train_count: The first ``train_count`` examples are the data set's own training part,
            the rest its test part; equal to ``len(y)`` where it has no test part.
        name: The name that ``load`` knows it by.
    """

    x: Num[np.ndarray, " T H W C"]
    y: Int[np.ndarray, " T"]
    classes: int
    train_count: int
    name: str


def load(name: str, *, data_dir: str | Path | None = None) -> Dataset:
    """Read a data set by its name.

    Args:
        name: One of ``NAMES``.
        data_dir: The folder of its files; not needed, and not looked at, for ``digits``.

    Returns:
        The data set, not normalised.

    Raises:
        ValueError: The name is unknown, the folder is needed and not given, or its files are
            missing or damaged.
    """
    if name == "digits":
        return digits()
    if name == "mnist":
        if data_dir is None:
            raise ValueError(
                "The data set 'mnist' is read from its four IDX files, so say in which folder "
                "they are with data_dir, or --data-dir (none is needed for 'digits')."
            )
        return mnist(data_dir=data_dir)
    nearest = difflib.get_close_matches(str(name).lower(), NAMES, n=1, cutoff=0.0)[0]
    raise ValueError(
        f"There is no data set named {name!r}; the nearest name is {nearest!r}, "
        f"and possible are {', '.join(NAMES)}."
    )


def digits() -> Dataset:
    """Read the 1,797 handwritten digits of 8×8 pixels that come with scikit-learn.

    Returns:
        float32 pictures ``[1797, 8, 8, 1]``, the 17 grey values scaled to 0…1; there is no
        test part.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI.
    """
    from sklearn.datasets import load_digits  # here, so that importing demjax stays light

    source = load_digits()
    x = (source.images / 16).astype(np.float32)[..., np.newaxis]
    y = source.target.astype(np.int32)
    return Dataset(x, y, classes=10, train_count=len(y), name="digits")


def mnist(*, data_dir: str | Path) -> Dataset:
    """Read MNIST, or any data of ten labels in the same four IDX files.

    Args:
        data_dir: A folder that holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``
            and the same two with ``t10k``, gzipped (``.gz``) or not, in it or in its subfolder
            ``mnist`` or ``MNIST/raw``. ``.idx3`` and ``.idx1`` are read like ``-idx3`` and
            ``-idx1``.

    Returns:
        uint8 pictures ``[70000, 28, 28, 1]`` in 0…255, 60,000 for training, then 10,000 to test.

    Raises:
        ValueError: A file is missing or damaged, or two files do not fit together.

    Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits.
    """
    train_images, train_labels, test_images, test_labels = _mnist_files(Path(data_dir))
    train_x, train_y = _pictures_and_labels(train_images, train_labels, classes=10)
    test_x, test_y = _pictures_and_labels(test_images, test_labels, classes=10)
    if train_x.shape[1:] != test_x.shape[1:]:
        raise ValueError(
            f"{test_images} holds pictures of {by(test_x.shape[1:])} pixels and "
            f"{train_images} of {by(train_x.shape[1:])}, but both must have one size."
        )
    x = np.concatenate([train_x, test_x])[..., np.newaxis]
    y = np.concatenate([train_y, test_y]).astype(np.int32)
    return Dataset(x, y, classes=10, train_count=len(train_y), name="mnist")


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


def _mnist_files(data_dir: Path) -> list[Path]:
    """The four files, from the first folder that has all of them, or a ``ValueError``."""
    folders = [data_dir / name for name in _MNIST_FOLDERS]
    try:
        found = [[_file(folder, name) for name in _MNIST_FILES] for folder in folders]
    except OSError as error:
        raise ValueError(f"{data_dir} cannot be searched for MNIST ({error.strerror}).") from error
    fullest = min(found, key=lambda files: files.count(None))
    missing = [name for name, file in zip(_MNIST_FILES, fullest, strict=True) if file is None]
    if missing:
        raise ValueError(
            f"{folders[found.index(fullest)]} does not hold {', '.join(missing)} (nor with .gz), "
            "but MNIST is read from four IDX files, all of them in the data folder, in its "
            "subfolder mnist or in MNIST/raw."
        )
    return [file for file in fullest if file is not None]


def _file(folder: Path, name: str) -> Path | None:
    names = (name, name.replace("-idx", ".idx"))
    paths = [folder / (each + ending) for ending in ("", ".gz") for each in names]
    return next((path for path in paths if path.is_file()), None)


def _pictures_and_labels(
    images_path: Path, labels_path: Path, *, classes: int
) -> tuple[UInt8[np.ndarray, " T H W"], UInt8[np.ndarray, " T"]]:
    pictures = read_idx(images_path, dimensions=3)
    labels = read_idx(labels_path, dimensions=1)
    if len(pictures) != len(labels):
        raise ValueError(
            f"{labels_path} holds {len(labels)} labels and {images_path} {len(pictures)} pictures, "
            "but there must be one label for each picture."
        )
    if not pictures.size:
        raise ValueError(
            f"{images_path} holds {by(pictures.shape)} pixels, "
            "but at least one picture of at least one pixel is expected."
        )
    if labels.max() >= classes:
        raise ValueError(
            f"{labels_path} holds the label {labels.max()} at position {labels.argmax()}, "
            f"but only the labels 0 to {classes - 1} are possible."
        )
    return pictures, labels
