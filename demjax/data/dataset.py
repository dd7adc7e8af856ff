"""What every data set is read into, and the checks that all of them must pass.

Whatever is wrong with a user's files or names is a ``ValueError`` of one sentence: which file,
what was found, what is expected.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Num

from demjax.arrays import in_32_bits
from demjax.data.classes import checked_classes, without_gaps
from demjax.data.rows_in_files import Inputs, RowsInFiles, changed, pieces


class Dataset(NamedTuple):
    """All examples of a data set, training examples first, as the files order them.

    Attributes:
        x: Inputs, not normalised: float32 (images in 0…1), or whole numbers where the files hold
            them: bytes, uint8 in 0…255, or such as the numbers of words (the normalising
            functions give float32). In files where they are read by rows.
        y: Labels, int32, ``0 … classes - 1``.
        classes: Number of labels.
        train_count: The first ``train_count`` examples are the data set's own training part,
            the rest its test part; equal to ``len(y)`` where it has no test part.
        name: The name that ``load`` knows it by.
        owner: The natural client of each example, ``0 … owners - 1``, each with at least one
            example; ``None`` where the data have no natural clients.
        labels: What each label stands for, by number, as ``encode_labels`` names them; ``None``
            where the data have no names but the numbers.
    """

    x: Num[Inputs, " T *shape"]
    y: Int[np.ndarray, " T"]
    classes: int
    train_count: int
    name: str
    owner: Int[np.ndarray, " T"] | None = None
    labels: tuple[str, ...] | None = None


def checked_inputs(x: Inputs, where: object) -> Num[Any, " T *shape"]:
    """Inputs as whole numbers or finite float32, at least one number for each example.

    Args:
        x: What a file holds. What stays there is looked through once, and checked as it is read;
            but whole numbers of 64 bits are read, for all of them decide of which type they become.
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
    if isinstance(x, RowsInFiles):
        if x.dtype.kind in "fb" or x.dtype.itemsize < 8:
            for part in pieces(x):
                checked_inputs(x[part], f"{where}, counted from example {part.start},")
            return changed(x, partial(checked_inputs, where=where))
        x = np.asarray(x)
    x = in_32_bits(x, f"The inputs in {where}")
    return x.astype(np.float32, copy=False) if x.dtype.kind == "f" else x


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
        y, labels = without_gaps(y, f"The data set {name}")
        found = Dataset(x, y, int(y.max(initial=0)) + 1, len(y), name, labels=labels)
    else:
        raise ValueError(
            f"The data set {name!r} was made as {type(made).__name__}; possible is a "
            "demjax.data.Dataset, or a pair of inputs and labels (x, y)."
        )
    where = f"The data set {name}"
    x = checked_inputs(np.asarray(found.x), where)
    y = checked_classes(np.asarray(found.y), where, classes=found.classes)
    if found.labels is not None and len(found.labels) != found.classes:
        raise ValueError(
            f"{where} names {len(found.labels)} labels, but it says that there are {found.classes}."
        )
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
