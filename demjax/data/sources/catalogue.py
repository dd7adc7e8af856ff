"""All data sets by name: where they come from, whether they are here, and how they are read."""

import difflib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from demjax.data.dataset import Dataset
from demjax.data.sources.cache import cached, default_folder
from demjax.data.sources.cifar10 import binary_files, cifar10, cifar10_jpeg, jpeg_files
from demjax.data.sources.digits import digits
from demjax.data.sources.leaf import leaf, leaf_files
from demjax.data.sources.mnist import IDX_SOURCES, from_idx, idx_files
from demjax.data.sources.npz import npz, npz_file
from demjax.data.sources.synthetic import synthetic
from demjax.data.sources.tfds import PREPARED, prepare, prepared, prepared_folder


class Entry(NamedTuple):
    """What is known of a data set before it is read.

    Attributes:
        name: The name that ``load`` knows it by.
        examples: How many, and how many of them are for training; in words.
        shape: Of one input; in words.
        classes: Number of labels; in words.
        download: What ``prepare`` downloads; in words, empty where it cannot.
        licence: As its source states it.
        source: Where it is published.
        built_in: Whether it needs no files.
    """

    name: str
    examples: str
    shape: str
    classes: str
    download: str
    licence: str
    source: str
    built_in: bool = False


_NIST = "nist.gov/itl/products-and-services/emnist-dataset"
CATALOGUE = (
    Entry("digits", "1,797", "8×8×1", "10", "", "CC BY 4.0", "UCI, in scikit-learn", True),
    Entry("mnist", "60,000 + 10,000", "28×28×1", "10", "12 MB", "CC BY-SA 3.0", "yann.lecun.com"),
    Entry(
        "fashion_mnist",
        "60,000 + 10,000",
        "28×28×1",
        "10",
        "31 MB",
        "MIT",
        "github.com/zalandoresearch/fashion-mnist",
    ),
    Entry("emnist", "697,932 + 116,323", "28×28×1", "62", "562 MB", "none stated", _NIST),
    Entry("emnist_balanced", "112,800 + 18,800", "28×28×1", "47", "562 MB", "none stated", _NIST),
    Entry(
        "cifar10",
        "50,000 + 10,000",
        "32×32×3",
        "10",
        "170 MB",
        "none stated",
        "cs.toronto.edu/~kriz/cifar.html",
    ),
    Entry(
        "cifar10_jpeg",
        "50,000 + 10,000",
        "32×32×3",
        "10",
        "",
        "none stated",
        "CIFAR-10 as JPEG: train.npz, test.npz",
    ),
    Entry("leaf", "any", "any", "any", "", "its own", "leaf.cmu.edu"),
    Entry("synthetic", "any", "60", "10", "", "none", "arXiv 1812.06127", True),
    Entry("synthetic_iid", "any", "60", "10", "", "none", "arXiv 1812.06127", True),
    Entry("npz", "any", "any", "any", "", "your own", "an .npz file with x and y"),
)
"""All data sets."""

NAMES = tuple(entry.name for entry in CATALOGUE)
"""The names that ``load`` knows."""


class Found(NamedTuple):
    """Files that a data set can be read from.

    Attributes:
        files: All that decide what is read.
        read: Reads them.
        slow: Whether that takes so long that the result is kept.
        shuffled: Whether examples are in another order than in the original files.
    """

    files: Sequence[Path]
    read: Callable[[], Dataset]
    slow: bool
    shuffled: bool = False


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    seed: int = 0,
    owners: int = 30,
    alpha: float = 1.0,
    beta: float = 1.0,
    download: bool = False,
    cache_dir: str | Path | None = None,
) -> Dataset:
    """Read a data set by its name.

    What is parsed or decoded, so slow to read, is kept as plain arrays and found again by the
    contents of its files.

    Args:
        name: One of ``NAMES``.
        data_dir: The folder of its files, for ``npz`` the file; not looked at where none is needed.
        seed: Decides the draws of synthetic data.
        owners: Number of clients of synthetic data.
        alpha: How much their models differ, 0 or more.
        beta: How much their inputs differ, 0 or more.
        download: Whether to download it where it is not found, as ``prepare`` does.
        cache_dir: Where results are kept; by default the user's cache folder, or
            ``$DEMJAX_CACHE``; empty, nothing is kept.

    Returns:
        The data set, not normalised.

    Raises:
        ValueError: The name is unknown, the folder is needed and not given, its files are missing
            or damaged, or cannot be downloaded.
    """
    if name not in NAMES:
        nearest = difflib.get_close_matches(str(name).lower(), NAMES, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"There is no data set named {name!r}; the nearest name is {nearest!r}, "
            f"and possible are {', '.join(NAMES)}."
        )
    if name == "digits":
        return digits()
    if name in ("synthetic", "synthetic_iid"):
        iid = name == "synthetic_iid"
        return synthetic(owners=owners, alpha=alpha, beta=beta, seed=seed, iid=iid)
    if data_dir is None:
        raise ValueError(
            f"The data set {name!r} is read from files, so say in which folder they are with "
            "data_dir, or --data-dir (none is needed for 'digits')."
        )
    root = Path(data_dir)
    found = find(name, root)
    if found is None and download and name in PREPARED:
        prepare(name, data_dir=root)
        found = find(name, root)
    if found is None:
        return _reader(name, root)()  # which says what is missing
    if not found.slow:
        return found.read()
    folder = default_folder() if cache_dir is None else Path(cache_dir) if cache_dir else None
    return cached(found.read, name=name, root=root, files=found.files, folder=folder)


def find(name: str, data_dir: str | Path) -> Found | None:
    """Look for the files of a data set, without reading them.

    Args:
        name: One of ``NAMES`` that is not built in.
        data_dir: The folder, for ``npz`` also the file itself.

    Returns:
        The files, or ``None`` where they are not all there.

    Raises:
        ValueError: The folder cannot be searched, or holds what must not be read.
    """
    data_dir = Path(data_dir)
    files: Sequence[Path] | None = None
    if name in IDX_SOURCES:
        files = idx_files(name, data_dir)
    elif name == "cifar10":
        files = binary_files(data_dir)
    elif name == "cifar10_jpeg":
        files = jpeg_files(data_dir)
    elif name == "leaf":
        parts = leaf_files(data_dir)
        files = None if parts is None else [file for part in parts for file in part]
    elif name == "npz" and data_dir.exists():
        files = [npz_file(data_dir)]
    if files is not None:
        return Found(files, _reader(name, data_dir), slow=name in ("leaf", "cifar10_jpeg"))
    folder = prepared_folder(name, data_dir) if name in PREPARED else None
    if folder is None:
        return None
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return Found(files, partial(prepared, name, data_dir=data_dir), True, shuffled=True)


def _reader(name: str, root: Path) -> Callable[[], Dataset]:
    if name in IDX_SOURCES:
        return partial(from_idx, name, root)
    readers = {"cifar10": cifar10, "cifar10_jpeg": cifar10_jpeg, "leaf": leaf, "npz": npz}
    return partial(readers[name], data_dir=root)
