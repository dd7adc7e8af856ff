"""Partitions in files: as they were, or one sentence."""

import os
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from partitions_alike import QUICK, failure, label_vectors, same, seeds

from demjax.data import Partition, iid, load_partition, save_partition

Y = np.arange(40) % 4
PARTITION = iid(Y, clients=5, seed=0)


@QUICK
@given(y=label_vectors, seed=seeds)
def test_a_partition_comes_back_as_it_was(y, seed, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "p.npz"
    partition = iid(np.append(y, 0), clients=max(1, len(y) // 4), seed=seed)
    save_partition(partition, path, y=np.append(y, 0))
    loaded = load_partition(path, y=np.append(y, 0).astype(np.int32))
    assert same(partition, loaded)
    assert {part.dtype for part in (*loaded.train, *loaded.test)} == {np.dtype(np.int64)}
    assert same(partition, load_partition(str(path)))


def test_clients_may_have_no_test_examples(tmp_path):
    none = Partition((np.array([3]), np.array([1, 2])), (np.array([], int), np.array([], int)))
    save_partition(none, tmp_path / "p.npz", y=Y)
    assert same(none, load_partition(tmp_path / "p.npz", y=Y))


def test_clients_may_have_the_same_examples(tmp_path):
    shared = Partition((np.array([3, 1]), np.array([1, 2])), (np.array([7]), np.array([7])))
    save_partition(shared, tmp_path / "p.npz", y=Y)
    assert same(shared, load_partition(tmp_path / "p.npz", y=Y))


def test_other_labels_are_refused(tmp_path):
    path = tmp_path / "p.npz"
    save_partition(PARTITION, path, y=Y)
    failure(lambda: load_partition(path, y=Y[::-1]), "made for 40 labels", "these 40")
    failure(lambda: load_partition(path, y=Y[:39]), "these 39")


def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "p.npz"
    save_partition(PARTITION, path, y=Y)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_partition(iid(Y, clients=2, seed=0), path, y=Y)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p.npz"]  # noqa: PTH208


def altered(path, **changes):
    """Write a file with some of its arrays replaced; None leaves one out."""
    with np.load(path) as file:
        arrays = dict(file) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"format": np.array("demjax partition 9")}, ["partition 9", "partition 1"]),
        ({"format": None}, ["lacks the array format"]),
        ({"test_size": None}, ["lacks the array test_size"]),
        ({"train": np.arange(30.0)}, ["train", "float64"]),
        ({"train": np.array([None] * 30, object)}, ["pickled objects"]),
        ({"train_size": np.array([30])}, ["1 clients", "5"]),
        ({"train_size": np.array([8, 8, 8, 6, 0])}, ["client 4", "no training example"]),
        ({"train_size": np.array([8, 8, 8, 8, 8])}, ["do not add up"]),
        ({"train_size": np.array([2**63 - 1, 2**63 - 1, 2, 29, 1])}, ["do not add up"]),
        ({"train_size": np.array([2**64 - 1, 2, 2, 2, 25], np.uint64)}, ["do not add up"]),
        ({"examples": np.array(2**63, np.uint64)}, [str(2**63)]),
        ({"test_size": np.array([-1, 5, 2, 2, 2])}, ["client 0"]),
        ({"train": np.arange(1, 31) * -1}, ["0 to 39", "-1"]),
        ({"train": np.arange(30) + 100}, ["0 to 39", "100"]),
        ({"train": np.zeros(30, int)}, ["given more than once"]),
        ({"examples": np.array(3)}, ["0 to 2"]),
        ({"test": np.arange(10)}, ["both trained on and tested with"]),
    ],
)
def test_a_damaged_file_is_told_in_a_sentence(changes, parts, tmp_path):
    path = tmp_path / "p.npz"
    save_partition(PARTITION, path, y=Y)
    altered(path, **changes)
    failure(lambda: load_partition(path), path, *parts)


def test_what_is_no_such_file_is_told_in_a_sentence(tmp_path):
    path = tmp_path / "p.npz"
    failure(lambda: load_partition(path), path, "does not exist")
    failure(lambda: load_partition(tmp_path), tmp_path, "cannot be read")
    save_partition(PARTITION, path, y=Y)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for content in (
        b"",
        b"hello",
        whole[:middle],
        whole[:-30],
        whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
    ):
        path.write_bytes(content)
        failure(lambda: load_partition(path), path)
    np.save(tmp_path / "a.npy", Y)
    np.savez(tmp_path / "a.npz", Y)
    failure(partial(load_partition, tmp_path / "a.npy"), "a.npy is no .npz file")
    failure(partial(load_partition, tmp_path / "a.npz"), "lacks the array format")


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        (Partition((), ()), ["0 clients"]),
        (Partition((np.array([0]),), ()), ["1 clients", "0"]),
        (Partition((np.array([], int),), (np.array([1]),)), ["client 0"]),
        (Partition((np.array([40]),), (np.array([1]),)), ["0 to 39", "40"]),
        (Partition((np.array([1]),), (np.array([1]),)), ["example 1", "more than once"]),
        (Partition((np.array([0.5]),), (np.array([1]),)), ["whole numbers"]),
    ],
)
def test_what_is_no_partition_is_not_saved(wrong, parts, tmp_path):
    failure(lambda: save_partition(wrong, tmp_path / "p.npz", y=Y), *parts)
    assert not any(tmp_path.iterdir())
