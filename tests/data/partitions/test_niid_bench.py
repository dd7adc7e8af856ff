"""NIID-Bench's splits against its rules in plain lists, with the global generators as there."""

import random

import numpy as np
import pytest
from partitions_alike import everything, failure, same

from demjax.data import niid_bench_iid, niid_bench_labeldir, niid_bench_labels

# MNIST's training part and test part: how many of each digit
TRAIN = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
TEST = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
LABELS = np.concatenate(
    [np.random.default_rng(1).permutation(np.repeat(np.arange(10), n)) for n in (TRAIN, TEST)]
)
COUNT = sum(TRAIN)


def drawn(rule, seed=0):
    """What a rule in lists gives with the global generators seeded as there."""
    kept, dice = np.random.get_state(), random.getstate()
    try:
        np.random.seed(seed)
        random.seed(seed)
        return rule([int(label) for label in LABELS[:COUNT]])
    finally:
        np.random.set_state(kept)
        random.setstate(dice)


def labeldir(y, clients=10, beta=0.5):
    held = [[]] * clients
    while min(map(len, held)) < 10:
        held = [[] for _ in range(clients)]
        for label in range(10):
            mine = [n for n in range(COUNT) if y[n] == label]
            np.random.shuffle(mine)
            share = np.random.dirichlet([beta] * clients)
            full = [len(one) >= COUNT / clients for one in held]
            share = np.array([0.0 if f else p for p, f in zip(share, full, strict=True)])
            cuts = [int(cut * len(mine)) for cut in np.cumsum(share / share.sum())[:-1]]
            for one, begin, end in zip(held, [0, *cuts], [*cuts, len(mine)], strict=True):
                one += mine[begin:end]
    for one in held:
        np.random.shuffle(one)
    return held


def two_labels(y, clients=10):
    chosen = []
    for client in range(clients):
        mine = [client % 10]
        while len(mine) < 2:
            other = random.randint(0, 9)
            if other not in mine:
                mine.append(other)
        chosen.append(mine)
    held = [[] for _ in range(clients)]
    for label in range(10):
        pool = [n for n in range(COUNT) if y[n] == label]
        np.random.shuffle(pool)
        takers = [client for client in range(clients) if label in chosen[client]]
        for client, part in zip(takers, np.array_split(pool, len(takers)), strict=True):
            held[client] += part.tolist()
    return held


def evenly(y, clients=10):
    order = np.random.permutation(len(y)).tolist()
    return [order[len(y) * n // clients : len(y) * (n + 1) // clients] for n in range(clients)]


@pytest.mark.parametrize(
    ("rule", "lists"),
    [(niid_bench_labeldir, labeldir), (niid_bench_labels, two_labels), (niid_bench_iid, evenly)],
)
def test_who_trains_on_what_is_that_of_the_rule_in_lists(rule, lists):
    partition = rule(LABELS, train_count=COUNT)
    assert [mine.tolist() for mine in partition.train] == drawn(lists)
    # the whole test part is there, and each label in the shares of training
    tests = np.concatenate(partition.test)
    assert sorted(tests.tolist()) == list(range(COUNT, len(LABELS)))
    for train, test in zip(partition.train, partition.test, strict=True):
        share = np.bincount(LABELS[train], minlength=10) * np.array(TEST) / np.array(TRAIN)
        assert np.abs(np.bincount(LABELS[test], minlength=10) - share).max() <= 1


def test_with_all_labels_none_is_drawn():
    partition = niid_bench_labels(LABELS, labels_per_client=10, train_count=COUNT)
    for mine in partition.train:
        assert np.abs(np.bincount(LABELS[mine]) - np.array(TRAIN) / 10).max() < 1


@pytest.mark.parametrize("rule", [niid_bench_labeldir, niid_bench_labels, niid_bench_iid])
def test_the_seed_of_the_split_decides_and_data_of_one_part_keep_some_for_tests(rule):
    y = LABELS[:3000]
    one = rule(y, test_fraction=0.3)
    assert same(one, rule(y, test_fraction=0.3))
    assert not same(one, rule(y, test_fraction=0.3, split_seed=1))
    for train, test in zip(one.train, one.test, strict=True):
        assert len(test) == round(0.3 * (len(train) + len(test)))
    assert len(np.unique(everything(one))) == len(everything(one))


def test_what_cannot_be_split_so_is_told_in_a_sentence():
    y = np.arange(60) % 10
    failure(lambda: niid_bench_labels(y, labels_per_client=11), "1 to 10 labels", "not 11")
    failure(lambda: niid_bench_labels(y, clients=25, labels_per_client=8), "Label", "too few")
    failure(lambda: niid_bench_labeldir(y, clients=6, dirichlet_alpha=1e-3), "1000 draws", "10;")
    failure(lambda: niid_bench_iid(y, clients=31), "30 clients", "not for 31")
