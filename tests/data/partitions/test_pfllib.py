"""PFLlib's splits against its published sizes, and against its rule in plain lists."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from partitions_alike import everything, failure, per_client, same, sizes
from sklearn.model_selection import train_test_split

from demjax.data import pfllib_dir, pfllib_pat

# What PFLlib publishes of MNIST's split: of each client how many of which label.
MNIST_DIR = (
    {0: 140, 1: 890, 4: 1, 5: 319, 7: 29, 8: 1067, 9: 184},
    {0: 5, 2: 27, 5: 19, 6: 335, 8: 6, 9: 107},
    {0: 3, 3: 143, 6: 1461, 9: 23},
    {0: 155, 4: 1, 7: 2381, 8: 4},
    {0: 71, 1: 13, 3: 207, 5: 1129, 6: 6, 8: 40, 9: 451},
    {1: 38, 3: 1, 4: 39, 8: 25, 9: 6086},
    {1: 873, 2: 176, 3: 46, 6: 42, 8: 13, 9: 106},
    {1: 21, 2: 5, 3: 11, 5: 787, 7: 4, 8: 441},
    {0: 1, 1: 3599},
    {0: 633, 1: 1997, 2: 89, 4: 519, 6: 768},
    {0: 920, 1: 2, 2: 1450, 3: 513, 4: 134, 5: 97},
    {2: 159, 3: 3055, 5: 558},
    {0: 8, 1: 180, 2: 3277, 5: 148},
    {1: 237, 2: 343, 4: 6, 5: 453, 7: 1095},
    {5: 2719, 7: 3011},
    {0: 31, 3: 1785, 5: 16, 6: 4, 7: 756, 8: 2856},
    {0: 3628},
    {1: 26, 2: 1463, 3: 1379, 4: 335, 5: 60, 7: 17, 8: 2373},
    {0: 998, 5: 8, 6: 4260},
    {0: 310, 1: 1, 2: 1, 3: 1, 4: 5789, 9: 1},
)
CIFAR10_DIR = (
    *(1621, 1814, 1211, 2080, 5128, 4264, 1440, 2622, 2974, 3236),
    *(1164, 1964, 5994, 1527, 3100, 4325, 4252, 3175, 5449, 2660),
)
MNIST_COUNTS = (6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958)


def files_of(folder, names):
    root = os.environ.get("DEMJAX_DATA_DIR")
    files = [Path(root or "") / folder / name for name in names]
    if not root or not all(file.is_file() for file in files):
        pytest.skip(f"DEMJAX_DATA_DIR names no folder with {folder}/{names[0]} and the like")
    return files


def mnist_labels(source):
    if source == "shuffled":
        return np.random.default_rng(7).permutation(np.repeat(np.arange(10), MNIST_COUNTS))
    files = files_of("mnist", [f"{part}-labels-idx1-ubyte.gz" for part in ("train", "t10k")])
    parts = [gzip.decompress(file.read_bytes())[8:] for file in files]
    return np.frombuffer(b"".join(parts), np.uint8).astype(np.int32)


def cifar10_labels(source):
    if source == "shuffled":
        return np.random.default_rng(3).permutation(np.repeat(np.arange(10), 6000))
    parts = []
    for file in files_of("cifar10-jpeg", ["train.npz", "test.npz"]):
        with np.load(file) as content:
            parts.append(content["label"])
    return np.concatenate(parts)


def with_global_generator(rule, y, seed=1):
    """PFLlib's steps in lists, with NumPy's global generator and scikit-learn's split."""
    kept = np.random.get_state()
    try:
        np.random.seed(seed)
        return [train_test_split(mine, train_size=0.75, shuffle=True) for mine in rule(y)]
    finally:
        np.random.set_state(kept)


def dirichlet_lists(y, clients=20, alpha=0.1, least=40):
    while True:
        held = [[] for _ in range(clients)]
        for label in range(max(y) + 1):
            mine = [n for n in range(len(y)) if y[n] == label]
            np.random.shuffle(mine)
            share = np.random.dirichlet([alpha] * clients)
            share = np.array(
                [p if len(h) < len(y) / clients else 0.0 for p, h in zip(share, held, strict=True)]
            )
            share = share / share.sum()
            begin, total = 0, 0.0
            for client in range(clients):
                total += share[client]
                end = len(mine) if client == clients - 1 else int(total * len(mine))
                held[client] += mine[begin:end]
                begin = end
        if min(map(len, held)) >= least:
            return held


