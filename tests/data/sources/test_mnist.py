"""IDX files of MNIST and its relatives: read from good files, refused from bad ones."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from idx_files import FILES, IMAGES, LABELS, arrays, idx_bytes, write_all
from partitions_alike import failure

from demjax.data import fashion_mnist, load, mnist, read_idx


def data_dir():
    folder = os.environ.get("DEMJAX_DATA_DIR")
    if not folder:
        pytest.skip("DEMJAX_DATA_DIR is not set, so there are no MNIST files to read")
    if not any((Path(folder) / "mnist").glob("train-labels*")):
        pytest.skip(f"there is no MNIST in {folder}")
    return folder


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("subfolder", ["", "mnist", "MNIST/raw"])
def test_mnist_is_read_from_all_its_layouts(tmp_path, ending, mark, subfolder):
    write_all(tmp_path / subfolder, ending=ending, mark=mark)
    data, source = mnist(data_dir=str(tmp_path)), arrays()
    np.testing.assert_array_equal(data.x[:7, :, :, 0], source["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(data.x[7:, :, :, 0], source["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(data.y[:7], source["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(data.y[7:], source["t10k-labels-idx1-ubyte"])
    assert (data.x.shape, data.x.dtype, data.y.dtype) == ((12, 4, 3, 1), np.uint8, np.int32)
    assert (data.classes, data.train_count, data.name) == (10, 7, "mnist")


def test_a_stray_file_does_not_hide_the_complete_subfolder(tmp_path):
    write_all(tmp_path / "mnist")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"junk")
    assert len(mnist(data_dir=tmp_path).y) == 12


def test_a_gz_name_on_a_plain_file_and_the_reverse_are_read_by_content(tmp_path):
    write_all(tmp_path)
    plain = tmp_path / "train-labels-idx1-ubyte"
    plain.rename(plain.with_name(plain.name + ".gz"))
    other = tmp_path / "t10k-labels-idx1-ubyte"
    other.write_bytes(gzip.compress(other.read_bytes()))
    np.testing.assert_array_equal(
        mnist(data_dir=tmp_path).y[7:], arrays()["t10k-labels-idx1-ubyte"]
    )


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_and_only_it(tmp_path, name):
    write_all(tmp_path)
    (tmp_path / name).unlink()
    sentence = failure(lambda: mnist(data_dir=tmp_path), tmp_path, name)
    assert not any(other in sentence for other in FILES if other != name)


def test_an_empty_a_missing_and_an_impossible_folder_say_what_they_lack(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        failure(lambda folder=folder: mnist(data_dir=folder), folder, *FILES)
    failure(lambda: mnist(data_dir=tmp_path / ("x" * 5000)), "x" * 5000)
    failure(lambda: read_idx(tmp_path / "nowhere", dimensions=1), tmp_path / "nowhere", "exist")
    failure(lambda: read_idx(tmp_path, dimensions=1), tmp_path, "cannot be read")


CORRUPTIONS = {
    "empty": (LABELS, b"", "begins with the bytes ''"),
    "only two bytes": (LABELS, b"\0\0", "begins with the bytes '00 00'"),
    "not IDX": (LABELS, b"<html>not found</html>", "'3c 68 74 6d'"),
    "other type": (LABELS, b"\0\0\x0d\1" + idx_bytes(LABELS)[4:], "'00 00 0d 01'"),
    "other dimensions": (LABELS, idx_bytes(IMAGES), "'00 00 08 03'"),
    "cut in the header": (IMAGES, idx_bytes(IMAGES)[:13], "after 13 of 16 bytes"),
    "cut in the values": (IMAGES, idx_bytes(IMAGES)[:-1], "holds 83 bytes"),
    "trailing byte": (IMAGES, idx_bytes(IMAGES) + b"\0", "holds more than 84 bytes"),
    "trailing labels": (LABELS, idx_bytes(LABELS) + b"\1\2", "holds more than 7 bytes"),
    "enormous header": (LABELS, b"\0\0\x08\1" + b"\xff" * 4, "4294967295"),
    "count mismatch": (LABELS, idx_bytes(LABELS[:-1]), "6 labels"),
    "label 10": (
        LABELS,
        idx_bytes(np.where(np.arange(7) == 3, 10, LABELS).astype("u1")),
        "label 10",
    ),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_each_corruption_names_its_file_and_what_was_found(tmp_path, corruption, ending):
    array, content, found = CORRUPTIONS[corruption]
    kind, name = ("images", "train-images-idx3") if array is IMAGES else ("labels", "train-labels")
    write_all(tmp_path, ending=ending, **{f"train_{kind}": content})
    failure(lambda: mnist(data_dir=tmp_path), tmp_path / name, found)


def test_images_of_two_sizes_and_no_images_are_refused(tmp_path):
    other = idx_bytes(np.zeros((5, 3, 3), np.uint8))
    write_all(tmp_path, t10k_images=other)
    failure(lambda: mnist(data_dir=tmp_path), "t10k-images", "3×3", "4×3")
    none = np.zeros((0, 4, 3), np.uint8)
    write_all(tmp_path, t10k_images=idx_bytes(none), t10k_labels=idx_bytes(none[:, 0, 0]))
    failure(lambda: mnist(data_dir=tmp_path), "t10k-images", "0×4×3")


def test_mnist_itself():
    data = mnist(data_dir=data_dir())
    assert (data.x.shape, data.x.dtype, data.train_count) == ((70000, 28, 28, 1), np.uint8, 60000)
    counts = np.bincount(data.y)
    assert counts.tolist() == [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]
    # MD5 of the release's train labels, without their header
    header = bytes([0, 0, 8, 1]) + struct.pack(">I", 60000)
    labels = hashlib.md5(header + data.y[:60000].astype(np.uint8).tobytes()).hexdigest()
    assert labels == "a25bea736e30d166cdddb491f175f624"
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 10000, 28, 28)
    images = hashlib.md5(header + data.x[60000:].tobytes()).hexdigest()
    assert images == "2646ac647ad5339dbf082846283269ea"


# ---- its relatives ------------------------------------------------------------------------------


@pytest.mark.parametrize("subfolder", ["", "fashion_mnist", "fashion-mnist", "FashionMNIST/raw"])
def test_fashion_mnist_is_in_files_of_the_same_names(tmp_path, subfolder):
    write_all(tmp_path / subfolder)
    data = fashion_mnist(data_dir=tmp_path)
    np.testing.assert_array_equal(data.x[:7, :, :, 0], IMAGES)
    np.testing.assert_array_equal(data.y[:7], LABELS)
    assert (data.name, data.classes, data.train_count) == ("fashion_mnist", 10, 7)
    if subfolder:
        failure(lambda: mnist(data_dir=tmp_path), *FILES, "demjax datasets --fetch mnist")


@pytest.mark.parametrize(
    ("name", "split", "classes"), [("emnist", "byclass", 62), ("emnist_balanced", "balanced", 47)]
)
def test_emnist_is_turned_upright_and_has_its_labels(tmp_path, name, split, classes):
    (tmp_path / "gzip").mkdir()
    for file, array in arrays().items():
        array = array % classes if array.ndim == 3 else array + classes - 10
        path = tmp_path / "gzip" / f"emnist-{split}-{file.replace('t10k', 'test')}.gz"
        path.write_bytes(gzip.compress(idx_bytes(array.astype(np.uint8))))
    data = load(name, data_dir=tmp_path)
    assert data.x.shape == (12, 3, 4, 1)  # the files hold images of 4×3, column by column
    for row in range(3):
        for column in range(4):
            np.testing.assert_array_equal(
                data.x[:7, row, column, 0], IMAGES[:, column, row] % classes
            )
    np.testing.assert_array_equal(data.y[:7], LABELS.astype(int) + classes - 10)
    assert (data.classes, data.name) == (classes, name)
    beyond = np.full(7, classes, np.uint8)
    path = tmp_path / "gzip" / f"emnist-{split}-train-labels-idx1-ubyte.gz"
    path.write_bytes(idx_bytes(beyond))
    failure(lambda: load(name, data_dir=tmp_path), path, f"0 to {classes - 1}")
