"""Data sets by name, read from good files and refused from bad ones."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from deals import failure
from hypothesis import given, settings
from hypothesis import strategies as st
from idx_files import FILES, IMAGES, LABELS, arrays, idx_bytes

from demjax.data import datasets, digits, load, mnist, read_idx, scale_to_unit, standardize_pixels


def write_all(folder, *, ending="", mark="-", **replaced):
    """Write the four files; ``replaced`` gives other bytes for ``train_images`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays().items():
        content = idx_bytes(array)
        content = replaced.get("_".join(name.split("-")[:2]), content)
        if content is not None:
            name = name.replace("-idx", f"{mark}idx") + ending
            (folder / name).write_bytes(gzip.compress(content) if ending else content)
    return folder


def data_dir():
    folder = os.environ.get("DEMJAX_DATA_DIR")
    if not folder:
        pytest.skip("DEMJAX_DATA_DIR is not set, so there are no MNIST files to read")
    if not any((Path(folder) / "mnist").glob("train-labels*")):
        pytest.skip(f"there is no MNIST in {folder}")
    return folder


# ---- digits and names -----------------------------------------------------------------------


def test_digits_are_the_pictures_of_scikit_learn_in_its_order():
    from sklearn.datasets import load_digits

    data, source = digits(), load_digits()
    assert (data.x.shape, data.x.dtype) == ((1797, 8, 8, 1), np.float32)
    assert (data.y.shape, data.y.dtype) == ((1797,), np.int32)
    assert (data.classes, data.train_count, data.name) == (10, 1797, "digits")
    np.testing.assert_array_equal(data.x[..., 0] * 16, source.images)
    np.testing.assert_array_equal(data.y, source.target)
    assert (data.x.min(), data.x.max()) == (0, 1)


def test_load_finds_every_name(tmp_path):
    write_all(tmp_path)
    for name in datasets.NAMES:
        assert load(name, data_dir=tmp_path).name == name
    assert len(load("digits").y) == 1797


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("mnits", "mnist"), ("digit", "digits"), ("MNIST", "mnist"), ("", "")]
)
def test_an_unknown_name_is_answered_with_the_nearest_and_all(wrong, nearest):
    sentence = failure(lambda: load(wrong), repr(wrong), "digits", "mnist")
    assert f"nearest name is '{nearest}" in sentence


def test_mnist_without_a_folder_asks_for_one():
    failure(lambda: load("mnist"), "mnist", "data_dir")


# ---- the IDX files of MNIST -------------------------------------------------------------------


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
    "trailing byte": (IMAGES, idx_bytes(IMAGES) + b"\0", "holds 85 bytes"),
    "trailing labels": (LABELS, idx_bytes(LABELS) + b"\1\2", "holds 9 bytes"),
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


def test_pictures_of_two_sizes_and_no_pictures_are_refused(tmp_path):
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
    pictures = hashlib.md5(header + data.x[60000:].tobytes()).hexdigest()
    assert pictures == "2646ac647ad5339dbf082846283269ea"


# ---- normalisation ------------------------------------------------------------------------------


def test_scaling_is_a_division():
    x = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    scaled = scale_to_unit(x)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.ravel(), np.arange(256) / 255, rtol=1e-7)
    np.testing.assert_array_equal(scale_to_unit(x, maximum=1), x)
    assert x[-1, -1, -1, 0] == 255
    for maximum in (0, -1, np.nan, np.inf):
        failure(lambda maximum=maximum: scale_to_unit(x, maximum=maximum), maximum)


def test_standardising_by_hand():
    x = np.array([[[[0], [7]]], [[[10], [7]]]], np.uint8)  # two pictures of 1×2 pixels
    standardized = standardize_pixels(x)
    assert standardized.dtype == np.float32
    # the first pixel: mean 5, population std 5; the second never changes
    expected = [[[[-5 / 5.001], [0]]], [[[5 / 5.001], [0]]]]
    np.testing.assert_allclose(standardized, expected, rtol=1e-6)
    assert x[0, 0, 1, 0] == 7
    failure(lambda: standardize_pixels(x[:0]), "at least one")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_standardising_is_the_published_formula_also_across_chunks(dtype):
    x = np.random.default_rng(0).integers(0, 256, (9001, 3, 2, 1)).astype(dtype)
    x[:, 0, 0] = 255
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(axis=0)) / (np.std(exact, axis=0) + 0.001)
    np.testing.assert_allclose(standardize_pixels(x), expected, rtol=0, atol=1e-5)
    assert (standardize_pixels(x)[:, 0, 0] == 0).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 40))
def test_a_standardised_pixel_has_mean_0_and_std_just_below_1(seed, count):
    x = np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 1), dtype=np.uint8)
    standardized = standardize_pixels(x).astype(np.float64)
    std = x.astype(np.float64).std(axis=0)
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standardized.std(axis=0), std / (std + 0.001), atol=1e-5)


def test_one_mean_and_deviation_of_the_training_pictures_standardizes_all():
    generator = np.random.default_rng(0)
    x = generator.uniform(0, 1, (30, 4, 4, 1)).astype(np.float32)
    by = x[:20].astype(np.float64)
    expected = (x - by.mean()) / (np.sqrt(((by - by.mean()) ** 2).mean()) + 0.001)
    standardized = datasets.standardize(x, by=x[:20])
    assert standardized.dtype == np.float32
    np.testing.assert_allclose(standardized, expected, rtol=1e-4, atol=1e-6)
    failure(lambda: datasets.standardize(x, by=x[:0]), "at least one")
