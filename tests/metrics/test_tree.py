"""What trees look like, against scikit-learn, SciPy and loops over clients and groups."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partitions_alike import failure
from sklearn.metrics import adjusted_rand_score
from trees import random_linkage

from demjax.base import NO_GROUP, Hierarchy
from demjax.hierarchy import from_groups
from demjax.metrics.tree import (
    Structure,
    adjusted_rand,
    checked_clusters,
    describe,
    label_sets,
    moved,
)

COUNTS = (1, 2, 3, 10, 40)
METHODS = ("average", "complete", "single", "ward", "weighted")
QUICK = settings(deadline=None, max_examples=40)
SEEDS = given(seed=st.integers(0, 2**31), count=st.sampled_from(COUNTS))
SLOTS, KINDS = 8, 5
RAND = jax.jit(adjusted_rand, static_argnums=(2, 3))
MOVED = jax.jit(moved, static_argnums=2)


@functools.partial(jax.jit, static_argnums=(1, 3))
def described(groups, slots, true_clusters, n_clusters, before=None, known=True):
    """The description of a tree that is given as groups, in one program."""
    return describe(from_groups(groups, slots), true_clusters, n_clusters, before, known)


def random_labels(rng, count, slots):
    """Labels of few or many groups, sometimes with clients in none."""
    return rng.integers(-rng.integers(2), rng.integers(1, slots + 1), count)


def own_labels(labels):
    """Every client without a group in a group of its own, as scikit-learn needs it."""
    labels = np.array(labels)
    alone = labels == NO_GROUP
    labels[alone] = labels.max(initial=0) + 1 + np.arange(alone.sum())
    return labels


def rand_by_sklearn(one, other):
    return adjusted_rand_score(own_labels(one), own_labels(other))


def rand_by_pairs(one, other):
    """The definition, pair by pair."""
    one, other, counts = own_labels(one), own_labels(other), np.zeros((2, 2), int)
    for n in range(len(one)):
        for m in range(n):
            counts[int(one[n] != one[m]), int(other[n] != other[m])] += 1
    (a, b), (c, d) = counts.tolist()
    return 2 * (a * d - b * c) / ((a + b) * (b + d) + (a + c) * (c + d)) if b or c else 1.0


def moved_by_loop(before, after, slots):
    def shared(g, h):
        return sum(1 for b, a in zip(before, after, strict=True) if (b, a) == (g, h))

    heir = [max(range(slots), key=lambda h, g=g: (shared(g, h), -h)) for g in range(slots)]
    origin = [max(range(slots), key=lambda g, h=h: (shared(g, h), -g)) for h in range(slots)]
    movers = 0
    for b, a in zip(before, after, strict=True):
        if b == NO_GROUP or a == NO_GROUP:
            movers += b != a
        else:
            movers += not (heir[b] == a and origin[a] == b)
    return movers


def structure_by_loop(groups, true_clusters, before, slots):
    rows = []
    for level, row in enumerate(groups[:-1]):
        members = [[n for n, g in enumerate(row) if g == slot] for slot in range(slots)]
        sizes = [len(group) for group in members if group]
        alone = [n for n, g in enumerate(row) if g == NO_GROUP or len(members[g]) == 1]
        past = (np.nan, 0)
        if before is not None:
            past = (rand_by_sklearn(before[level], row), moved_by_loop(before[level], row, slots))
        rows.append(
            (
                *(len(sizes), max(sizes, default=0), min(sizes, default=0)),
                *(len(alone) / len(row), rand_by_sklearn(row, true_clusters), *past),
            )
        )
    return Structure(*np.array(rows).reshape(len(rows), 7).T)


def assert_structure(got, wanted):
    for name, one, other in zip(Structure._fields, got, wanted, strict=True):
        assert one.shape == np.shape(other), name
        assert one.dtype == (
            np.int32 if name in ("groups", "largest", "smallest", "moved") else np.float32
        ), name
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=0, err_msg=name)


def random_groups(rng, levels, count):
    rows = [random_labels(rng, count, SLOTS) for _ in range(levels)]
    return np.array([*rows, np.zeros(count, int)])


@QUICK
@SEEDS
def test_rand_index_is_scikit_learns(seed, count):
    rng = np.random.default_rng(seed)
    one, other = random_labels(rng, count, SLOTS), random_labels(rng, count, 40)
    got = RAND(one, other, SLOTS, 40)
    assert got.shape == ()
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, rand_by_sklearn(one, other), atol=1e-5)
    np.testing.assert_allclose(got, rand_by_pairs(one, other), atol=1e-5)


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ([0], [0], 1),
        ([0], [NO_GROUP], 1),
        ([0, 0, 0, 0], [2, 2, 2, 2], 1),
        ([0, 1, 2, 3], [NO_GROUP] * 4, 1),
        ([NO_GROUP] * 4, [NO_GROUP] * 4, 1),
        ([0, 0, 1, 1], [3, 3, 0, 0], 1),
        ([0, 0, 0, 0], [0, 1, 2, NO_GROUP], 0),
        ([NO_GROUP] * 4, [0, 0, 0, 0], 0),
        ([0, 0, 1, 1], [0, 1, 0, 1], -0.5),
        ([0, 0, 1, NO_GROUP], [0, 0, 1, 1], 4 / 7),
        ([0, 0, NO_GROUP, NO_GROUP], [0, 0, NO_GROUP, NO_GROUP], 1),
    ],
)
def test_rand_index_by_hand(one, other, wanted):
    got = RAND(np.array(one), np.array(other), SLOTS, 40)
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    np.testing.assert_allclose(rand_by_sklearn(one, other), wanted)


@pytest.mark.parametrize(("count", "slots"), [(20_000, 20_000), (65_536, 64), (70_000, 64)])
def test_rand_index_of_many_clients_keeps_its_digits(count, slots):
    rng = np.random.default_rng(count)
    one = rng.integers(-1, 64, count)
    few = rng.random(count) < 1e-3
    for other in (
        rng.integers(-1, slots, count),  # unrelated: 0
        np.where(few, rng.integers(0, 64, count), one),  # almost the same: 1
        rng.permutation(64)[one] if slots == 64 else (one + 65) % 64,  # the same, or almost
        np.zeros(count, int),
        np.where(np.arange(count) < 2, 1, 0),
        np.arange(count) % slots,
    ):
        got = RAND(one, other, 64, slots)
        np.testing.assert_allclose(got, rand_by_sklearn(one, other), atol=1e-5)
    zeros = np.where(np.arange(count) < count - 2, 0, 1)  # one against the whole but two
    np.testing.assert_allclose(
        RAND(zeros, other, 64, slots), rand_by_sklearn(zeros, other), atol=1e-5
    )
    assert RAND(zeros, zeros, 64, slots) == 1
    assert RAND(0 * zeros, 0 * zeros, 64, slots) == 1
    assert RAND(0 * zeros - 1, 0 * zeros - 1, 64, slots) == 1


@QUICK
@SEEDS
def test_movers_are_those_of_a_loop(seed, count):
    rng = np.random.default_rng(seed)
    before, after = random_labels(rng, count, 5), random_labels(rng, count, 5)
    after = np.where(rng.random(count) < rng.random(), rng.permutation(5)[before], after)
    got = MOVED(before, after, 5)
    assert got.shape == ()
    assert got.dtype == jnp.int32
    assert got == moved_by_loop(before, after, 5)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 0),
        ([0, 0, 1, 1], [3, 3, 0, 0], 0),  # other names only
        ([0, 0, 1, 1], [0, 0, 0, 0], 2),  # of two equals, the lower slot goes on
        ([1, 1, 0, 0], [2, 2, 2, 2], 2),
        ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1], 1),
        ([0, 0, 0, 0], [0, 0, 1, 1], 2),  # a split: the lower half goes on
        ([0, 0, 0, 0, 1], [0, 0, 1, 1, 0], 3),
        ([0, 0, 0, 1, 1], [2, 2, 2, 2, 2], 2),  # a merger: the larger goes on
        ([0, NO_GROUP], [0, NO_GROUP], 0),
        ([0, NO_GROUP], [NO_GROUP, 0], 2),
        ([NO_GROUP] * 3, [0, 0, 0], 3),  # out of no group comes no continuation
        ([0, 0, 0], [NO_GROUP] * 3, 3),
        ([NO_GROUP, NO_GROUP, 3], [3, 3, 3], 2),
        ([2], [0], 0),
    ],
)
def test_movers_by_hand(before, after, wanted):
    assert MOVED(np.array(before), np.array(after), 5) == wanted
    assert moved_by_loop(before, after, 5) == wanted


@QUICK
@SEEDS
def test_description_is_that_of_loops_over_groups(seed, count):
    rng = np.random.default_rng(seed)
    groups, before = random_groups(rng, 3, count), random_groups(rng, 3, count)
    true_clusters = rng.integers(0, KINDS, count)
    for known in (True, False):
        got = described(groups, SLOTS, true_clusters, KINDS, before, known)
        past = before if known else None
        assert_structure(got, structure_by_loop(groups, true_clusters, past, SLOTS))


def test_description_of_trees_cut_from_dendrograms(split_tree, groups_of):
    rng, levels, count = np.random.default_rng(0), 3, 40
    true_clusters, before = rng.integers(0, KINDS, count), np.full((levels + 1, count), NO_GROUP)
    for method in METHODS:
        merges, _ = random_linkage(rng, count, method)
        groups = groups_of(split_tree(merges, levels), count)
        got = described(groups, SLOTS, true_clusters, KINDS, before, True)
        assert_structure(got, structure_by_loop(groups, true_clusters, before, SLOTS))
        before = groups
    got = described(groups, SLOTS, true_clusters, KINDS)
    assert_structure(got, structure_by_loop(groups, true_clusters, None, SLOTS))


def test_the_published_tree_that_sheds_a_client_a_level():
    levels, client = 3, np.arange(50)
    groups = np.array([np.where(client < 47 + level, 0, NO_GROUP) for level in range(levels + 1)])
    true_clusters = client % 7
    got = described(groups, 8, true_clusters, 7, groups[:, ::-1], True)
    assert got.groups.tolist() == [1, 1, 1]
    assert got.largest.tolist() == got.smallest.tolist() == [47, 48, 49]
    np.testing.assert_allclose(got.singletons, [0.06, 0.04, 0.02], rtol=1e-6)
    assert got.moved.tolist() == [6, 4, 2]
    assert_structure(got, structure_by_loop(groups, true_clusters, groups[:, ::-1], 8))
    nobody = np.where(np.arange(levels + 1)[:, None] < levels, NO_GROUP, np.zeros_like(groups))
    empty = described(nobody, 8, true_clusters, 7, groups, True)
    assert empty.groups.tolist() == empty.largest.tolist() == empty.smallest.tolist() == [0] * 3
    assert empty.singletons.tolist() == [1, 1, 1]
    assert empty.moved.tolist() == [47, 48, 49]


def test_descriptions_of_many_trees_at_once_are_those_of_each():
    rng, levels, count, many = np.random.default_rng(1), 2, 10, 6
    groups, before = (
        np.array([random_groups(rng, levels, count) for _ in range(many)]) for _ in range(2)
    )
    true_clusters, known = rng.integers(0, KINDS, (many, count)), np.arange(many) % 2 == 0

    one = functools.partial(described, slots=SLOTS, n_clusters=KINDS)
    got = jax.vmap(lambda g, k, b, yes: one(g, true_clusters=k, before=b, known=yes))(
        groups, true_clusters, before, known
    )
    for number in range(many):
        past = before[number] if known[number] else None
        wanted = structure_by_loop(groups[number], true_clusters[number], past, SLOTS)
        assert_structure(jax.tree.map(lambda x, n=number: x[n], got), wanted)


def test_only_a_root_has_an_empty_description():
    groups, true_clusters = np.zeros((3, 1, 4), int), np.zeros(4, int)
    got = described(groups[0], 1, true_clusters, 1, groups[0], True)
    assert [leaf.shape for leaf in got] == [(0,)] * 7
    got = jax.vmap(lambda groups: described(groups, 1, true_clusters, 1))(groups)
    assert [leaf.shape for leaf in got] == [(3, 0)] * 7


def test_groups_of_another_shape_are_refused():
    tree = Hierarchy(np.zeros((3, 4), int), np.zeros((3, 4), int))
    with pytest.raises(ValueError, match=r"true_clusters need shape \(4,\), but \(5,\) was given"):
        describe(tree, np.zeros(5, int), 1)
    with pytest.raises(ValueError, match=r"groups before need shape \(3, 4\), but \(2, 4\) was"):
        describe(tree, np.zeros(4, int), 1, tree.groups[1:])


def test_kinds_are_sets_of_training_labels_as_they_first_appear(ragged_clients):
    y = [5, 5, 0, 9, 0, 2]
    clients = functools.partial(ragged_clients, np.zeros((6, 1)), y)
    train = [[0, 2], [3], [2, 1, 4, 0], [3, 3], [2], [4, 1]]
    got = label_sets(clients(train, [[5]] * 6, padding=5))  # what pads a row does not count
    assert got.tolist() == [0, 1, 0, 1, 2, 0]
    assert got.dtype == np.int32
    assert label_sets(clients([[1]], [[2]])).tolist() == [0]


@pytest.mark.usefixtures("float64")
def test_double_precision_elsewhere_changes_no_type():
    rng = np.random.default_rng(9)
    groups, true_clusters = random_groups(rng, 2, 40), rng.integers(0, KINDS, 40)
    got = described(groups, SLOTS, true_clusters, KINDS, groups)
    assert_structure(got, structure_by_loop(groups, true_clusters, groups, SLOTS))


@pytest.mark.parametrize("wrong", [2**32, 4, -2, 1.5])
def test_clusters_and_groups_out_of_range_are_refused(wrong):
    groups, given = np.array([0, 1, 3, -1]), np.array([0, 1, 3, wrong])
    for one, other in ((groups, given), (given, groups)):
        failure(lambda one=one, other=other: adjusted_rand(one, other, 4, 4), "0 to 3", wrong)
        failure(lambda one=one, other=other: moved(one, other, 4), "0 to 3", wrong)


def test_true_clusters_may_have_any_numbers_from_0():
    got = checked_clusters(np.array([2**40, 7, 7, 0], np.uint64), 4)
    assert (got.dtype, got.tolist()) == (np.int32, [2, 1, 1, 0])
    for wrong in ([0, 1], [0, 1, -1, 2], [0.0, 1.0, 2.0, 3.0], ["a", "b", "c", "d"]):
        failure(lambda wrong=wrong: checked_clusters(np.array(wrong), 4), "each of the 4 clients")
