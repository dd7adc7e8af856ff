"""CIFAR-10 from its binary files and from JPEG; whatever is damaged is refused."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from partitions_alike import failure
from PIL import Image

from demjax.data import cifar10, cifar10_jpeg, load

TRAIN = [f"data_batch_{number}.bin" for number in range(1, 6)]


def write_binary(folder, **replaced):
    """Six files of two and more records; the images and labels, training files first."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    x, y = [], []
    for number, name in enumerate([*TRAIN, "test_batch.bin"]):
        images = rng.integers(0, 256, (number + 2, 32, 32, 3), dtype=np.uint8)
        labels = rng.integers(0, 10, number + 2, dtype=np.uint8)
        records = b"".join(
            bytes([label]) + b"".join(image[..., colour].tobytes() for colour in range(3))
            for image, label in zip(images, labels, strict=True)
        )
        (folder / name).write_bytes(replaced.get(name.removesuffix(".bin"), records))
        x, y = [*x, *images], [*y, *labels]
    return np.array(x), np.array(y)


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"])
def test_the_binary_version_is_read(tmp_path, below):
    x, y = write_binary(tmp_path / below)
    read = load("cifar10", data_dir=tmp_path)
    np.testing.assert_array_equal(read.x, x)
    np.testing.assert_array_equal(read.y, y)
    assert (read.x.dtype, read.y.dtype) == (np.uint8, np.int32)
    assert (read.train_count, read.classes, read.name) == (2 + 3 + 4 + 5 + 6, 10, "cifar10")


def test_damaged_binary_files_are_named(tmp_path):
    for content, found in (
        (b"", "0 bytes"),
        (bytes(3073 * 2 - 1), "6145 bytes"),
        (bytes([10]) + bytes(3072), "label 10 at position 0"),
    ):
        write_binary(tmp_path, data_batch_3=content)
        failure(lambda: cifar10(data_dir=tmp_path), tmp_path / "data_batch_3.bin", found)
    (tmp_path / "test_batch.bin").unlink()
    failure(lambda: cifar10(data_dir=tmp_path), tmp_path, "test_batch.bin", "--fetch cifar10")


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("below", ["", "cifar-10-batches-py"])
def test_the_pickled_version_is_refused_unread(tmp_path, below):
    folder = tmp_path / below
    folder.mkdir(exist_ok=True)
    (folder / "data_batch_1").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    failure(lambda: load("cifar10", data_dir=tmp_path), "pickle", "cifar-10-binary.tar.gz")
    assert not (tmp_path / "sprung").exists()


# ---- JPEG ---------------------------------------------------------------------------------------


def jpeg(image, quality=90, form="JPEG"):
    file = io.BytesIO()
    Image.fromarray(image).save(file, form, quality=quality)
    return file.getvalue()


