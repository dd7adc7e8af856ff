import gzip
import math
import os
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from demjax.data import Partition, client_data, dirichlet, iid, labels, published_mnist

MNIST_COUNTS = (6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958)
# Nguyen et al., arXiv 2007.03278: sizes of clients 0 … 9 in the published experiment
PUBLISHED_TEST = [34, 14, 7, 33, 8, 7, 21, 10, 13, 12]
PUBLISHED_TRAIN = [133, 54, 26, 130, 28, 27, 81, 39, 48, 47]

QUICK = settings(deadline=None, max_examples=40)
label_vectors = st.builds(
    lambda counts, seed: np.random.default_rng(seed).permutation(
        np.repeat(np.arange(len(counts)), counts)
    ),
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.integers(0, 1000),
)
seeds = st.integers(0, 2**32)
fractions = st.floats(0.01, 0.99)


def everything(partition):
    return np.concatenate([*partition.train, *partition.test])


def per_client(partition):
    return [np.concatenate(both) for both in zip(partition.train, partition.test, strict=True)]


def sizes(partition):
    return np.array([len(mine) for mine in per_client(partition)])


def same(a, b):
    pairs = zip((*a.train, *a.test), (*b.train, *b.test), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


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


def failure(call, *parts):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (what it says is checked here)
        call()
    sentence = str(caught.value)
    assert type(caught.value) is ValueError
    assert sentence.endswith(".")
    assert "\n" not in sentence
    for part in parts:
        assert str(part) in sentence, sentence


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
        sigma=sigma,
        test_fraction=test_fraction,
    )
    assert_partition(partition, y, clients=clients, test_fraction=test_fraction)
    dealt = set()
    for u, mine in enumerate(per_client(partition)):
        kinds, occur = np.unique(y[mine], return_counts=True)
        assert set(kinds) == {(u + j) % len(counts) for j in range(k)}
        assert occur.min() >= 2
        dealt |= set(kinds)
    assert sizes(partition).sum() == sum(counts[label] for label in dealt)


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
        alpha=alpha,
        seed=seed,
        min_size=min_size,
        test_fraction=test_fraction,
    )
    assert_partition(partition, y, clients=clients, test_fraction=test_fraction)
    assert sizes(partition).sum() == len(y)
    assert sizes(partition).min() >= min_size


RULES = {
    "iid": lambda y, seed: iid(y, clients=12, seed=seed),
    "labels": lambda y, seed: labels(y, clients=12, seed=seed),
    "dirichlet": lambda y, seed: dirichlet(y, clients=12, seed=seed),
}


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
    partition = labels(y, clients=holders, labels_per_client=1, seed=2, sigma=sigma)
    amount = np.log(sizes(partition) - 2 + 0.5)  # the two that everyone gets are not of the draw
    centred = (amount - amount.mean()) / sigma
    assert stats.kstest(centred, "norm").pvalue > 0.01
    assert amount.std() == pytest.approx(sigma, rel=0.12)


def test_labels_without_spread_deals_alike():
    y = np.repeat(np.arange(5), 200)
    assert set(sizes(labels(y, clients=20, seed=0, sigma=0))) <= {49, 50, 51}


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
    partition = dirichlet(y, clients=clients, alpha=alpha, seed=4)
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
    alone = dirichlet(y, clients=4, alpha=1e-6, seed=0)
    occur = np.array([np.bincount(y[mine], minlength=8) for mine in per_client(alone)])
    assert (occur.max(axis=0) >= 200 - 2 * 4).all()
    alike = dirichlet(y, clients=4, alpha=1e9, seed=0)
    occur = np.array([np.bincount(y[mine], minlength=8) for mine in per_client(alike)])
    assert np.abs(occur - 50).max() <= 1


# ---- wrong arguments ----------------------------------------------------------------------------

Y = np.repeat(np.arange(4), 10)


@pytest.mark.parametrize("rule", [iid, labels, dirichlet])
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
        ({"test_fraction": 0}, ["fraction", "not 0"]),
        ({"test_fraction": 1.0}, ["fraction", "not 1.0"]),
        ({"test_fraction": math.nan}, ["fraction", "not nan"]),
    ],
)
def test_wrong_arguments_of_every_rule(rule, wrong, parts):
    failure(lambda: rule(Y, **({"clients": 4, "seed": 0} | wrong)), *parts)


@pytest.mark.parametrize("rule", [iid, labels, dirichlet])
@pytest.mark.parametrize("y", [Y.astype(float), Y.reshape(4, 10), []])
def test_wrong_labels_of_every_rule(rule, y):
    failure(lambda: rule(y, clients=4, seed=0))


