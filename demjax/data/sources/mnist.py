"""MNIST and the data sets that are published in the same four IDX files."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from demjax.data.dataset import Dataset, checked_classes
from demjax.data.rows_in_files import Inputs, changed, joined
from demjax.data.sources.idx import by, read_idx
from demjax.data.sources.tfds import PREPARED
from demjax.registry import DATASETS

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class IdxSource(NamedTuple):
    """How a data set is published in IDX files.

    Attributes:
        folders: Where its files are looked for in the data folder.
        files: Their names: training images and labels, test images and labels.
    """

    folders: Sequence[str]
    files: Sequence[str] = _FILES


def _emnist(split: str) -> IdxSource:
    files = [f"emnist-{split}-{name.replace('t10k', 'test')}" for name in _FILES]
    return IdxSource(("", "emnist", "gzip", "emnist/gzip"), files)


IDX_SOURCES: Mapping[str, IdxSource] = {
    "mnist": IdxSource(("", "mnist", "MNIST/raw")),
    "fashion_mnist": IdxSource(("", "fashion_mnist", "fashion-mnist", "FashionMNIST/raw")),
    "emnist": _emnist("byclass"),
    "emnist_balanced": _emnist("balanced"),
}
"""Those of ``PREPARED``, which says the rest of them, that are published so."""
_EMNIST: dict[str, Any] = {"shape": "28×28×1", "download": "562 MB", "licence": "none stated"}
_EMNIST |= {"source": "nist.gov/itl/products-and-services/emnist-dataset"}


@DATASETS.register(
    examples="60,000 + 10,000",
    shape="28×28×1",
    classes="10",
    download="12 MB",
    licence="CC BY-SA 3.0",
    source="yann.lecun.com",
    files=lambda data_dir: idx_files("mnist", data_dir),
)
def mnist(*, data_dir: str | Path, by_rows: bool = False) -> Dataset:
    """Read MNIST, or any data of ten labels in the same four IDX files.

    Args:
        data_dir: A folder that holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``
            and the same two with ``t10k``, gzipped (``.gz``) or not, in it or in its subfolder
            ``mnist`` or ``MNIST/raw``. ``.idx3`` and ``.idx1`` are read like ``-idx3`` and
            ``-idx1``.
        by_rows: Whether images stay in their files, packed or not, and rows of them are read.

    Returns:
        uint8 images ``[70000, 28, 28, 1]`` in 0…255, 60,000 for training, then 10,000 to test.

    Raises:
        ValueError: A file is missing or damaged, or two files do not fit together.

    Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits.
    """
    return from_idx("mnist", Path(data_dir), by_rows=by_rows)


@DATASETS.register(
    examples="60,000 + 10,000",
    shape="28×28×1",
    classes="10",
    download="31 MB",
    licence="MIT",
    source="github.com/zalandoresearch/fashion-mnist",
    files=lambda data_dir: idx_files("fashion_mnist", data_dir),
)
def fashion_mnist(*, data_dir: str | Path, by_rows: bool = False) -> Dataset:
    """Read Fashion-MNIST from its four IDX files, which are named like MNIST's.

    Args:
        data_dir: A folder that holds them as for ``mnist``, in it or in its subfolder
            ``fashion_mnist``, ``fashion-mnist`` or ``FashionMNIST/raw``. In one folder the two
            data sets cannot be told apart.

    Returns:
        uint8 images ``[70000, 28, 28, 1]`` in 0…255, 60,000 for training, then 10,000 to test.

    Raises:
        ValueError: A file is missing or damaged, or two files do not fit together.

    Source: Xiao, Rasul and Vollgraf, arXiv 1708.07747.
    """
    return from_idx("fashion_mnist", Path(data_dir), by_rows=by_rows)


@DATASETS.register(
    examples="697,932 + 116,323",
    classes="62",
    files=lambda data_dir: idx_files("emnist", data_dir),
    **_EMNIST,
)
def emnist(*, data_dir: str | Path, by_rows: bool = False) -> Dataset:
    """Read EMNIST by class, digits and letters of 62 classes, from its four IDX files.

    Args, returns and errors as of ``mnist``; images, published column by column, are upright.
    """
    return from_idx("emnist", Path(data_dir), by_rows=by_rows)


@DATASETS.register(
    examples="112,800 + 18,800",
    classes="47",
    files=lambda data_dir: idx_files("emnist_balanced", data_dir),
    **_EMNIST,
)
def emnist_balanced(*, data_dir: str | Path, by_rows: bool = False) -> Dataset:
    """Read EMNIST balanced, 47 classes of as many examples each; else as ``emnist``."""
    return from_idx("emnist_balanced", Path(data_dir), by_rows=by_rows)


def from_idx(name: str, data_dir: Path, *, by_rows: bool = False) -> Dataset:
    """Read a data set of ``IDX_SOURCES`` from its four files.

    Raises:
        ValueError: A file is missing or damaged, or two files do not fit together.
    """
    files = idx_files(name, data_dir)
    if files is None:
        raise ValueError(_missing(name, data_dir))
    source = PREPARED[name]
    train_images, train_labels, test_images, test_labels = files
    read = partial(_images_and_labels, classes=source.classes, by_rows=by_rows)
    (train_x, train_y), (test_x, test_y) = (
        read(train_images, train_labels),
        read(test_images, test_labels),
    )
    if train_x.shape[1:] != test_x.shape[1:]:
        raise ValueError(
            f"{test_images} holds images of {by(test_x.shape[1:])} pixels and "
            f"{train_images} of {by(train_x.shape[1:])}, but both must have one size."
        )
    axes = (0, 2, 1) if source.transposed else (0, 1, 2)
    x = joined([changed(part, lambda x: x.transpose(axes)) for part in (train_x, test_x)])
    x = changed(x, lambda x: x[..., np.newaxis])
    y = np.concatenate([train_y, test_y])
    return Dataset(x, y, source.classes, train_count=len(train_y), name=name)


def idx_files(name: str, data_dir: Path) -> list[Path] | None:
    """The four files of a data set, or ``None`` where no folder holds all of them."""
    for files in _found(name, data_dir):
        whole = [file for file in files if file is not None]
        if len(whole) == len(files):
            return whole
    return None


def _missing(name: str, data_dir: Path) -> str:
    source, found = IDX_SOURCES[name], _found(name, data_dir)
    fullest = min(found, key=lambda files: files.count(None))
    missing = [each for each, file in zip(source.files, fullest, strict=True) if file is None]
    return (
        f"{data_dir / source.folders[found.index(fullest)]} does not hold {', '.join(missing)} "
        f"(nor with .gz), but {name!r} is read from four IDX files, all of them in the data folder "
        f"or in its subfolder {' or '.join(source.folders[1:])}, or as 'demjax datasets --fetch "
        f"{name}' prepares it."
    )


def _found(name: str, data_dir: Path) -> list[list[Path | None]]:
    source = IDX_SOURCES[name]
    try:
        return [[_file(data_dir / each, file) for file in source.files] for each in source.folders]
    except OSError as error:
        raise ValueError(
            f"{data_dir} cannot be searched for {name!r} ({error.strerror})."
        ) from error


def _file(folder: Path, name: str) -> Path | None:
    names = (name, name.replace("-idx", ".idx"))
    paths = [folder / (each + ending) for ending in ("", ".gz") for each in names]
    return next((path for path in paths if path.is_file()), None)


def _images_and_labels(
    images_path: Path, labels_path: Path, *, classes: int, by_rows: bool
) -> tuple[UInt8[Inputs, " T H W"], Int[np.ndarray, " T"]]:
    images = read_idx(images_path, dimensions=3, by_rows=by_rows)
    labels = read_idx(labels_path, dimensions=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{labels_path} holds {len(labels)} labels and {images_path} {len(images)} images, "
            "but there must be one label for each image."
        )
    if not images.size:
        raise ValueError(
            f"{images_path} holds {by(images.shape)} pixels, "
            "but at least one image of at least one pixel is expected."
        )
    return images, checked_classes(labels, labels_path, classes=classes)
