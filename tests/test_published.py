"""The published split against plain lists, and against its published numbers."""

import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest
from deals import everything, failure, per_client, same, sizes

from demjax.data import published_mnist

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
        dealt = np.sort(held[y[held] == label])
        np.testing.assert_array_equal(dealt, np.flatnonzero(y == label)[: len(dealt)])
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
