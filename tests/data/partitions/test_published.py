"""The published split against plain lists, and against its published numbers."""

import gzip
import math
import os
import random
from pathlib import Path

import numpy as np
import pytest
from partitions_alike import everything, failure, per_client, same, sizes

from demjax.data import published_cifar10, published_fashion_mnist, published_mnist

MNIST_COUNTS = (6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958)
# Nguyen et al., arXiv 2007.03278: sizes of clients 0 … 9 in the published experiment
PUBLISHED_TEST = [34, 14, 7, 33, 8, 7, 21, 10, 13, 12]
PUBLISHED_TRAIN = [133, 54, 26, 130, 28, 27, 81, 39, 48, 47]


def rederived(y):
    """The published split once more: plain lists, and NumPy's global generator as published."""
    from sklearn.model_selection import train_test_split

    y = [int(label) for label in y]
    waiting = {label: [] for label in range(10)}
    for index, label in enumerate(y):
        waiting[label].append(index)
    count = {label: len(indices) for label, indices in waiting.items()}
    mine = {u: [] for u in range(50)}
    for u in range(50):
        for label in (u % 10, (u + 1) % 10):
            mine[u] += waiting[label][:10]
            waiting[label] = waiting[label][10:]
    kept = np.random.get_state()
    try:
        np.random.seed(1)
        draw = np.random.lognormal(0, 1, (10, 50, 2)).tolist()
        for u in range(50):
            for j in (0, 1):
                label = (u + j) % 10
                whole = math.fsum(value for pair in draw[label] for value in pair)
                props = draw[label][u // 5][j] / whole * (count[label] - 100)
                extra = int(0.4 * int(props))
                if extra < len(waiting[label]):
                    mine[u] += waiting[label][:extra]
                    waiting[label] = waiting[label][extra:]
        pairs = []
        for u in range(50):
            kinds = [y[index] for index in mine[u]]
            pairs.append(train_test_split(mine[u], train_size=0.8, stratify=kinds))
    finally:
        np.random.set_state(kept)
    return pairs


def dealt_by_hand(count, draw, labels, extra):
    """How many of each label each client gets, in plain lists; None where there is no partition."""
    left = [number - 10 * 5 * labels for number in count]
    table = [[0] * 10 for _ in range(50)]
    for u in range(50):
        for j in range(labels):
            table[u][(u + j) % 10] += 10
    for u in range(50):
        for j in range(labels):
            label = (u + j) % 10
            whole = math.fsum(value for row in draw[label] for value in row)
            more = extra(draw[label][u // 5][j] / whole, count[label])
            if more < left[label]:
                table[u][label] += more
                left[label] -= more
    return np.array(table)


def held_labels(partition, y):
    return np.array([np.bincount(y[mine], minlength=10) for mine in per_client(partition)])


def in_file_order(each_train, each_test, seed=0):
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(np.repeat(np.arange(10), each)) for each in (each_train, each_test)]
    return np.concatenate(parts).astype(np.uint8)


def mnist_like(order):
    y = np.repeat(np.arange(10), MNIST_COUNTS)
    return y if order is None else np.random.default_rng(order).permutation(y)


def real_labels():
    folder = os.environ.get("DEMJAX_DATA_DIR")
    if not folder:
        pytest.skip("DEMJAX_DATA_DIR is not set, so there are no MNIST labels to read")
    files = [Path(folder) / "mnist" / f"{part}-labels-idx1-ubyte.gz" for part in ("train", "t10k")]
    if not all(file.is_file() for file in files):
        pytest.skip(f"there are no gzipped MNIST labels in {folder}")
    parts = [gzip.decompress(file.read_bytes())[8:] for file in files]
    return np.frombuffer(b"".join(parts), np.uint8).astype(np.int32)


@pytest.mark.parametrize("source", ["in blocks", "shuffled", "MNIST"])
def test_the_published_split(source):
    y = real_labels() if source == "MNIST" else mnist_like(None if source == "in blocks" else 7)
    partition = published_mnist(y)
    train_sizes = [len(train) for train in partition.train]
    test_sizes = [len(test) for test in partition.test]
    assert len(train_sizes) == len(test_sizes) == 50
    assert sum(train_sizes) + sum(test_sizes) == 3793
    assert sum(test_sizes) == 781
    assert train_sizes[:10] == PUBLISHED_TRAIN
    assert test_sizes[:10] == PUBLISHED_TEST
    assert (min(sizes(partition)), max(sizes(partition))) == (27, 229)
    for (train, test), ours in zip(
        rederived(y), zip(partition.train, partition.test, strict=True), strict=True
    ):
        assert ours[0].tolist() == train
        assert ours[1].tolist() == test


def test_the_published_split_deals_each_label_in_file_order_without_overlap():
    y = mnist_like(3)
    partition = published_mnist(y)
    held = everything(partition)
    assert len(np.unique(held)) == len(held)
    for label in range(10):
        given = np.sort(held[y[held] == label])
        np.testing.assert_array_equal(given, np.flatnonzero(y == label)[: len(given)])
    for u, mine in enumerate(per_client(partition)):
        assert set(y[mine]) == {u % 10, (u + 1) % 10}


def test_how_many_of_each_label_does_not_depend_on_the_order_of_the_labels():
    def table(order):
        y = mnist_like(order)
        partition = published_mnist(y)
        parts = (*partition.train, *partition.test)
        return np.array([np.bincount(y[part], minlength=10) for part in parts])

    np.testing.assert_array_equal(table(None), table(11))


def test_the_published_split_leaves_the_global_generator_alone():
    y = mnist_like(None)
    np.random.seed(5)
    expected = np.random.random(3)
    np.random.seed(5)
    first = published_mnist(y)
    np.testing.assert_array_equal(np.random.random(3), expected)
    assert same(first, published_mnist(y))


@pytest.mark.parametrize(
    "y",
    [np.arange(10), np.zeros(0, int), np.zeros(70000, int), np.repeat(np.arange(10), 7000)],
    ids=["ten", "none", "one label", "Fashion-MNIST's counts"],
)
def test_the_published_split_is_of_mnist_only(y):
    failure(lambda: published_mnist(y), "70,000", f"{len(y)} labels", "7877")


# ---- the other data sets ------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["shuffled", "CIFAR-10 (JPEG)"])
def test_the_published_split_of_cifar10(source):
    y = in_file_order(5000, 1000) if source == "shuffled" else jpeg_labels()
    partition = published_cifar10(y)
    assert sum(map(len, partition.train)) + sum(map(len, partition.test)) == 55430
    assert sum(map(len, partition.test)) == 11106
    draw = np.random.RandomState(1).lognormal(0, 2, (10, 50, 3)).tolist()
    dice = random.Random(1)

    def extra(share, count):
        a = dice.randint(10, 200)
        return int(share * (count - 50)) * dice.randint(1, 10) + a + 200

    wanted = dealt_by_hand([6000] * 10, draw, 3, extra)
    np.testing.assert_array_equal(held_labels(partition, y), wanted)
    assert_stratified_and_in_file_order(partition, y, np.arange(60_000))


def assert_stratified_and_in_file_order(partition, y, used):
    held = everything(partition)
    assert len(np.unique(held)) == len(held)
    for label in range(10):
        given = np.sort(held[y[held] == label])
        np.testing.assert_array_equal(given, used[y[used] == label][: len(given)])
    for train, test in zip(partition.train, partition.test, strict=True):
        n = len(train) + len(test)
        assert len(test) == math.ceil(0.2 * n - 1e-9)
        share = np.bincount(y[test], minlength=10) / len(test)
        whole = np.bincount(y[np.concatenate([train, test])], minlength=10) / n
        assert np.abs(share - whole).max() <= 1 / len(test)


def jpeg_labels():
    folder = os.environ.get("DEMJAX_DATA_DIR")
    files = [Path(folder or "") / "cifar10-jpeg" / f"{part}.npz" for part in ("train", "test")]
    if not folder or not all(file.is_file() for file in files):
        pytest.skip("DEMJAX_DATA_DIR names no folder with cifar10-jpeg/train.npz and test.npz")
    parts = []
    for file in files:
        with np.load(file) as content:
            parts.append(content["label"])
    return np.concatenate(parts)


def test_the_published_split_of_fashion_mnist():
    y = in_file_order(6000, 1000)
    partition = published_fashion_mnist(y)
    used = np.concatenate([np.arange(55_000), np.arange(60_000, 70_000)])
    count = np.bincount(y[used])
    draw = np.random.RandomState(0).lognormal(0, 1, (10, 50, 2)).tolist()
    wanted = dealt_by_hand(count, draw, 2, lambda p, n: int(0.55 * int(p * (n - 100))))
    np.testing.assert_array_equal(held_labels(partition, y), wanted)
    held = everything(partition)
    assert len(np.unique(held)) == len(held)
    for label in range(10):
        given = np.sort(held[y[held] == label])
        np.testing.assert_array_equal(given, used[y[used] == label][: len(given)])
    for train, test in zip(partition.train, partition.test, strict=True):
        assert len(train) == int(0.8 * (len(train) + len(test)))
        assert np.any(np.diff(train) < 0)
    assert sum(map(len, partition.test)) == pytest.approx(974, abs=8)  # paper: 923, unseeded
    assert same(partition, published_fashion_mnist(y))


@pytest.mark.parametrize(
    ("rule", "name"),
    [(published_fashion_mnist, "Fashion-MNIST"), (published_cifar10, "CIFAR-10")],
)
def test_the_other_published_splits_are_of_their_data_only(rule, name):
    failure(lambda: rule(mnist_like(None)), name, "7877", "70000 labels")
