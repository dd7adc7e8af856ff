"""Rows read from files: what arrays in memory give, with a piece beside what is asked for."""

import gzip
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from idx_files import idx_bytes

from demjax.backend import policy
from demjax.backend.examples import placed
from demjax.backend.sharding import spread_over
from demjax.data import client_data as made
from demjax.data import (
    each_its_own,
    iid,
    in_both_parts,
    load,
    overall,
    per_pixel,
)
from demjax.data import rows_in_files as by_rows
from demjax.data.client_data import Partition
from demjax.data.rows_in_files import RowsInFiles, changed, joined, taken
from demjax.data.sources.idx import read_idx

RNG = np.random.default_rng(3)
X, Y = RNG.integers(256, size=(70, 9, 8), dtype=np.uint8), np.arange(70) % 10


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(by_rows, "PIECE", 5 * X[0].nbytes)


def npz(folder, **arrays):
    np.savez(folder / "made.npz", **arrays)
    return "npz"


def npz_packed(folder, **arrays):
    np.savez_compressed(folder / "made.npz", **arrays)
    return "npz"


def idx(folder, x, y, train_count, packed=False):
    for part, some in (("train", slice(train_count)), ("t10k", slice(train_count, None))):
        for name, array in (("images-idx3", x[some]), ("labels-idx1", y[some].astype(np.uint8))):
            written = gzip.compress(idx_bytes(array)) if packed else idx_bytes(array)
            (folder / f"{part}-{name}-ubyte{'.gz' if packed else ''}").write_bytes(written)
    return "mnist"


def idx_packed(folder, **arrays):
    return idx(folder, **arrays, packed=True)


FORMATS = pytest.mark.parametrize("write", [npz, npz_packed, idx, idx_packed])


@FORMATS
def test_a_device_is_given_the_same_bits_from_files(write, tmp_path):
    x = X.copy()
    x[65] = x[3]  # in both parts, with the same label after it
    y = np.where(np.arange(70) == 65, Y[3], Y)
    name = write(tmp_path, x=x, y=y, train_count=60)
    whole, rows = (load(name, data_dir=tmp_path, by_rows=yes) for yes in (False, True))
    assert isinstance(whole.x, np.ndarray)
    assert isinstance(rows.x, RowsInFiles)
    assert (rows.x.shape, rows.x.dtype, rows.x.nbytes) == ((70, 9, 8, 1), np.uint8, x.nbytes)
    np.testing.assert_array_equal(rows.x, x[..., None])
    assert in_both_parts(rows) == in_both_parts(whole) == 1
    some = iid(rows.y, clients=4, seed=1)
    for scale in (overall, per_pixel):
        scales = [scale(one.x, rows=np.concatenate(some.train)) for one in (whole, rows)]
        np.testing.assert_array_equal(scales[0].shift, scales[1].shift)
        np.testing.assert_array_equal(scales[0].divisor, scales[1].divisor)
    parts = []
    with spread_over(2), policy.dividing_examples(True):
        for one in (whole, rows):
            inputs = changed(one.x, scales[0])
            parts.append(placed(made(inputs, one.y, some, on_host=True)).x)
    np.testing.assert_array_equal(parts[0].parts.array, parts[1].parts.array)
    np.testing.assert_array_equal(parts[0].place, parts[1].place)


@FORMATS
def test_a_part_is_read_with_little_beside_it(write, tmp_path, monkeypatch):
    monkeypatch.setattr(by_rows, "PIECE", 2**16)
    monkeypatch.setattr(zipfile.ZipExtFile, "MAX_SEEK_READ", 2**16)  # of 16 MB
    x = RNG.integers(256, size=(2000, 40, 40), dtype=np.uint8)
    name = write(tmp_path, x=x, y=np.arange(2000) % 10, train_count=1800)
    size, share = x.nbytes, np.sort(RNG.choice(2000, 200, replace=False))
    held = x[share][..., None]
    del x
    tracemalloc.start()
    try:
        read = load(name, data_dir=tmp_path, by_rows=True).x[share]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(read, held)
    assert read.nbytes < most < read.nbytes + 0.15 * size


