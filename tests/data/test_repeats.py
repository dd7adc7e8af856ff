"""Examples that are there twice, against sets of tuples."""

import numpy as np
import pytest

from demjax.data import Dataset, in_both_parts, same_files


def made(x, y, train_count):
    return Dataset(x, y, int(y.max()) + 1, train_count, "some")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(8, 8, 1), (5,), (3,), (1,)])
def test_examples_in_both_parts_are_counted(dtype, shape):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (5000, *shape)).astype(dtype)
    y = rng.integers(0, 2, 5000)
    x[4100], y[4100] = x[7], y[7]
    x[4101], y[4101] = x[8], 1 - y[8]  # the same image of another label is another example
    rows = [(tuple(row.ravel().tolist()), label) for row, label in zip(x, y.tolist(), strict=True)]
    known = set(rows[:4000])
    assert in_both_parts(made(x, y, 4000)) == sum(row in known for row in rows[4000:]) > 0


def test_none_is_counted_where_there_is_none():
    x = np.arange(40, dtype=np.float32).reshape(20, 2)
    assert in_both_parts(made(x, np.zeros(20, int), 15)) == 0
    assert in_both_parts(made(x * 0, np.zeros(20, int), 20)) == 0  # no test part


def test_a_part_that_was_read_twice_is_all_of_it():
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    assert in_both_parts(made(np.tile(x, (2, 1)), np.zeros(60, int), 30)) == 30


def test_files_that_hold_the_same_are_found(tmp_path):
    contents = {"a": b"one", "b": b"two", "c": b"one", "d": b"", "e": b"", "f": b"longer"}
    files = []
    for name, content in contents.items():
        files.append(tmp_path / name)
        files[-1].write_bytes(content)
    (tmp_path / "g").symlink_to(tmp_path / "f")
    pairs = same_files([*files, tmp_path / "g"])
    assert [(one.name, other.name) for one, other in pairs] == [("a", "c"), ("f", "g")]