def label_lists(y, clients=20, k=2, least=40):
    held, lacking = [[] for _ in range(clients)], [k] * clients
    for label in range(10):
        mine = [n for n in range(len(y)) if y[n] == label]
        takers = [c for c in range(clients) if lacking[c] > 0][: -(-clients * k // 10)]
        equal = len(mine) / len(takers)
        amounts = list(np.random.randint(max(equal / 10, least / 10), equal, len(takers) - 1))
        amounts.append(len(mine) - sum(amounts))
        for client, amount in zip(takers, amounts, strict=True):
            held[client] += mine[:amount]
            mine = mine[amount:]
            lacking[client] -= 1
    return held


def assert_as(partition, pairs):
    for train, test, wanted in zip(partition.train, partition.test, pairs, strict=True):
        assert train.tolist() == list(wanted[0])
        assert test.tolist() == list(wanted[1])


@pytest.mark.parametrize("source", ["shuffled", "MNIST"])
def test_mnist_has_the_published_number_of_each_label(source):
    y = mnist_labels(source)
    partition = pfllib_dir(y)
    for mine, wanted in zip(per_client(partition), MNIST_DIR, strict=True):
        names, counts = np.unique(y[mine], return_counts=True)
        assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == wanted
    assert sorted(everything(partition).tolist()) == list(range(70_000))


@pytest.mark.parametrize("source", ["shuffled", "CIFAR-10 (JPEG)"])
def test_cifar10_has_the_published_sizes(source):
    assert sizes(pfllib_dir(cifar10_labels(source))).tolist() == list(CIFAR10_DIR)


@pytest.mark.parametrize("source", ["shuffled", "MNIST"])
def test_who_has_which_example_is_that_of_the_rule_in_lists(source):
    y = mnist_labels(source)
    assert_as(pfllib_dir(y), with_global_generator(dirichlet_lists, y.tolist()))
    assert_as(pfllib_pat(y), with_global_generator(label_lists, y.tolist()))


def test_a_draw_with_too_small_a_client_is_drawn_again():
    y = np.arange(4000) % 10
    partition = pfllib_dir(y, split_seed=5)
    assert_as(partition, with_global_generator(dirichlet_lists, y.tolist(), seed=5))
    assert sizes(partition).min() >= 40


def test_each_client_has_the_labels_of_its_turn_and_a_quarter_of_them_as_tests():
    y = mnist_labels("shuffled")
    partition = pfllib_pat(y)
    for client, mine in enumerate(per_client(partition)):
        assert set(y[mine].tolist()) == {client // 4 * 2, client // 4 * 2 + 1}
    for train, test in zip(partition.train, partition.test, strict=True):
        assert len(train) == 3 * (len(train) + len(test)) // 4
    assert sorted(everything(partition).tolist()) == list(range(70_000))


def test_the_split_has_a_seed_of_its_own_and_leaves_the_global_generator_alone():
    y = mnist_labels("shuffled")
    np.random.seed(5)
    expected = np.random.random(3)
    np.random.seed(5)
    one = pfllib_pat(y)
    np.testing.assert_array_equal(np.random.random(3), expected)
    assert same(one, pfllib_pat(y))
    assert not same(one, pfllib_pat(y, split_seed=2))


def test_what_cannot_be_split_so_is_told_in_a_sentence():
    y = np.arange(400) % 10
    failure(lambda: pfllib_dir(y, clients=300), "200 clients", "not for 300")
    failure(lambda: pfllib_dir(y, clients=150, dirichlet_alpha=1e-3), "1000 draws", "--clients")
    failure(lambda: pfllib_pat(y, clients=150, labels_per_client=9), "Label", "--labels-per-client")
    failure(lambda: pfllib_pat(y, clients=11), "Label 8", "0 of 11 clients", "other --clients")