@pytest.mark.parametrize("k", [0, -1, 5, 1.5])
def test_labels_per_client_must_be_possible(k):
    failure(lambda: labels(Y, clients=4, labels_per_client=k, seed=0), "1 to 4 labels", f"not {k}")


@pytest.mark.parametrize("sigma", [-1, math.nan, math.inf])
def test_sigma_must_be_possible(sigma):
    failure(lambda: labels(Y, clients=4, seed=0, sigma=sigma), "sigma", sigma)


def test_a_label_too_rare_for_its_holders_is_named():
    y = np.concatenate([np.zeros(100, int), np.full(5, 7)])
    labels(y, clients=2, labels_per_client=2, seed=0)
    parts = ["Label 7", "5 examples", "2 clients", "3 of the 3"]
    failure(lambda: labels(y, clients=3, labels_per_client=2, seed=0), *parts)


@pytest.mark.parametrize("alpha", [0, -0.5, math.nan, math.inf])
def test_alpha_must_be_positive(alpha):
    failure(lambda: dirichlet(Y, clients=4, alpha=alpha, seed=0), "alpha", f"not {alpha}")


@pytest.mark.parametrize("min_size", [1, 0, 2.5])
def test_min_size_must_be_possible(min_size):
    failure(lambda: dirichlet(Y, clients=4, seed=0, min_size=min_size), "min_size", min_size)
    failure(lambda: dirichlet(Y, clients=4, seed=0, min_size=11), "3 clients", "11", "not for 4")


# ---- the published split ------------------------------------------------------------------------


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


# ---- client_data --------------------------------------------------------------------------------


def rows(indices, size):
    return [row[:n] for row, n in zip(indices, size, strict=True)]


@QUICK
@given(y=label_vectors, data=st.data(), seed=seeds)
def test_client_data_gives_each_client_its_own_examples(y, data, seed):
    if len(y) < 2:
        return
    clients = data.draw(st.integers(1, min(6, len(y) // 2)))
    partition = dirichlet(y, clients=clients, seed=seed)
    x = np.arange(len(y) * 2, dtype=np.float32).reshape(-1, 2)
    made = jax.tree.map(np.asarray, client_data(x, y, partition))
    assert made.n_clients == clients
    assert made.train.shape == (clients, max(map(len, partition.train)))
    assert made.test.shape == (clients, max(map(len, partition.test)))
    for ours, size, theirs in (
        (made.train, made.train_size, partition.train),
        (made.test, made.test_size, partition.test),
    ):
        for row, indices in zip(rows(ours, size), theirs, strict=True):
            np.testing.assert_array_equal(made.x[row], x[indices])
            np.testing.assert_array_equal(made.y[row], y[indices])
        beyond = np.arange(ours.shape[1]) >= size[:, None]
        assert (ours[beyond] == 0).all()


def test_client_data_holds_each_example_once_and_drops_the_others():
    x = np.arange(10, dtype=np.uint8).reshape(10, 1)
    partition = Partition(
        train=(np.array([8, 3]), np.array([3])), test=(np.array([], np.int64), np.array([5]))
    )
    made = client_data(x, np.arange(10) % 3, partition)
    assert [np.asarray(leaf).tolist() for leaf in made] == [
        [[3], [5], [8]],
        [0, 2, 2],
        [[2, 0], [0, 0]],
        [2, 1],
        [[0], [1]],
        [0, 1],
    ]
    assert all(isinstance(leaf, jax.Array) for leaf in made)
    assert [str(leaf.dtype) for leaf in made] == ["uint8", *["int32"] * 5]


def test_client_data_without_any_test_example_still_has_a_column():
    made = client_data(np.zeros((3, 2)), np.zeros(3, int), Partition(([1], [2]), ([], [])))
    assert made.test.shape == (2, 1)
    assert made.test_size.tolist() == [0, 0]
    assert made.x.shape == (2, 2)


def test_client_data_refuses_what_does_not_fit():
    x, y = np.zeros((4, 2)), np.zeros(4, int)
    failure(lambda: client_data(x[:3], y, Partition(([0],), ([1],))), "not 4 for 3")
    failure(lambda: client_data(x, y, Partition(([0],), ())), "for 1", "for 0")
    failure(lambda: client_data(x, y, Partition((), ())), "at least one")
    failure(lambda: client_data(x, y, Partition(([0], []), ([1], [2]))), "client 1 has none")
    for wrong in (4, -1, 0.5):
        failure(
            lambda wrong=wrong: client_data(x, y, Partition(([0],), ([wrong],))), "0 to 3", wrong
        )
