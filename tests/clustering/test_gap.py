"""Where heights jump: planted groups of points, none, several levels; surrogates by their laws."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage as scipys
from scipy.spatial.distance import pdist, squareform

from demjax.clustering import euclidean, gap, sqeuclidean
from demjax.clustering.clusterings import Wanted
from demjax.clustering.gap import at_heights, between, jumps, points_of, ratios, surrogate
from demjax.clustering.linkage import linkage
from demjax.registry import LINKAGES


def blobs(seed, sizes, apart, width=8):
    """Points of spheres whose centres are so far from one another."""
    rng = np.random.default_rng(seed)
    centres = apart * np.linalg.qr(rng.normal(size=(width, width)))[0][: len(sizes)]
    return np.repeat(centres, sizes, axis=0) + rng.normal(size=(sum(sizes), width)) / np.sqrt(width)


def squares(points):
    return jnp.asarray(squareform(pdist(points) ** 2), jnp.float32)


WANTED = Wanted(sqeuclidean, LINKAGES["average"].make(), "xla", True)


@jax.jit
def cut(distances):
    return gap().take(linkage(distances), distances, WANTED)


@pytest.mark.parametrize("sizes", [(20, 20), (15, 20, 5), (10, 10, 10, 10)])
def test_planted_groups_are_found_and_as_many(sizes):
    for seed in range(3):
        found = np.asarray(cut(squares(blobs(seed, sizes, 4))).groups)
        assert found.shape == (2, sum(sizes))
        truth = np.repeat(np.arange(len(sizes)), sizes)
        assert len(np.unique(found[0])) == len(sizes)
        assert len(set(zip(found[0], truth, strict=True))) == len(sizes)


def test_points_of_one_group_are_one_whatever_its_shape():
    rng, alarms = np.random.default_rng(0), 0
    for seed in range(40):
        stretched = rng.normal(size=(40, 8)) * rng.uniform(0.1, 3, size=8)
        stretched[seed % 40] *= 1 + seed % 3  # one of them far out is no group
        alarms += np.asarray(cut(squares(stretched)).groups[0]).max() > 0
    assert alarms <= 1


def test_levels_are_cut_where_heights_jump_the_lowest_first():
    centres = np.array([[0.0, 0], [3, 0], [60, 0], [63, 0], [0, 90], [3, 90]])
    rng = np.random.default_rng(1)
    points = np.repeat(centres, 8, axis=0) + 0.1 * rng.normal(size=(48, 2))
    apart = squares(points)
    two = gap(levels=2, most_groups=10).take(linkage(apart), apart, WANTED)
    assert [len(np.unique(row)) for row in np.asarray(two.groups)] == [6, 3, 1]
    three = gap(levels=3, most_groups=10).take(linkage(apart), apart, WANTED)
    numbers = [len(np.unique(row)) for row in np.asarray(three.groups)]
    assert numbers[-1] == 1
    assert numbers == sorted(numbers, reverse=True)


def test_ratios_are_those_of_scipys_heights_at_which_two_groups_become_one():
    for seed in range(5):
        pairs = pdist(np.random.default_rng(seed).normal(size=(24, 3))) ** 2
        tree = scipys(pairs, "average")
        size = np.append(np.ones(24), tree[:, 3])
        heights, before = [], []  # of merges of two groups, the highest first, and of any before
        for number in reversed(range(23)):
            if min(size[int(child)] for child in tree[number, :2]) >= 3:
                heights.append(tree[number, 2])
                before.append(tree[number - 1, 2])
        assert len(heights) < 10
        ones = [1.0] * (11 - len(heights))
        lower = [high / low for high, low in pairwise([*heights, before[-1]])]
        right_below = [high / low for high, low in zip(heights, before, strict=True)]
        found = ratios(linkage(squareform(pairs)), 12, 3)
        np.testing.assert_allclose(found, [lower + ones, right_below + ones], rtol=1e-4)


def test_clients_like_nobody_hide_no_groups_and_join_the_nearest():
    rng = np.random.default_rng(7)
    points = blobs(4, (20, 20, 20), 4)
    aside = rng.normal(size=(9, 8))
    aside *= (np.linspace(2, 6, 9) / np.linalg.norm(aside, axis=1))[:, None]
    apart = squares(np.concatenate([points, points[np.arange(9) * 20 // 3] + aside]))
    found = np.asarray(cut(apart).groups[0])
    assert [*np.bincount(found[:60])] == [20, 20, 20]
    means = [np.asarray(apart)[60:, :60][:, found[:60] == group].mean(axis=1) for group in range(3)]
    assert found[60:].tolist() == np.argmin(means, axis=0).tolist()
    # Above the merge before, which is that of somebody strange, heights do not jump.
    merges = linkage(apart)
    groups, any_ = ratios(merges, 16, 5)
    assert groups.argmax() == 1
    assert np.max(any_) < 2 < groups.max()


@pytest.mark.parametrize("options", [{}, {"most_groups": 4}, {"min_share": 0, "min_size": 3}])
def test_strangers_farther_out_than_kinds_are_apart_take_no_slots(options):
    rng = np.random.default_rng(8)
    strangers = rng.normal(size=(20, 8))
    strangers *= (np.linspace(5, 30, 20) / np.linalg.norm(strangers, axis=1))[:, None]
    apart = squares(np.concatenate([blobs(5, (20, 20, 20), 4), strangers]))
    found = np.asarray(gap(**options).take(linkage(apart), apart, WANTED).groups[0])
    kinds = found[:60].reshape(3, 20)
    assert np.all(kinds == kinds[:, :1])
    assert len({*kinds[:, 0]}) == 3


def test_a_wide_kind_beside_tight_ones_is_as_much_a_group():
    spread = np.repeat([0.02, 0.02, 1.0], [27, 27, 6])[:, None]
    centres = np.repeat(40 * np.eye(3, 8), [27, 27, 6], axis=0)
    points = centres + spread * np.random.default_rng(6).normal(size=(60, 8))
    found = np.asarray(cut(squares(points)).groups[0])
    assert [*np.bincount(found)] == [27, 27, 6]


def test_many_that_diverged_hide_no_groups():
    apart = np.array(squares(blobs(9, (20, 20, 28), 4)))
    apart[60:], apart[:, 60:] = np.inf, np.inf
    np.fill_diagonal(apart, 0.0)
    found = np.asarray(cut(jnp.asarray(apart)).groups[0])
    kinds = [np.unique(found[part]) for part in (slice(20), slice(20, 40), slice(40, 60))]
    assert [len(kind) for kind in kinds] == [1, 1, 1]
    assert len(np.unique(kinds)) == 3


def test_where_no_two_groups_become_one_everybody_is_one_group():
    chain = squares(10.0 ** np.arange(6)[:, None])
    merges = linkage(chain)
    assert np.all(np.isinf(between(merges, 5, 2)))
    found = at_heights(merges, chain, between(merges, 5, 2)[:1], 16, 2)
    assert not np.asarray(found.groups).any()
    for count in (3, 4, 6):  # also where a group cannot have as many clients as it should
        alone = gap(min_size=8).take(linkage(chain[:count, :count]), chain[:count, :count], WANTED)
        assert not np.asarray(alone.groups).any()


def test_surrogates_have_the_covariance_that_points_have():
    points = blobs(0, (6, 6), 3, width=4)
    found = points_of(squares(points))
    middle = points - points.mean(0)
    np.testing.assert_allclose(found @ found.T, middle @ middle.T, atol=1e-4)
    keys = jax.random.split(jax.random.key(0), 2000)
    drawn = np.asarray(jax.vmap(lambda key: surrogate(key, found))(keys))
    # Squared distances of two points of a normal distribution: twice its variance on average,
    # with the variance 8 tr(Σ²).
    covariance = np.cov(points.T)
    pairs = drawn[:, 0, 1], drawn[:, 3, 7]
    for some in pairs:
        assert abs(some.mean() / (2 * np.trace(covariance)) - 1) < 0.06
        assert abs(some.var() / (8 * np.trace(covariance @ covariance)) - 1) < 0.25


def test_euclidean_distances_are_squared_before_chance_is_asked():
    points = blobs(2, (12, 12), 4)
    apart = squares(points)
    roots = Wanted(euclidean, LINKAGES["average"].make(), "xla", True)
    found = gap().take(linkage(jnp.sqrt(apart)), jnp.sqrt(apart), roots)
    assert np.asarray(found.groups[0]).max() == 1


def test_more_clients_than_surrogates_are_made_of_are_sampled():
    points = blobs(3, (150, 150, 50), 4)
    apart = squares(points)
    found = np.asarray(cut(apart).groups[0])
    assert [*np.bincount(found)] == [150, 150, 50]
    all_ = jumps(linkage(apart), apart, WANTED, 16, 2, 9, 1.1)
    assert all_.chance.shape == (9,)


def test_equal_distances_few_clients_and_those_that_diverged_have_one_group():
    for count in (2, 5):
        same = jnp.ones((count, count)) - jnp.eye(count)
        found = gap().take(linkage(same), same, WANTED)
        assert found.groups.shape == (2, count)
        assert np.all(np.asarray(found.groups) == 0)
    apart = squares(blobs(0, (20,), 1)).at[3].set(jnp.inf).at[:, 3].set(jnp.inf).at[3, 3].set(0)
    found = jax.jit(lambda d: gap().take(linkage(d), d, WANTED))(apart)
    assert np.all(np.asarray(found.groups) == 0)


def test_numbers_out_of_their_range_are_refused():
    with pytest.raises(ValueError, match="most_groups"):
        gap(most_groups=1)
    with pytest.raises(ValueError, match="surrogates"):
        gap(surrogates=3)
