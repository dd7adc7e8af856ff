"""One's own data in .npz files: read without pickles, and refused where they do not fit."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from partitions_alike import failure

from demjax.data import load, npz

X = np.random.default_rng(0).normal(size=(6, 3, 2))
Y = np.array([0, 2, 1, 0, 3, 3])


def write(folder, **arrays):
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write_members(folder, members):
    path = folder / "mine.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_inputs_and_labels_are_enough(tmp_path):
    write(tmp_path, x=X, y=Y)
    for where in (tmp_path, tmp_path / "mine.npz", str(tmp_path)):
        read = load("npz", data_dir=where)
        assert (read.x.dtype, read.y.dtype) == (np.float32, np.int32)
        np.testing.assert_array_equal(read.x, X.astype(np.float32))
        np.testing.assert_array_equal(read.y, Y)
        assert (read.classes, read.train_count, read.name, read.owner) == (4, 6, "npz", None)


def test_natural_clients_a_test_part_and_more_classes_are_read(tmp_path):
    pixels = (X * 20 % 256).astype(np.uint8)
    path = tmp_path / "mine.npz"
    owner = [7, -3, 7, 7, 900, -3]
    np.savez_compressed(
        path, x=pixels, y=Y.astype(np.float32), owner=owner, train_count=4, classes=10
    )
    read = npz(data_dir=path)
    np.testing.assert_array_equal(read.x, pixels)
    assert read.x.dtype == np.uint8
    np.testing.assert_array_equal(read.y, Y)
    np.testing.assert_array_equal(read.owner, [1, 0, 1, 1, 2, 0])
    assert (read.owner.dtype, read.classes, read.train_count) == (np.int32, 10, 4)


NAN, VAST = X.copy(), X.copy()
NAN[3, 1, 0], VAST[5] = np.nan, 1e300
WRONG = {
    "no y": ({"x": X}, "lacks the array y"),
    "NaN": ({"x": NAN, "y": Y}, "example 3"),
    "too large": ({"x": VAST, "y": Y}, "example 5"),
    "text": ({"x": np.full((6, 2), "a"), "y": Y}, "<U1"),
    "complex": ({"x": X * 1j, "y": Y}, "complex"),
    "one dimension": ({"x": X[:, 0, 0], "y": Y}, "(6,)"),
    "no examples": ({"x": X[:0], "y": Y[:0]}, "(0, 3, 2)"),
    "no numbers": ({"x": X[:, :0], "y": Y}, "(6, 0, 2)"),
    "lengths": ({"x": X, "y": Y[:5]}, "6 inputs x and 5 labels y"),
    "half a label": ({"x": X, "y": Y + 0.5}, "label 0.5 at position 0"),
    "a label below": ({"x": X, "y": Y - 1}, "label -1 at position 0"),
    "a label above": ({"x": X, "y": Y, "classes": 3}, "label 3 at position 4"),
    "a label far above": ({"x": X, "y": Y + 10**9}, "label 1000000000"),
    "a label that is none": ({"x": X, "y": np.where(Y == 1, np.nan, Y)}, "label nan at position 2"),
    "labels in columns": ({"x": X, "y": Y[:, None]}, "(6, 1)"),
    "owners' length": ({"x": X, "y": Y, "owner": Y[:5]}, "owner"),
    "owners' type": ({"x": X, "y": Y, "owner": Y / 2}, "owner"),
    "train_count": ({"x": X, "y": Y, "train_count": 7}, "train_count"),
    "no train_count": ({"x": X, "y": Y, "train_count": 0}, "train_count"),
    "classes": ({"x": X, "y": Y, "classes": [4, 5]}, "classes"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_arrays_that_do_not_fit_are_named(tmp_path, wrong):
    arrays, found = WRONG[wrong]
    path = write(tmp_path, **arrays)
    failure(lambda: npz(data_dir=tmp_path), path, found)


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_pickled_objects_are_refused_unread(tmp_path):
    trap = np.array([Trap(tmp_path / "sprung"), None])
    for arrays in ({"x": trap, "y": Y}, {"x": X, "y": Y, "unneeded": trap}):
        path = write(tmp_path, **arrays)
        failure(lambda: npz(data_dir=tmp_path), path, "pickled objects")
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    failure(lambda: npz(data_dir=tmp_path), path)
    path = write_members(tmp_path, {"x.npy": pickle.dumps(X), "y.npy": npy(Y)})
    failure(lambda: npz(data_dir=tmp_path), path, "x.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["../x.npy", "/x.npy", "a/x.npy", "..\\x.npy", "C:x.npy", "x"])
def test_members_that_lead_elsewhere_are_refused(tmp_path, name):
    path = write_members(tmp_path, {"x.npy": npy(X), "y.npy": npy(Y), name: npy(X)})
    failure(lambda: npz(data_dir=tmp_path), path, repr(name))


def test_a_header_that_promises_more_or_less_is_refused(tmp_path):
    good = npy(Y)
    for vast in (b"(9,), ", b"(5,), ", b"(-6,),"):
        path = write_members(tmp_path, {"x.npy": npy(X), "y.npy": good.replace(b"(6,), ", vast)})
        failure(lambda: npz(data_dir=tmp_path), path, "y.npy")


def test_two_arrays_of_one_name_are_refused(tmp_path):
    path = write_members(tmp_path, {"x.npy": npy(X), "y.npy": npy(Y)})
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x.npy", npy(X))
    failure(lambda: npz(data_dir=tmp_path), path, "one name")


def test_a_cut_and_a_changed_file_are_never_read_as_something_else(tmp_path):
    path = write(tmp_path, x=X.astype(np.float32), y=Y)
    whole, good = path.read_bytes(), npz(data_dir=path)
    for end in range(0, len(whole), 37):
        path.write_bytes(whole[:end])
        failure(lambda: npz(data_dir=path), path)
    for at in range(0, len(whole), 11):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        try:
            read = npz(data_dir=path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017 (some bytes, as the time, mean nothing)
        else:
            np.testing.assert_array_equal(read.x, good.x)
            np.testing.assert_array_equal(read.y, good.y)


def test_files_that_macos_adds_are_not_read(tmp_path):
    path = write(tmp_path, x=X, y=Y)
    (tmp_path / "._mine.npz").write_bytes(b"\x00\x05\x16\x07")
    np.testing.assert_array_equal(npz(data_dir=tmp_path).y, npz(data_dir=path).y)


def test_a_folder_with_no_or_several_files_is_refused(tmp_path):
    failure(lambda: npz(data_dir=tmp_path), tmp_path, "none")
    write(tmp_path, x=X, y=Y)
    np.savez(tmp_path / "other.npz", x=X, y=Y)
    failure(lambda: npz(data_dir=tmp_path), "mine.npz, other.npz")
    failure(lambda: npz(data_dir=tmp_path / "nowhere.npz"), "nowhere.npz", "does not exist")


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["cat", "ant", "bee"], ("ant", "bee", "cat")),
        ([7, 3, 42], ("3", "7", "42")),
        ([1, 2, 3], ("1", "2", "3")),
        ([7.0, 3.0, 42.0], ("3", "7", "42")),
    ],
)
def test_words_and_labels_with_gaps_are_numbered_by_a_table_that_is_kept(tmp_path, names, order):
    y = np.array(names)[np.array([0, 2, 1, 0, 2, 2])]
    write(tmp_path, x=X, y=y)
    read = npz(data_dir=tmp_path)
    assert (read.classes, read.labels, read.y.dtype) == (3, order, np.int32)
    assert [read.labels[number] for number in read.y] == [
        f"{name:.5}" if isinstance(name, str) else f"{name:g}" for name in y.tolist()
    ]


def test_with_classes_given_labels_that_never_occur_stay(tmp_path):
    write(tmp_path, x=X, y=Y * 2, classes=8)
    read = npz(data_dir=tmp_path)
    assert (read.classes, read.labels, read.y.tolist()) == (8, None, (Y * 2).tolist())


def test_whole_inputs_stay_whole(tmp_path):
    words = np.arange(12).reshape(6, 2) * 1000
    write(tmp_path, x=words, y=Y)
    read = npz(data_dir=tmp_path)
    assert read.x.dtype == np.int32
    np.testing.assert_array_equal(read.x, words)


def header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


@pytest.mark.parametrize(
    "text", [b"((((((((((((((\n", b"[" * 14 + b"\n", b"{'descr': 1}   \n", b"\xff" * 15]
)
def test_a_header_that_is_none_is_told(tmp_path, text):
    content = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text
    path = write_members(tmp_path, {"x.npy": npy(X), "y.npy": content})
    failure(lambda: npz(data_dir=path), path, "y.npy", "no array that NumPy wrote")


def test_an_array_that_unpacks_without_end_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "mine.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("y.npy", npy(Y))
        archive.writestr("x.npy", header((2, 2**27)) + bytes(2**28))
    failure(lambda: npz(data_dir=path), path, "x.npy", "unpacks from", "more than 200 times")


def test_a_file_with_something_before_the_archive_is_read_as_the_archive(tmp_path):
    path = write(tmp_path, x=X, y=Y)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    np.testing.assert_array_equal(npz(data_dir=path).x, X.astype(np.float32))


def test_a_member_whose_name_is_no_text_is_told(tmp_path):
    path = write_members(tmp_path, {"x.npy": npy(X), "é.npy": npy(Y)})
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))
    failure(lambda: npz(data_dir=path), path, "damaged")
