"""Owners as clients, against lists made one example after another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from partitions_alike import QUICK, digest, everything, failure, same, seeds

from demjax.data import natural

owners = st.lists(st.integers(0, 9), min_size=1, max_size=60).map(np.array)


@QUICK
@given(owner=owners, seed=seeds, data=st.data())
def test_the_data_s_own_test_part_is_dealt_as_it_is(owner, seed, data):
    train_count = data.draw(st.integers(1, len(owner)))
    y = np.arange(len(owner)) % 3
    partition = natural(y, owner, train_count=train_count, seed=seed)
    wanted = {}
    for example, whose in enumerate(owner.tolist()):
        part = 0 if example < train_count else 1
        wanted.setdefault(whose, ([], []))[part].append(example)
    wanted = [wanted[whose] for whose in sorted(wanted) if wanted[whose][0]]
    if train_count < len(owner):
        assert [part.tolist() for part in partition.train] == [train for train, _ in wanted]
        assert [part.tolist() for part in partition.test] == [test for _, test in wanted]
    for train, test, (mine, _) in zip(partition.train, partition.test, wanted, strict=True):
        if train_count == len(owner):
            assert sorted([*train, *test]) == mine
            fewest = 0 if len(mine) == 1 else 1
            assert len(test) == min(max(round(0.2 * len(mine)), fewest), len(mine) - 1)


@QUICK
@given(owner=owners, seed=seeds, data=st.data())
def test_so_many_owners_are_drawn_as_are_asked_for(owner, seed, data):
    clients = data.draw(st.integers(1, len(np.unique(owner))))
    options = {"train_count": len(owner), "seed": seed}
    partition = natural(owner, owner, clients=clients, **options)
    drawn = [set(owner[[*train, *test]]) for train, test in zip(*partition, strict=True)]
    assert [len(one) for one in drawn] == [1] * clients
    assert len(set.union(*drawn)) == clients
    assert len(everything(partition)) == np.isin(owner, [*set.union(*drawn)]).sum()
    assert same(partition, natural(owner, owner, clients=clients, **options))


def test_every_owner_is_drawn_equally_often():
    owner = np.arange(5).repeat(2)
    counts = np.zeros(5)
    for seed in range(300):
        partition = natural(owner * 0, owner, train_count=10, clients=2, seed=seed)
        counts[[owner[train[0]] for train in partition.train]] += 1
    assert np.abs(counts - 120).max() < 4 * np.sqrt(300 * 0.4 * 0.6)


def test_owners_without_training_examples_are_left_out_and_numbers_may_have_gaps():
    owner = np.array([7, 2, 2, 900, 7, 5])
    partition = natural(np.zeros(6, int), owner, train_count=4)
    assert [part.tolist() for part in partition.train] == [[1, 2], [0], [3]]
    assert [part.tolist() for part in partition.test] == [[], [4], []]


def test_a_seed_means_the_same_on_every_machine():
    partition = natural(
        np.arange(600) % 10, np.arange(600) % 37, train_count=600, clients=12, seed=3
    )
    assert digest(partition) == "0b51fe3dd1e62337"


def test_a_hundred_thousand_owners_are_no_matter():
    owner = np.random.default_rng(0).integers(0, 100_000, 300_000)
    partition = natural(np.zeros(300_000, int), owner, train_count=250_000)
    assert len(partition.train) == len(np.unique(owner[:250_000]))
    assert sum(map(len, partition.train)) == 250_000


OWNER = np.array([0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        ({"owner": None}, ["do not say whose"]),
        ({"owner": OWNER[:5]}, ["6 labels", "(5,)"]),
        ({"owner": OWNER.astype(float)}, ["float64"]),
        ({"owner": OWNER - 1}, ["from 0", "not -1"]),
        ({"train_count": 0}, ["1 to 6", "not 0"]),
        ({"train_count": 7}, ["1 to 6", "not 7"]),
        ({"clients": 0}, ["1 to 3", "not 0"]),
        ({"clients": 4}, ["1 to 3", "not 4"]),
        ({"clients": 1.5}, ["not 1.5"]),
        ({"clients": 3, "train_count": 4}, ["1 to 2", "not 3"]),
        ({"seed": -1}, ["seed"]),
        ({"test_fraction": 1}, ["fraction"]),
        ({"y": np.zeros(6)}, ["whole numbers"]),
    ],
)
def test_wrong_arguments(wrong, parts):
    options = {"y": OWNER, "owner": OWNER, "train_count": 6} | wrong
    failure(lambda: natural(**options), *parts)
