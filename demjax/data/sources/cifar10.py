"""CIFAR-10: the original binary files, and the images as JPEG."""

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from demjax.data.classes import checked_classes
from demjax.data.dataset import Dataset
from demjax.data.rows_in_files import Inputs, changed, joined, pieces, rows_of_file
from demjax.data.sources.npz import read_arrays
from demjax.registry import DATASETS

BINARY_FOLDERS = ("", "cifar-10-batches-bin", "cifar10", "cifar10/cifar-10-batches-bin")
JPEG_FOLDERS = ("", "cifar10-jpeg")
"""Where the files are looked for."""

_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = "test_batch.bin"
_JPEG = ("train.npz", "test.npz")
_SIDE, _CLASSES = 32, 10
_RECORD = 1 + 3 * _SIDE * _SIDE


@DATASETS.register(
    examples="50,000 + 10,000",
    shape="32×32×3",
    classes="10",
    download="170 MB",
    licence="none stated",
    source="cs.toronto.edu/~kriz/cifar.html",
    files=lambda data_dir: _first(data_dir, BINARY_FOLDERS, (*_TRAIN, _TEST)),
)
def cifar10(*, data_dir: str | Path, by_rows: bool = False) -> Dataset:
    """Read CIFAR-10 from the original's binary version.

    Args:
        data_dir: A folder that holds ``data_batch_1.bin`` to ``data_batch_5.bin`` and
            ``test_batch.bin``, in it or in its subfolder ``cifar-10-batches-bin``.
        by_rows: Whether images stay in the files, and rows of them are read.

    Returns:
        uint8 images ``[60000, 32, 32, 3]`` in 0…255, 50,000 for training, then 10,000 to test.

    Raises:
        ValueError: A file is missing or damaged. The version for Python is not read: it is
            pickled, and a pickle can run any program.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    files = _first(Path(data_dir), BINARY_FOLDERS, (*_TRAIN, _TEST))
    if files is None:
        raise ValueError(_no_binary_files(Path(data_dir)))
    parts = [_records(file, by_rows=by_rows) for file in files]
    x = joined([images for images, _ in parts])
    y = np.concatenate([labels for _, labels in parts])
    return Dataset(x, y, _CLASSES, train_count=len(y) - len(parts[-1][1]), name="cifar10")


@DATASETS.register(
    examples="50,000 + 10,000",
    shape="32×32×3",
    classes="10",
    licence="none stated",
    source="CIFAR-10 as JPEG: train.npz, test.npz",
    files=lambda data_dir: _first(data_dir, JPEG_FOLDERS, _JPEG),
    slow=True,
)
def cifar10_jpeg(*, data_dir: str | Path) -> Dataset:
    """Read CIFAR-10's images as JPEG, whose pixels differ a little from the original's.

    Decoding takes about 20 seconds for all 60,000; ``load`` keeps the result.

    Args:
        data_dir: A folder that holds ``train.npz`` and ``test.npz``, in it or in its subfolder
            ``cifar10-jpeg``, each of the arrays ``jpeg`` (uint8, all files end to end),
            ``offset`` (whole numbers, where each begins, and at last the end) and ``label``.

    Returns:
        uint8 images ``[60000, 32, 32, 3]`` in 0…255, 50,000 for training, then 10,000 to test.

    Raises:
        ValueError: A file is missing or damaged, or an image is not 32×32 RGB.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    files = _first(Path(data_dir), JPEG_FOLDERS, _JPEG)
    if files is None:
        raise ValueError(
            f"{data_dir} does not hold train.npz and test.npz, but 'cifar10_jpeg' is read from "
            "these two, in the data folder or in its subfolder cifar10-jpeg."
        )
    (train_x, train_y), (test_x, test_y) = (_decoded(file) for file in files)
    x, y = np.concatenate([train_x, test_x]), np.concatenate([train_y, test_y])
    return Dataset(x, y, _CLASSES, train_count=len(train_y), name="cifar10_jpeg")


