"""Rules of partitioning against their definitions."""

import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from partitions_alike import (
    QUICK,
    digest,
    everything,
    failure,
    label_vectors,
    per_client,
    same,
    seeds,
    sizes,
)
from scipy import stats

from demjax.data import dirichlet, iid, labels, quantity

fractions = st.floats(0.01, 0.99)


def assert_partition(partition, y, *, clients, test_fraction):
    """What holds for every rule: nothing twice, nobody empty, a stratified share for testing."""
    assert len(partition.train) == len(partition.test) == clients
    held = everything(partition)
    assert held.dtype.kind == "i"
    assert len(np.unique(held)) == len(held)
    assert held.min() >= 0
    assert held.max() < len(y)
    for train, test in zip(partition.train, partition.test, strict=True):
        n = len(train) + len(test)
        assert len(train) >= 1
        assert len(test) == min(max(round(n * test_fraction), 1), n - 1)
        for label in np.unique(y[np.concatenate([train, test])]):
            tested = int((y[test] == label).sum())
            of_label = tested + int((y[train] == label).sum())
            assert abs(tested - Fraction(len(test) * of_label, n)) < 1


# ---- the laws of the rules ----------------------------------------------------------------------


@QUICK
@given(y=label_vectors, data=st.data(), seed=seeds, test_fraction=fractions)
def test_iid_deals_everything_evenly(y, data, seed, test_fraction):
    if len(y) < 2:
        return
    clients = data.draw(st.integers(1, len(y) // 2))
    partition = iid(y, clients=clients, seed=seed, test_fraction=test_fraction)
    assert_partition(partition, y, clients=clients, test_fraction=test_fraction)
    assert sizes(partition).sum() == len(y)
    assert np.ptp(sizes(partition)) <= 1


@QUICK
@given(
    counts=st.lists(st.integers(40, 80), min_size=1, max_size=8),
    clients=st.integers(1, 20),
    data=st.data(),
    seed=seeds,
    sigma=st.sampled_from([0.0, 1.0, 3.0, 1e100]),
    test_fraction=fractions,
)
def test_labels_gives_each_client_its_labels_and_no_other(
    counts, clients, data, seed, sigma, test_fraction
):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    k = data.draw(st.integers(1, len(counts)))
    partition = labels(
        y,
        clients=clients,
        labels_per_client=k,
        seed=seed,
        label_sigma=sigma,
        test_fraction=test_fraction,
    )
    assert_partition(partition, y, clients=clients, test_fraction=test_fraction)
    given = set()
    for u, mine in enumerate(per_client(partition)):
        kinds, occur = np.unique(y[mine], return_counts=True)
        assert set(kinds) == {(u + j) % len(counts) for j in range(k)}
        assert occur.min() >= 2
        given |= set(kinds)
    assert sizes(partition).sum() == sum(counts[label] for label in given)


@QUICK
@given(
    y=label_vectors,
    data=st.data(),
    seed=seeds,
    alpha=st.one_of(st.floats(0.001, 100), st.sampled_from([1e-300, 1e-9, 1e9, 1e300])),
    min_size=st.integers(2, 12),
    test_fraction=fractions,
)
def test_dirichlet_deals_everything_and_leaves_nobody_short(
    y, data, seed, alpha, min_size, test_fraction
):
    if len(y) < min_size:
        return
    clients = data.draw(st.integers(1, len(y) // min_size))
    partition = dirichlet(
        y,
        clients=clients,
        dirichlet_alpha=alpha,
        seed=seed,
        min_examples=min_size,
        test_fraction=test_fraction,
    )
    assert_partition(partition, y, clients=clients, test_fraction=test_fraction)
    assert sizes(partition).sum() == len(y)
    assert sizes(partition).min() >= min_size


@QUICK
@given(
    y=label_vectors,
    data=st.data(),
    seed=seeds,
    alpha=st.sampled_from([1e-300, 0.01, 0.5, 10.0, 1e300]),
    min_size=st.integers(2, 12),
    test_fraction=fractions,
)
def test_quantity_deals_everything_and_leaves_nobody_short(
    y, data, seed, alpha, min_size, test_fraction
):
    if len(y) < min_size:
        return
    clients = data.draw(st.integers(1, len(y) // min_size))
    options = {"clients": clients, "seed": seed, "test_fraction": test_fraction}
    partition = quantity(y, dirichlet_alpha=alpha, min_examples=min_size, **options)
    assert_partition(partition, y, clients=clients, test_fraction=test_fraction)
    assert sizes(partition).sum() == len(y)
    assert sizes(partition).min() >= min_size


RULES = {
    "iid": lambda y, seed: iid(y, clients=12, seed=seed),
    "labels": lambda y, seed: labels(y, clients=12, seed=seed),
    "dirichlet": lambda y, seed: dirichlet(y, clients=12, seed=seed),
    "quantity": lambda y, seed: quantity(y, clients=12, seed=seed),
}
PINNED = {
    "iid": "2c83f8b507f25c3e",
    "labels": "992804505b549be9",
    "dirichlet": "ecb8d4fc78ab2718",
    "quantity": "52a7ada2b5f25231",
}


@pytest.mark.parametrize("rule", RULES)
def test_a_seed_means_the_same_on_every_machine(rule):
    assert digest(RULES[rule](np.arange(600) % 10, 3)) == PINNED[rule]


@pytest.mark.parametrize("rule", [iid, labels, dirichlet, quantity])
def test_twenty_thousand_clients_are_no_matter(rule):
    y = np.arange(200_000) % 10
    partition = rule(y, clients=20_000, seed=0)
    held = everything(partition)
    assert len(partition.train) == len(partition.test) == 20_000
    assert len(held) == len(np.unique(held)) == len(y)
    assert min(map(len, partition.train)) >= 1
    assert min(map(len, partition.test)) >= 1


@pytest.mark.parametrize("rule", RULES)
def test_the_seed_decides_and_the_global_generator_does_not(rule):
    y = np.random.default_rng(0).integers(0, 10, 1000)
    first = RULES[rule](y, 3)
    np.random.seed(99)
    before = np.random.get_state()[1].copy()
    assert same(first, RULES[rule](y, 3))
    assert same(first, RULES[rule](y.astype(np.uint8), np.int64(3)))
    assert not same(first, RULES[rule](y, 4))
    np.testing.assert_array_equal(before, np.random.get_state()[1])


# ---- their distributions ------------------------------------------------------------------------


def test_iid_clients_have_the_labels_in_proportion():
    y = np.random.default_rng(0).choice(4, 8000, p=[0.4, 0.3, 0.2, 0.1])
    table = [np.bincount(y[mine]) for mine in per_client(iid(y, clients=40, seed=1))]
    # sampling without replacement: the statistic is that of independence of client and label
    assert 0.001 < stats.chi2_contingency(table).pvalue < 0.999


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_labels_deals_log_normal_amounts(sigma):
    holders, count = 400, 4_000_000
    y = np.zeros(count, np.int8)
    partition = labels(y, clients=holders, labels_per_client=1, seed=2, label_sigma=sigma)
    amount = np.log(sizes(partition) - 2 + 0.5)  # the two that everyone gets are not of the draw
    centred = (amount - amount.mean()) / sigma
    assert stats.kstest(centred, "norm").pvalue > 0.01
    assert amount.std() == pytest.approx(sigma, rel=0.12)


def test_labels_without_spread_deals_alike():
    y = np.repeat(np.arange(5), 200)
    assert set(sizes(labels(y, clients=20, seed=0, label_sigma=0))) <= {49, 50, 51}


def test_labels_varies_a_client_s_two_labels_independently():
    y = np.repeat(np.arange(4), 40_000)
    partition = labels(y, clients=400, labels_per_client=2, seed=3)
    occur = [np.bincount(y[mine], minlength=4) for mine in per_client(partition)]
    pairs = np.log([(row[u % 4], row[(u + 1) % 4]) for u, row in enumerate(occur)])
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.15


@pytest.mark.parametrize("alpha", [0.1, 0.5, 5.0])
def test_dirichlet_shares_follow_their_distribution(alpha):
    clients, kinds, count = 10, 300, 400
    y = np.repeat(np.arange(kinds), count)
    partition = dirichlet(y, clients=clients, dirichlet_alpha=alpha, seed=4)
    share = np.array([np.bincount(y[m], minlength=kinds) for m in per_client(partition)]) / count
    # each client's share of a label is Beta(α, (N − 1) α); E Σ p² = (α + 1) / (N α + 1)
    marginal = stats.beta(alpha, (clients - 1) * alpha)
    expected = (alpha + 1) / (clients * alpha + 1)
    assert (share**2).sum(axis=0).mean() == pytest.approx(expected, rel=0.1)
    for mine in share:
        assert mine.mean() == pytest.approx(1 / clients, abs=5 * marginal.std() / math.sqrt(kinds))
        for quantile in (0.5, 0.75, 0.9):
            below = (mine <= marginal.ppf(quantile) + 0.5 / count).mean()
            assert below == pytest.approx(quantile, abs=0.13)


def test_dirichlet_at_its_ends_is_one_owner_and_equal_shares():
    y = np.repeat(np.arange(8), 200)
    alone = dirichlet(y, clients=4, dirichlet_alpha=1e-6, seed=0)
    occur = np.array([np.bincount(y[mine], minlength=8) for mine in per_client(alone)])
    assert (occur.max(axis=0) >= 200 - 2 * 4).all()
    alike = dirichlet(y, clients=4, dirichlet_alpha=1e9, seed=0)
    occur = np.array([np.bincount(y[mine], minlength=8) for mine in per_client(alike)])
    assert np.abs(occur - 50).max() <= 1


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_quantity_sizes_follow_their_distribution_and_labels_do_not(alpha):
    clients, least, count = 500, 10, 2_000_000
    y = (np.arange(count) % 2).astype(np.int8)
    partition = quantity(y, clients=clients, dirichlet_alpha=alpha, min_examples=least, seed=6)
    share = (sizes(partition) - least) / (count - least * clients)
    marginal = stats.beta(alpha, (clients - 1) * alpha)
    for quantile in (0.3, 0.5, 0.7, 0.9):
        below = (share <= marginal.ppf(quantile) + 0.5 / count).mean()
        assert below == pytest.approx(quantile, abs=3.5 * math.sqrt(0.25 / clients))
    assert share.var() == pytest.approx(marginal.var(), rel=0.35)
    ones = np.array([y[mine].mean() for mine in per_client(partition)])
    deviation = (ones - 0.5) * np.sqrt(sizes(partition)) * 2
    assert deviation.std() == pytest.approx(1, abs=0.15)


def test_quantity_at_its_ends_is_one_owner_and_equal_sizes():
    y = np.zeros(1000, int)
    alone = sizes(quantity(y, clients=10, dirichlet_alpha=1e-9, min_examples=5, seed=0))
    assert sorted(alone) == [5] * 9 + [955]
    assert np.ptp(sizes(quantity(y, clients=10, dirichlet_alpha=1e12, seed=0))) <= 1


# ---- wrong arguments ----------------------------------------------------------------------------

Y = np.repeat(np.arange(4), 10)


@pytest.mark.parametrize("rule", [iid, labels, dirichlet, quantity])
@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        ({"clients": 0}, ["not 0"]),
        ({"clients": -3}, ["not -3"]),
        ({"clients": 2.5}, ["not 2.5"]),
        ({"clients": True}, ["not True"]),
        ({"clients": 21}, ["40 examples", "20 clients", "not for 21"]),
        ({"seed": -1}, ["seed", "not -1"]),
        ({"seed": 0.5}, ["seed", "not 0.5"]),
        ({"test_fraction": 0}, ["test_fraction", "but 0 was given"]),
        ({"test_fraction": 1.0}, ["test_fraction", "but 1.0 was given"]),
        ({"test_fraction": math.nan}, ["test_fraction", "but nan was given"]),
    ],
)
def test_wrong_arguments_of_every_rule(rule, wrong, parts):
    failure(lambda: rule(Y, **({"clients": 4, "seed": 0} | wrong)), *parts)


@pytest.mark.parametrize("rule", [iid, labels, dirichlet, quantity])
@pytest.mark.parametrize("y", [Y.astype(float), Y.reshape(4, 10), []])
def test_wrong_labels_of_every_rule(rule, y):
    failure(lambda: rule(y, clients=4, seed=0))


@pytest.mark.parametrize(
    ("k", "parts"),
    [
        (0, ["1 or more", "but 0 was given"]),
        (-1, ["1 or more", "but -1 was given"]),
        (5, ["1 to 4 labels", "not 5"]),
        (1.5, ["a whole number", "but 1.5 was given"]),
    ],
)
def test_labels_per_client_must_be_possible(k, parts):
    failure(lambda: labels(Y, clients=4, labels_per_client=k, seed=0), *parts)


@pytest.mark.parametrize("sigma", [-1, math.nan, math.inf])
def test_sigma_must_be_possible(sigma):
    failure(lambda: labels(Y, clients=4, seed=0, label_sigma=sigma), "label_sigma", sigma)


def test_a_label_too_rare_for_its_holders_is_named():
    y = np.concatenate([np.zeros(100, int), np.full(5, 7)])
    labels(y, clients=2, labels_per_client=2, seed=0)
    parts = ["Label 7", "5 examples", "2 clients", "3 of the 3"]
    failure(lambda: labels(y, clients=3, labels_per_client=2, seed=0), *parts)


@pytest.mark.parametrize("alpha", [0, -0.5, math.nan, math.inf])
def test_alpha_must_be_positive(alpha):
    for rule in (dirichlet, quantity):
        failure(
            partial(rule, Y, clients=4, dirichlet_alpha=alpha, seed=0),
            "dirichlet_alpha",
            f" {alpha}",
        )


@pytest.mark.parametrize("min_size", [1, 0, 2.5])
def test_min_size_must_be_possible(min_size):
    for rule in (dirichlet, quantity):
        failure(
            partial(rule, Y, clients=4, seed=0, min_examples=min_size), "min_examples", min_size
        )
        failure(
            partial(rule, Y, clients=4, seed=0, min_examples=11), "3 clients", "11", "not for 4"
        )