def smooth(count, side=32, seed=0):
    """Images that JPEG changes little."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 256, (count, 2, 2, 3))
    along = np.linspace(0, 1, side)
    rows = corners[:, :1] * (1 - along)[:, None, None] + corners[:, 1:] * along[:, None, None]
    left, right = rows[:, :, :1], rows[:, :, 1:]
    return (left * (1 - along)[:, None] + right * along[:, None]).astype(np.uint8)


def arrays_of(files, labels):
    ends = np.cumsum([0, *map(len, files)])
    return {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offset": ends.astype(np.int64),
        "label": np.asarray(labels, np.uint8),
        "classes": np.array([str(label) for label in range(10)]),
    }


def write_jpeg(folder, **replaced):
    folder.mkdir(parents=True, exist_ok=True)
    train, test = smooth(5), smooth(3, seed=1)
    good = {"train": (train, [0, 0, 1, 9, 9]), "test": (test, [4, 5, 6])}
    for part, (images, labels) in good.items():
        arrays = arrays_of([jpeg(image) for image in images], labels)
        arrays = arrays | (replaced if part == "train" else {})
        np.savez(folder / f"{part}.npz", **arrays)
    return np.concatenate([train, test]), np.array([0, 0, 1, 9, 9, 4, 5, 6])


@pytest.mark.parametrize("below", ["", "cifar10-jpeg"])
def test_images_as_jpeg_are_decoded(tmp_path, below):
    x, y = write_jpeg(tmp_path / below)
    read = load("cifar10_jpeg", data_dir=tmp_path)
    assert (read.x.shape, read.x.dtype, read.y.dtype) == ((8, 32, 32, 3), np.uint8, np.int32)
    assert np.abs(read.x.astype(int) - x).max() < 30
    assert np.abs(read.x.astype(int) - x).mean() < 3
    np.testing.assert_array_equal(read.y, y)
    assert (read.classes, read.train_count, read.name) == (10, 5, "cifar10_jpeg")


FILES = [jpeg(image) for image in smooth(5)]
GOOD = arrays_of(FILES, [0, 0, 1, 9, 9])
WRONG = {
    "a label": ({"label": np.array([0, 0, 10, 9, 9], np.uint8)}, "label 10 at position 2"),
    "too few labels": ({"label": np.zeros(4, np.uint8)}, "4 labels"),
    "no images": ({"label": np.zeros(0, np.uint8), "offset": np.zeros(1, int)}, "0 labels"),
    "falling offsets": ({"offset": GOOD["offset"][[0, 2, 1, 3, 4, 5]]}, "ascend"),
    "an empty image": ({"offset": GOOD["offset"][[0, 1, 1, 3, 4, 5]]}, "ascend"),
    "beyond the end": ({"offset": GOOD["offset"] + 1}, "ascend"),
    "below 0": ({"offset": GOOD["offset"] - 1}, "ascend"),
    "vast": ({"offset": GOOD["offset"].astype(np.uint64) + np.uint64(2**63)}, "ascend"),
    "offsets of 1.5": ({"offset": GOOD["offset"] / 2}, "float64"),
    "not bytes": ({"jpeg": GOOD["jpeg"].astype(np.int32)}, "int32"),
    "not JPEG": ({"jpeg": np.zeros_like(GOOD["jpeg"])}, "Image 0"),
    "cut in an image": (
        arrays_of([*FILES[:3], FILES[3][:-60], FILES[4]], [0] * 5),
        "Image 3",
    ),
    "another size": (arrays_of([*FILES[:4], jpeg(smooth(1, 16)[0])], [0] * 5), "16×16 RGB"),
    "grey": (arrays_of([*FILES[:4], jpeg(smooth(1)[0, ..., 0])], [0] * 5), "32×32 L"),
    "PNG": (arrays_of([*FILES[:4], jpeg(smooth(1)[0], form="PNG")], [0] * 5), "Image 4"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_damaged_images_are_named(tmp_path, wrong):
    arrays, found = WRONG[wrong]
    write_jpeg(tmp_path, **arrays)
    failure(lambda: cifar10_jpeg(data_dir=tmp_path), tmp_path / "train.npz", found)


def test_missing_and_cut_files_are_named(tmp_path):
    write_jpeg(tmp_path)
    path = tmp_path / "test.npz"
    path.write_bytes(path.read_bytes()[:-100])
    failure(lambda: cifar10_jpeg(data_dir=tmp_path), path)
    path.unlink()
    failure(lambda: cifar10_jpeg(data_dir=tmp_path), tmp_path, "train.npz and test.npz")


def test_every_tenth_image_of_cifar10_itself_as_jpeg(tmp_path):
    folder = Path(os.environ.get("DEMJAX_DATA_DIR", ""))
    if not folder.name or not (folder / "cifar10-jpeg").is_dir():
        pytest.skip("DEMJAX_DATA_DIR is not set, or holds no cifar10-jpeg")
    for part in ("train", "test"):
        with np.load(folder / "cifar10-jpeg" / f"{part}.npz") as source:
            content, offset, labels = source["jpeg"], source["offset"], source["label"]
        chosen = range(0, len(labels), 10)
        files = [content[offset[n] : offset[n + 1]].tobytes() for n in chosen]
        np.savez(tmp_path / f"{part}.npz", **arrays_of(files, labels[::10]))
    read = cifar10_jpeg(data_dir=tmp_path)
    assert (read.x.shape, read.train_count) == ((6000, 32, 32, 3), 5000)
    assert np.bincount(read.y[:5000]).tolist() == [500] * 10
    assert np.bincount(read.y[5000:]).tolist() == [100] * 10
    # mean and deviation of the colours of CIFAR-10's training images, as is well known
    unit = read.x[:5000] / np.float32(255)
    mean, deviation = unit.mean((0, 1, 2), np.float64), unit.std((0, 1, 2), np.float64)
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=0.01)
    np.testing.assert_allclose(deviation, [0.2470, 0.2435, 0.2616], atol=0.01)