def _first(data_dir: Path, folders: Sequence[str], names: Sequence[str]) -> list[Path] | None:
    """The files in the first folder that holds all of them."""
    places = [[data_dir / folder / name for name in names] for folder in folders]
    return next((files for files in places if all(file.is_file() for file in files)), None)


def _records(
    path: Path, *, by_rows: bool
) -> tuple[UInt8[Inputs, " T 32 32 3"], Int[np.ndarray, " T"]]:
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error
    records = rows_of_file(file, 0, (size // _RECORD, _RECORD), np.dtype(np.uint8), path)
    if not size or size % _RECORD:
        raise ValueError(
            f"{path} holds {size} bytes, but CIFAR-10's binary files consist of records "
            f"of {_RECORD} bytes, so it must be fetched again."
        )
    held: Inputs = records if by_rows else records[:]
    labels = np.concatenate([held[part][:, 0] for part in pieces(held)])
    return changed(held, _images), checked_classes(labels, path, classes=_CLASSES)


def _images(records: UInt8[np.ndarray, " T R"]) -> UInt8[np.ndarray, " T 32 32 3"]:
    planes = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)  # all red pixels, then green, then blue
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _no_binary_files(data_dir: Path) -> str:
    places = [*BINARY_FOLDERS, *(f"./{folder}/cifar-10-batches-py" for folder in BINARY_FOLDERS)]
    if pickled := _first(data_dir, places, ("data_batch_1",)):
        return (
            f"{pickled[0].parent} holds CIFAR-10 as Python pickles, which could run any program "
            "and are not read; possible is the binary version, cifar-10-binary.tar.gz, unpacked in "
            "the same place."
        )
    return (
        f"{data_dir} does not hold {_TRAIN[0]} to {_TRAIN[-1]} and {_TEST}, but 'cifar10' is read "
        "from these, in the data folder or in its subfolder cifar-10-batches-bin, or as 'demjax "
        "datasets --fetch cifar10' prepares it."
    )


def _decoded(path: Path) -> tuple[UInt8[np.ndarray, " T 32 32 3"], Int[np.ndarray, " T"]]:
    """Images and labels of one file; in one thread, since more were not faster."""
    from PIL import Image  # here, so that importing demjax stays light

    arrays = read_arrays(path, required=("jpeg", "offset", "label"))
    content, offset = arrays["jpeg"], arrays["offset"]
    labels = checked_classes(arrays["label"], f"label in {path}", classes=_CLASSES)
    if content.dtype != np.uint8 or content.ndim != 1 or offset.dtype.kind not in "iu":
        raise ValueError(
            f"jpeg in {path} is of type {content.dtype} and offset of {offset.dtype}, "
            "but bytes in one dimension and whole numbers are expected."
        )
    if offset.shape != (len(labels) + 1,) or not len(labels):
        raise ValueError(
            f"{path} holds {len(labels)} labels and {offset.shape} offsets, but one label for each "
            "image, and one offset more, are expected, of at least one image."
        )
    offset = offset.astype(np.int64)
    if offset[0] < 0 or offset[-1] > len(content) or (np.diff(offset) <= 0).any():
        raise ValueError(
            f"offset in {path} must ascend from 0 or more to {len(content)} at most, the number of "
            f"bytes, but it goes from {offset[0]} to {offset[-1]}, or falls back between."
        )
    images = np.empty((len(labels), _SIDE, _SIDE, 3), np.uint8)
    for number, (start, end) in enumerate(pairwise(offset)):
        try:
            with Image.open(io.BytesIO(content[start:end].tobytes()), formats=("JPEG",)) as image:
                found = (*image.size, image.mode)
                if found == (_SIDE, _SIDE, "RGB"):
                    images[number] = np.asarray(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(
                f"Image {number} in {path} is a damaged JPEG file, so it must be fetched again."
            ) from error
        if found != (_SIDE, _SIDE, "RGB"):
            raise ValueError(
                f"Image {number} in {path} is {found[0]}×{found[1]} {found[2]}, "
                f"but {_SIDE}×{_SIDE} RGB is expected."
            )
    return images, labels