ORDERS = {
    "one": np.array(7),
    "none": np.array([], int),
    "backwards": np.arange(69, -1, -1),
    "twice": np.array([3, 3, 68, 0, 3]),
    "far apart": np.array([69, 0]),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_rows_come_in_the_order_asked_for(order, how, tmp_path):
    (npz if how == zipfile.ZIP_STORED else npz_packed)(tmp_path, x=X, y=Y)
    read, rows = load("npz", data_dir=tmp_path, by_rows=True, layout="as_is").x, ORDERS[order]
    np.testing.assert_array_equal(read[rows], X[rows])
    np.testing.assert_array_equal(read[10:60:7], X[10:60:7])
    both, memory = (
        joined([read, taken(read, rows.reshape(-1))]),
        np.append(X, X[rows.reshape(-1)], 0),
    )
    assert isinstance(both, RowsInFiles)
    np.testing.assert_array_equal(both[::-1], memory[::-1])
    np.testing.assert_array_equal(changed(both, lambda x: x[..., 1:] / 2), memory[..., 1:] / 2)
    assert isinstance(joined([read, X]), np.ndarray)


ASKED = {
    "the last": -1,
    "from the end": [-1, 3, -70],
    "a narrow type": np.array([69, 200 - 170], np.uint8),
    "none": [],
    "past the end": 70,
    "before the beginning": [-71],
    "a mask": np.arange(70) == 3,
    "two axes": (3, 2),
    "a table": [[1, 2], [3, 4]],
    "no whole number": [1.5],
}


@pytest.mark.parametrize("asked", ASKED)
def test_rows_that_are_not_there_are_refused_and_others_are_numpys(asked, tmp_path):
    np.savez(tmp_path / "made.npz", y=Y, x=X, more=Y)  # so that bytes before and after are others'
    read = load("npz", data_dir=tmp_path, by_rows=True, layout="as_is").x
    rows = ASKED[asked]
    if asked in ("the last", "from the end", "a narrow type", "none"):
        np.testing.assert_array_equal(read[rows], X[np.array(rows, int)])
    else:
        with pytest.raises(IndexError, match="numbers from 0 to 69, in an array of one dimension"):
            read[rows]


def test_all_rows_are_gone_through_once(tmp_path):
    npz(tmp_path, x=X, y=Y)
    read = load("npz", data_dir=tmp_path, by_rows=True, layout="as_is").x
    np.testing.assert_array_equal(list(read), X)


@pytest.mark.parametrize("devices", [1, 2])
def test_what_is_not_divided_is_read_whole_where_it_is_placed(devices, tmp_path):
    npz(tmp_path, x=X, y=Y)
    read = load("npz", data_dir=tmp_path, by_rows=True)
    some = made(read.x, read.y, iid(read.y, clients=4, seed=1), on_host=True)
    with spread_over(devices):
        np.testing.assert_array_equal(placed(some).x, some.x)
        assert not isinstance(placed(some).x, RowsInFiles)


def test_examples_that_clients_share_are_copied_where_they_lie(tmp_path):
    npz(tmp_path, x=X, y=Y)
    shared = Partition((np.array([0, 5]), np.array([5, 9])), (np.array([1]), np.array([0])))
    found = [
        each_its_own(load("npz", data_dir=tmp_path, by_rows=yes), shared) for yes in (False, True)
    ]
    assert isinstance(found[1][0].x, RowsInFiles)
    np.testing.assert_array_equal(found[0][0].x, found[1][0].x)
    assert len(found[1][0].x) == 72


@pytest.mark.parametrize("dtype", ["<f4", ">f8", ">i2", "bool", "<f2", "<i8"])
def test_numbers_of_any_type_become_what_they_become_in_memory(dtype, tmp_path):
    npz(tmp_path, x=(X / 3).astype(dtype), y=Y)
    whole, rows = (load("npz", data_dir=tmp_path, by_rows=yes).x for yes in (False, True))
    assert rows.dtype == whole.dtype
    assert isinstance(rows, np.ndarray) == (dtype == "<i8")  # of which all decide
    np.testing.assert_array_equal(rows, whole)


def test_what_is_wrong_with_inputs_is_said_before_any_is_used(tmp_path):
    x = X.astype(np.float32)
    x[33, 1, 2] = np.nan
    npz(tmp_path, x=x, y=Y)
    with pytest.raises(ValueError, match=r"counted from example \d+, must be finite .* holds nan"):
        load("npz", data_dir=tmp_path, by_rows=True)
    path = tmp_path / "made.npz"
    npz(tmp_path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"made\.npz is damaged"):
        load("npz", data_dir=tmp_path, by_rows=True)
    npz(tmp_path, x=X, y=Y)
    read = load("npz", data_dir=tmp_path, by_rows=True).x
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"made\.npz became shorter while it was read"):
        np.asarray(read)


