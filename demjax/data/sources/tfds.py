"""Data sets as TensorFlow Datasets (TFDS) prepares them; reading them needs no TensorFlow."""

import contextlib
import logging
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from demjax.data.classes import checked_classes
from demjax.data.dataset import Dataset
from demjax.data.sources.tfds_info import check_info

_EXAMPLES_AT_ONCE = 1024
_PATIENCE = 20.0
"""Seconds to wait for an answer."""


class Prepared(NamedTuple):
    """A data set of TFDS.

    Attributes:
        builder: Its name there.
        classes: Number of labels.
        address: Where its original files are, which are read as well.
        shape: Shape of an image.
        transposed: Whether images are stored column by column.
    """

    builder: str
    classes: int
    address: str
    shape: Sequence[int] = (28, 28, 1)
    transposed: bool = False


_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz"
_EMNIST = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
_CIFAR10 = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"

PREPARED: Mapping[str, Prepared] = {
    "mnist": Prepared("mnist", 10, _MNIST),
    "fashion_mnist": Prepared("fashion_mnist", 10, _FASHION),
    "emnist": Prepared("emnist/byclass", 62, _EMNIST, transposed=True),
    "emnist_balanced": Prepared("emnist/balanced", 47, _EMNIST, transposed=True),
    "cifar10": Prepared("cifar10", 10, _CIFAR10, (32, 32, 3)),
}


def prepared(name: str, *, data_dir: str | Path) -> Dataset:
    """Read a data set that TFDS has prepared in its format ``array_record``.

    That takes some tenths of a second for 1,000 images; ``load`` keeps the result. EMNIST's
    images, which are published column by column, are turned upright.

    Args:
        name: One of ``PREPARED``.
        data_dir: The folder that holds the folder of the data set, such as ``mnist/3.0.1`` or
            ``emnist/byclass/3.1.0``, by itself or in ``tfds``.

    Returns:
        uint8 images in 0…255, the training part, then the test part, each as TFDS shuffled it.

    Raises:
        ValueError: The data are missing, damaged, or prepared in another format.

    Source: https://www.tensorflow.org/datasets.
    """
    source = PREPARED[name]
    folder = prepared_folder(name, Path(data_dir))
    if folder is None:
        raise ValueError(
            f"{data_dir} does not hold {source.builder} as TFDS prepares it; possible is "
            f"'demjax datasets --fetch {name} --data-dir {data_dir}'."
        )
    check_info(folder)
    builder, root = f"{source.builder}:{folder.name}", folder
    for _ in range(source.builder.count("/") + 2):
        root = root.parent
    try:
        with quiet():
            import tensorflow_datasets as tfds  # here, so that importing demjax stays light

            parts = [
                tfds.data_source(builder, split=split, data_dir=root, download=False)
                for split in ("train", "test")
            ]
            x = np.empty((sum(map(len, parts)), *source.shape), np.uint8)
            y = np.empty(len(x), np.int64)
            start = 0
            for part in parts:
                for first in range(0, len(part), _EXAMPLES_AT_ONCE):
                    last = min(first + _EXAMPLES_AT_ONCE, len(part))
                    examples = part.__getitems__(list(range(first, last)))
                    end = start + len(examples)
                    images = np.stack([example["image"] for example in examples])
                    if images.shape[1:] != source.shape:
                        raise ValueError(f"images of the shape {images.shape[1:]}")
                    x[start:end] = images
                    y[start:end] = [example["label"] for example in examples]
                    start = end
    except Exception as error:  # TFDS and what it reads with have errors of many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise ValueError(f"{folder} cannot be read as TFDS prepares it ({reason}).") from error
    if source.transposed:
        x = np.ascontiguousarray(x.transpose(0, 2, 1, 3))
    labels = checked_classes(y, folder, classes=source.classes)
    return Dataset(x, labels, source.classes, train_count=len(parts[0]), name=name)


def prepared_folder(name: str, data_dir: Path) -> Path | None:
    """The folder of the newest version of a data set, or ``None`` where none is prepared."""
    for root in (data_dir, data_dir / "tfds"):
        versions = [
            (tuple(map(int, folder.name.split("."))), folder)
            for folder in (root / PREPARED[name].builder).glob("*.*.*")
            if re.fullmatch(r"\d+\.\d+\.\d+", folder.name)
            and (folder / "dataset_info.json").is_file()
        ]
        if versions:
            return max(versions)[1]
    return None


def prepare(name: str, *, data_dir: str | Path) -> Path:
    """Download a data set and prepare it for ``prepared``; this needs TensorFlow and the internet.

    Args:
        name: One of ``PREPARED``.
        data_dir: Where its folder is to be; made if need be. What fails leaves nothing there.

    Returns:
        The new folder, or the one that is there already.

    Raises:
        ValueError: TensorFlow is not installed, or the download failed.
    """
    root, builder = Path(data_dir), PREPARED[name].builder
    there = prepared_folder(name, root)
    if there is not None:
        return there
    try:
        import tensorflow  # noqa: F401 (TFDS writes images with it)
    except ImportError as error:
        raise ValueError(
            f"Preparing {name!r} needs TensorFlow, which reading does not; possible is "
            f"pip install 'demjax[prepare]' and then the same again, or {_by_hand(name, root)}."
        ) from error
    _check_reachable(name, root)
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        partly = Path(tempfile.mkdtemp(prefix=".fetch-", dir=root))
    except OSError as error:
        raise ValueError(f"{root} cannot be written ({error.strerror}).") from error
    try:
        with quiet():
            import tensorflow_datasets as tfds

            work = tfds.builder(builder, data_dir=partly, file_format="array_record")
            config = tfds.download.DownloadConfig(try_download_gcs=False)
            work.download_and_prepare(download_config=config)
        folder = root / Path(work.data_dir).relative_to(partly)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(work.data_dir).rename(folder)
    except Exception as error:  # TFDS and what it downloads with have errors of many kinds
        shutil.rmtree(partly, ignore_errors=True)
        for empty in made:
            with contextlib.suppress(OSError):
                empty.rmdir()
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise ValueError(
            f"{name!r} could not be fetched ({reason}); possible is {_by_hand(name, root)}."
        ) from error
    finally:
        shutil.rmtree(partly, ignore_errors=True)


def _check_reachable(name: str, root: Path) -> None:
    """Refuse to start where there is no network: TFDS would try again for many minutes."""
    try:
        request = urllib.request.Request(PREPARED[name].address, method="HEAD")
        with contextlib.suppress(urllib.error.HTTPError):  # an answer, whatever it says
            urllib.request.urlopen(request, timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "reason", error)).rstrip(".")
        raise ValueError(
            f"{PREPARED[name].address} cannot be reached ({reason}); possible is "
            f"{_by_hand(name, root)}."
        ) from error


def _by_hand(name: str, root: Path) -> str:
    folder, _, file = PREPARED[name].address.rpartition("/")
    what = f"the four .gz files of {folder}" if "mnist" in folder else f"{folder}/{file}, unpacked,"
    return f"to put {what} into {root / PREPARED[name].builder.split('/')[0]} by hand"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """TFDS's remarks on how it reads are not for whoever asked for the data."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
