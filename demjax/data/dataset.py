"""What every data set is read into, and the checks that all of them must pass.

Whatever is wrong with a user's files or names is a ``ValueError`` of one sentence: which file,
what was found, what is expected.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Num


class Dataset(NamedTuple):
    """All examples of a data set, training examples first, as the files order them.

    Attributes:
        x: Inputs, not normalised: float32 (images in 0…1), or uint8 in 0…255 where the files
            hold bytes (a quarter of the memory; the normalising functions give float32).
        y: Labels, int32, ``0 … classes - 1``.
        classes: Number of labels.
        train_count: The first ``train_count`` examples are the data set's own training part,
            the rest its test part; equal to ``len(y)`` where it has no test part.
        name: The name that ``load`` knows it by.
        owner: The natural client of each example, ``0 … owners - 1``, each with at least one
            example; ``None`` where the data have no natural clients.
    """

    x: Num[np.ndarray, " T *shape"]
    y: Int[np.ndarray, " T"]
    classes: int
    train_count: int
    name: str
    owner: Int[np.ndarray, " T"] | None = None


def checked_inputs(x: np.ndarray, where: object) -> Num[np.ndarray, " T *shape"]:
    """Inputs as uint8 or finite float32, at least one number for each of at least one example.

    Args:
        x: What a file holds.
        where: The file and the place in it, for the sentence.

    Raises:
        ValueError: These are no such inputs.
    """
    if x.dtype.kind not in "uifb":
        raise ValueError(
            f"{where} holds inputs of type {x.dtype}, but only numbers, as pixels, can be read."
        )
    if x.ndim < 2 or not x.size:
        raise ValueError(
            f"{where} holds inputs of the shape {x.shape}, but at least one example of at least "
            "one number is expected, examples first."
        )
    if x.dtype == np.uint8:
        return x
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite: refused
        x = x.astype(np.float32, copy=False)
    if not np.isfinite(x).all():
        example = np.argwhere(~np.isfinite(x))[0, 0]
        raise ValueError(
            f"{where} holds an input that is no finite number in example {example}, "
            "but all inputs must be finite in single precision."
        )
    return x


def checked_classes(
    y: np.ndarray, where: object, *, classes: int | None = None
) -> Int[np.ndarray, " T"]:
    """Labels as int32: whole numbers, ``0 … classes - 1``.

    Args:
        y: What a file holds; floats are read where they are whole.
        where: The file and the place in it, for the sentence.
        classes: Number of labels, ``None`` where the largest one decides.

    Raises:
        ValueError: These are no such labels.
    """
    if y.ndim != 1 or y.dtype.kind not in "uif":
        raise ValueError(
            f"{where} holds labels of type {y.dtype} and shape {y.shape}, "
            "but whole numbers in one dimension are expected."
        )
    most = MOST_CLASSES if classes is None else classes
    wrong = ~((y >= 0) & (y < most) & (y == np.floor(y)))  # written so that NaN is wrong
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(
            f"{where} holds the label {y[at]} at position {at}, "
            f"but only the labels 0 to {most - 1} are possible."
        )
    return y.astype(np.int32)


def as_dataset(made: object, name: str) -> Dataset:
    """What a function made, checked, as a data set; of a pair ``(x, y)`` all is for training.

    Args:
        made: A data set, or inputs ``[T, ...]`` and labels ``[T]``.
        name: What the data set is called, in sentences, and where it has no name.

    Raises:
        ValueError: It is neither, or holds what no data set can hold.
    """
    if isinstance(made, Dataset):
        found = made
    elif isinstance(made, tuple | list) and len(made) == 2:
        x, y = (np.asarray(part) for part in made)
        classes = int(checked_classes(y, f"The data set {name}").max(initial=0)) + 1
        found = Dataset(x, y, classes, len(y), name)
    else:
        raise ValueError(
            f"The data set {name!r} was made as {type(made).__name__}; possible is a "
            "demjax.data.Dataset, or a pair of inputs and labels (x, y)."
        )
    where = f"The data set {name}"
    x = checked_inputs(np.asarray(found.x), where)
    y = checked_classes(np.asarray(found.y), where, classes=found.classes)
    if len(x) != len(y) or not 1 <= found.train_count <= len(y):
        raise ValueError(
            f"{where} holds {len(x)} inputs, {len(y)} labels and {found.train_count} examples for "
            "training, but as many labels as inputs are expected, some of them for training."
        )
    return found._replace(x=x, y=y)


def within(root: Path, path: Path) -> Path:
    """A path that stays in its folder, links followed.

    Raises:
        ValueError: It leads out of the folder.
    """
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # links in a circle
        inside = False
    if not inside:
        raise ValueError(f"{path} leads out of the folder {root}, so it is not read.")
    return path


def files_in(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder whose names fit, in order, without those that macOS adds (``._a``).

    Raises:
        ValueError: The folder cannot be read.
    """
    try:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
    except OSError as error:
        raise ValueError(f"{folder} cannot be read ({error.strerror}).") from error
    return [path for path in found if not path.name.startswith("._")]


MOST_CLASSES = 100_000
"""More labels than any data set has: a larger one is a mistake, and would make a vast model."""
