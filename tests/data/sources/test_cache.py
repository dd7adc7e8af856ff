"""The cache: found by contents, never half, never trusted when damaged."""

import contextlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from partitions_alike import failure

from demjax.data.dataset import Dataset
from demjax.data.rows_in_files import RowsInFiles
from demjax.data.sources.cache import cached, default_folder


class Source:
    """Files, and a reader that counts how often it reads them."""

    def __init__(self, root, owner=True):
        self.root, self.times, self.owner = root, 0, owner
        root.mkdir(exist_ok=True)
        self.files = [root / "a", root / "b"]
        for number, file in enumerate(self.files):
            file.write_bytes(bytes([number]) * 100)

    def read(self):
        self.times += 1
        content = np.frombuffer(b"".join(file.read_bytes() for file in self.files), np.uint8)
        x = content.reshape(-1, 4).astype(np.float32) / 7
        y = (np.arange(len(x)) % 3).astype(np.int32)
        return Dataset(x, y, 3, 30, "made-up", y[::-1] if self.owner else None)

    def cached(self, folder):
        return cached(self.read, name="made-up", root=self.root, files=self.files, folder=folder)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, strict=True)
        else:
            assert type(a) is type(b)
            assert a == b


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path / "source")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "not" / "yet" / "there"


def entry_of(folder):
    (entry,) = folder.iterdir()
    return entry


@pytest.mark.parametrize("owner", [True, False])
def test_what_was_read_is_found_again(tmp_path, folder, owner):
    source = Source(tmp_path / "source", owner)
    first = source.cached(folder)
    for _ in range(2):
        same(source.cached(folder), first)
    assert source.times == 1
    entry = entry_of(folder)
    names = {"x.npy", "y.npy", "counts.npy", "sums.json"} | ({"owner.npy"} if owner else set())
    assert {path.name for path in entry.iterdir()} == names


def test_files_that_were_moved_are_found_again_changed_ones_are_not(tmp_path, source, folder):
    source.cached(folder)
    moved = Source(tmp_path / "elsewhere")
    moved.cached(folder)
    assert moved.times == 0
    source.files[0].write_bytes(b"\7" * 100)  # of the same size
    assert source.cached(folder).x[0, 0] == 1
    os.utime(source.files[0], (0, 0))
    source.cached(folder)
    source.files[1] = source.files[1].rename(source.root / "c")
    source.cached(folder)
    assert source.times == 3
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("damaged", ["x.npy", "y.npy", "owner.npy", "counts.npy", "sums.json"])
@pytest.mark.parametrize("how", ["changed", "cut", "empty", "gone"])
def test_a_damaged_entry_is_made_again(source, folder, damaged, how):
    first = source.cached(folder)
    path = entry_of(folder) / damaged
    whole = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        changed = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
        path.write_bytes({"changed": changed, "cut": whole[:-1], "empty": b""}[how])
    same(source.cached(folder), first)
    assert source.times == 2
    assert (entry_of(folder) / damaged).read_bytes() == whole
    same(source.cached(folder), first)
    assert source.times == 2


def test_where_another_process_was_faster_rows_are_read_from_what_it_kept(source, folder):
    other = Source(source.root)

    def read():
        other.cached(folder)
        return source.read()

    given = {"name": "made-up", "root": source.root, "files": source.files, "folder": folder}
    found = cached(read, **given, by_rows=True)
    assert isinstance(found.x, RowsInFiles)
    np.testing.assert_array_equal(found.x, source.read().x)


def test_bad_data_are_not_kept(source, folder):
    def refuse():
        raise ValueError("The label 12 is impossible.")

    source.read = refuse
    failure(lambda: source.cached(folder), "12")
    assert not folder.exists()
    source.files[0].unlink()
    failure(lambda: source.cached(folder), source.files[0])


def test_files_that_change_while_they_are_read_are_not_kept(source, folder):
    good = source.read

    def disturbed():
        source.files[0].write_bytes(b"\7" * 96)
        return good()

    source.read = disturbed
    assert len(source.cached(folder).y) == 49
    assert not folder.exists()


def test_no_folder_means_no_cache_and_one_that_cannot_be_written_is_done_without(source, tmp_path):
    source.cached(None)
    file = tmp_path / "file"
    file.write_text("")
    same(source.cached(file), source.cached(file / "below"))
    assert source.times == 3
    assert file.read_text() == ""


def test_what_is_found_cannot_be_written_to(source, folder):
    source.cached(folder)
    with pytest.raises(ValueError, match="read-only"):
        source.cached(folder).x[0] = 1


@pytest.mark.skipif(sys.platform == "win32", reason="files in use cannot be renamed there")
def test_several_that_write_and_damage_one_entry_at_once_read_the_right_data(source, folder):
    # threads in place of processes, which would share no more with one another: the files
    expected = source.read()

    def read_and_damage(number):
        for turn in range(20):
            same(source.cached(folder), expected)
            for path in folder.glob("made-up-*/x.npy"):
                damaged = path.with_name(f"damaged-{number}-{turn}")
                with contextlib.suppress(OSError):  # the folder has been moved away
                    damaged.write_bytes(b"damaged")
                    damaged.replace(path)  # not in place, which no writer of ours would do

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_and_damage, range(4)))
    same(source.cached(folder), expected)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".partly")] == []


def test_the_folder_is_the_users_own_or_the_one_that_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("DEMJAX_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.setenv("DEMJAX_CACHE", "")
    assert default_folder() is None
    monkeypatch.delenv("DEMJAX_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_folder() == tmp_path / ".cache" / "demjax"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert default_folder() == tmp_path / "x" / "demjax"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_folder() == Path(tmp_path) / "Library" / "Caches" / "demjax"


def test_what_labels_stand_for_is_kept(source, folder):
    read = source.read
    source.read = lambda: read()._replace(labels=("ant", "bee", "cat"))
    first = source.cached(folder)
    same(source.cached(folder), first)
    assert (source.times, first.labels) == (1, ("ant", "bee", "cat"))