@pytest.mark.parametrize("by_rows", [False, True])
def test_a_member_that_is_shorter_than_it_says_is_not_read(by_rows, tmp_path):
    npz(tmp_path, x=X[:-1], y=Y)
    path, size = tmp_path / "made.npz", 128 + X.nbytes
    content = bytearray(path.read_bytes().replace(b"(69, 9, 8)", b"(70, 9, 8)"))
    begin = content.find(b"PK\x01\x02")  # of the directory, whose first member is x
    with zipfile.ZipFile(path) as archive, archive.open("x.npy") as file:
        whole = file.read().replace(b"(69, 9, 8)", b"(70, 9, 8)")
    content[begin + 16 : begin + 20] = zlib.crc32(whole).to_bytes(4, "little")
    content[begin + 24 : begin + 28] = size.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npy in .* is cut off, so it is not read"):
        load("npz", data_dir=tmp_path, by_rows=by_rows)


def test_images_of_no_pixels_are_read(tmp_path):
    (tmp_path / "none").write_bytes(idx_bytes(X[:5, :0, :0]))
    assert np.asarray(read_idx(tmp_path / "none", dimensions=3, by_rows=True)).shape == (5, 0, 0)


def test_arrays_in_fortrans_order_are_read_whole(tmp_path):
    npz(tmp_path, x=np.asfortranarray(X), y=Y)
    read = load("npz", data_dir=tmp_path, by_rows=True).x
    assert isinstance(read, np.ndarray)
    np.testing.assert_array_equal(read, X[..., None])


def test_what_the_cache_keeps_is_read_by_rows(tmp_path):
    (tmp_path / "train").mkdir()
    user = {"x": (X[:8, :8].reshape(8, -1) / 255).tolist(), "y": Y[:8].tolist()}
    (tmp_path / "train" / "a.json").write_text(
        str({"users": ["u"], "num_samples": [8], "user_data": {"u": user}}).replace("'", '"')
    )
    given = {"data_dir": tmp_path, "cache_dir": tmp_path / "kept"}
    for _ in range(2):  # parsed and kept, then found
        read = load("leaf", **given, by_rows=True)
        assert isinstance(read.x, RowsInFiles)
        np.testing.assert_array_equal(read.x[[5, 2]], X[[5, 2], :8][..., None])
    np.testing.assert_array_equal(read.x, load("leaf", **given).x)
    assert isinstance(load("leaf", data_dir=tmp_path, cache_dir="", by_rows=True).x, np.ndarray)


@pytest.mark.parametrize("rows", [np.arange(70), np.array([], int), np.array([3, 3])])
def test_jax_takes_over_what_was_read(rows, tmp_path):
    npz(tmp_path, x=X, y=Y)
    read = load("npz", data_dir=tmp_path, by_rows=True).x[rows]
    assert read.ctypes.data % by_rows.ALIGNED == 0 or not read.size


def test_binary_files_of_cifar10_are_read_by_rows(tmp_path):
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        records = RNG.integers(256, size=(number + 2, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    whole, rows = (load("cifar10", data_dir=tmp_path, by_rows=yes) for yes in (False, True))
    assert isinstance(rows.x, RowsInFiles)
    assert rows.x.shape == (27, 32, 32, 3)
    np.testing.assert_array_equal(rows.x, whole.x)
    np.testing.assert_array_equal(rows.y, whole.y)
