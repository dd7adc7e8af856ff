"""A test part that the data bring: never trained on, and dealt by each rule's own shares."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from partitions_alike import QUICK, everything, failure, label_vectors, per_client, same, seeds

from demjax import data
from demjax.data import dirichlet, iid, labels, planted, quantity


def plain(rule, /, y, **options):
    found = rule(y, **options)
    return getattr(found, "partition", found)


def assert_of_the_test_part(partition, y, train_count):
    """Against fractions: of each label t n_u / n of its t tests, to one; nothing twice or lost."""
    tests = np.concatenate(partition.test)
    assert all((mine < train_count).all() for mine in partition.train)
    assert (tests >= train_count).all()
    assert len(np.unique(tests)) == len(tests)
    trained = np.concatenate(partition.train)
    off = [Fraction(0)] * len(partition.train)
    for label in np.unique(y).tolist():
        held, there = int((y[trained] == label).sum()), int((y[train_count:] == label).sum())
        given = [int((y[mine] == label).sum()) for mine in partition.test]
        assert sum(given) == (there if held else 0)
        for client, mine in enumerate(partition.train):
            share = Fraction(int((y[mine] == label).sum()) * there, max(held, 1))
            assert abs(given[client] - share) <= 1
            assert given[client] == 0 or share > 0
            off[client] += given[client] - share
    assert max(map(abs, off)) <= 2  # of all labels together, not of each


RULES = [iid, labels, dirichlet, quantity, planted]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("clients", [7, 60])
def test_tests_are_of_the_test_part_in_the_shares_of_training(rule, clients):
    y = np.random.default_rng(0).choice(10, 4000, p=np.arange(1, 11) / 55)
    partition = plain(rule, y, clients=clients, seed=1, train_count=3200)
    assert len(partition.train) == len(partition.test) == clients
    assert_of_the_test_part(partition, y, 3200)
    # what is trained on is what the rule gives of the training part alone, to the example
    alone = per_client(plain(rule, y[:3200], clients=clients, seed=1))
    for mine, wanted in zip(partition.train, alone, strict=True):
        assert sorted(mine.tolist()) == sorted(wanted.tolist())
    assert same(partition, plain(rule, y, clients=clients, seed=1, train_count=3200))


@QUICK
@given(y=label_vectors, data_=st.data(), seed=seeds)
def test_any_labels_in_any_parts(y, data_, seed):
    if len(y) < 3:
        return
    train_count = data_.draw(st.integers(2, len(y) - 1))
    clients = data_.draw(st.integers(1, train_count // 2))
    rule = data_.draw(st.sampled_from([iid, dirichlet, quantity]))
    partition = rule(y, clients=clients, seed=seed, train_count=train_count)
    assert_of_the_test_part(partition, y, train_count)


def test_equal_clients_are_tested_alike():
    y = np.tile(np.arange(10), 700)
    partition = iid(y, clients=200, seed=0, train_count=6000)
    assert {len(mine) for mine in partition.train} == {30}
    assert {len(mine) for mine in partition.test} <= {4, 5, 6}
    assert sum(map(len, partition.test)) == 1000


def test_labels_are_tested_where_they_are_trained_on():
    y = np.tile(np.arange(5), 100)
    partition = labels(y, clients=10, labels_per_client=2, seed=0, train_count=400)
    for u, mine in enumerate(partition.test):
        assert set(y[mine].tolist()) == {u % 5, (u + 1) % 5}


def test_a_label_that_nobody_trains_on_is_not_tested():
    y = np.array([0, 1] * 20 + [0, 1, 2, 2])
    partition = iid(y, clients=4, seed=0, train_count=40)
    assert sorted(np.concatenate(partition.test).tolist()) == [40, 41]


@pytest.mark.parametrize("rule", RULES)
def test_one_part_is_what_it_was(rule):
    y = data.digits().y
    whole = plain(rule, y, clients=20, seed=3)
    assert same(whole, plain(rule, y, clients=20, seed=3, train_count=len(y)))
    assert len(everything(whole)) <= len(y)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("wrong", [0, -1, 101, 2.5, True])
def test_a_training_part_must_be_possible(rule, wrong):
    y = np.arange(100) % 4
    failure(lambda: rule(y, clients=4, seed=0, train_count=wrong), "1 to 100", f"not {wrong}")


def test_the_training_part_must_be_enough_for_the_clients():
    y = np.zeros(100, int)
    failure(
        lambda: iid(y, clients=6, seed=0, train_count=10), "10 examples", "5 clients", "not for 6"
    )


@pytest.mark.parametrize("rule", RULES)
def test_twenty_thousand_clients_are_no_matter(rule):
    y = np.arange(240_000) % 10
    partition = plain(rule, y, clients=20_000, seed=0, train_count=200_000)
    assert np.concatenate(partition.test).min() >= 200_000
    assert np.concatenate(partition.train).max() < 200_000
