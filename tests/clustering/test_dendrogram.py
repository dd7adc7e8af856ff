"""Leaf order and cophenetic correlation, against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy as scipy_tree
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from trees import random_linkage

from demjax.clustering.dendrogram import cophenetic_correlation, leaf_order, upgma_correlation

METHODS = ("average", "complete", "single", "ward", "weighted")
QUICK = settings(deadline=None, max_examples=40)
ORDER = jax.jit(leaf_order)
COPHENETIC = jax.jit(cophenetic_correlation)


def cophenetic_by_scipy(merges, pairs):
    heights = scipy_tree.cophenet(merges)
    if len(pairs) == 0 or np.ptp(pairs) == 0 or np.ptp(heights) == 0:
        return np.nan
    return np.corrcoef(pairs, heights)[0, 1]


def as_arrays(merges, pairs):
    return np.float32(merges), np.float32(squareform(pairs))


@QUICK
@given(seed=st.integers(0, 2**31), count=st.sampled_from((1, 2, 3, 40)))
def test_leaves_and_cophenetic_correlation_are_scipys(seed, count):
    rng = np.random.default_rng(seed)
    if count == 1:
        merges, pairs = np.zeros((0, 4)), np.zeros(0)
        order = np.zeros(1)
    else:
        merges, pairs = random_linkage(rng, count, METHODS[seed % len(METHODS)])
        order = scipy_tree.leaves_list(merges)
    merges, distances = as_arrays(merges, pairs)
    got = ORDER(merges)
    assert got.dtype == jnp.int32
    np.testing.assert_array_equal(got, order)
    correlation = COPHENETIC(merges, distances.reshape(count, count))
    assert correlation.shape == ()
    assert correlation.dtype == jnp.float32
    wanted = cophenetic_by_scipy(merges.astype(float), pairs) if count > 1 else np.nan
    np.testing.assert_allclose(correlation, wanted, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_blocks_of_rows_join_without_a_seam(method):
    count = 65
    merges, pairs = random_linkage(np.random.default_rng(count), count, method)
    arrays = as_arrays(merges, pairs)
    np.testing.assert_array_equal(ORDER(arrays[0]), scipy_tree.leaves_list(merges))
    wanted = scipy_tree.cophenet(merges, pairs)[0]
    np.testing.assert_allclose(COPHENETIC(*arrays), wanted, atol=1e-5)


def test_a_chain_is_as_deep_as_it_has_clients():
    count = 65
    pairs = pdist(2.0 ** (np.arange(count)[:, None] / 20))
    merges = scipy_tree.linkage(pairs, "single")
    assert (merges[1:, 1] >= count).all()
    np.testing.assert_array_equal(ORDER(np.float32(merges)), scipy_tree.leaves_list(merges))
    wanted = scipy_tree.cophenet(merges, pairs)[0]
    np.testing.assert_allclose(COPHENETIC(*as_arrays(merges, pairs)), wanted, atol=1e-5)


@pytest.mark.parametrize("method", ["average", "single"])
@pytest.mark.parametrize(("scale", "shift"), [(1e-30, 0), (1e30, 0), (1, 300), (1e-3, 1)])
def test_correlation_bears_any_unit_and_distances_nearly_alike(method, scale, shift):
    pairs = pdist(np.random.default_rng(5).normal(size=(65, 3))) * scale + shift
    pairs = pairs.astype(np.float32).astype(float)
    merges = scipy_tree.linkage(pairs, method)
    wanted = scipy_tree.cophenet(merges, pairs)[0]
    np.testing.assert_allclose(COPHENETIC(*as_arrays(merges, pairs)), wanted, atol=1e-4)


def test_what_does_not_vary_or_is_not_finite_has_no_correlation():
    merges, pairs = random_linkage(np.random.default_rng(7), 40, "average")
    merges, distances = as_arrays(merges, pairs)
    assert np.isfinite(COPHENETIC(merges, distances))
    for broken in (np.nan, np.inf):
        spoilt, split = distances.copy(), merges.copy()
        spoilt[2, 7] = spoilt[7, 2] = split[-1, 2] = broken
        assert np.isnan(COPHENETIC(merges, spoilt))
        assert np.isnan(COPHENETIC(merges, np.full_like(distances, broken)))
        assert np.isnan(COPHENETIC(split, distances))
        assert np.isnan(COPHENETIC(np.full_like(merges, broken), distances))
    for same in (0, 0.1, 3):
        level = merges.copy()
        level[:, 2] = same
        assert np.isnan(COPHENETIC(merges, np.float32(same * (1 - np.eye(40)))))
        assert np.isnan(COPHENETIC(level, distances))


def test_three_clients_by_hand():
    distances = np.float32([[0, 1, 4], [1, 0, 2], [4, 2, 0]])
    merges = np.float32([[0, 1, 1, 2], [2, 3, 3, 3]])
    assert ORDER(merges).tolist() == [2, 0, 1]
    wanted = np.corrcoef([1, 4, 2], [1, 3, 3])[0, 1]
    np.testing.assert_allclose(COPHENETIC(merges, distances), wanted, rtol=1e-6)


def test_many_dendrograms_at_once_are_those_of_each():
    rng = np.random.default_rng(3)
    drawn = [random_linkage(rng, 10, method) for method in METHODS]
    merges, distances = map(np.stack, zip(*(as_arrays(*one) for one in drawn), strict=True))
    orders = jax.jit(jax.vmap(leaf_order))(merges)
    got = jax.jit(jax.vmap(cophenetic_correlation))(merges, distances)
    np.testing.assert_array_equal(orders, [scipy_tree.leaves_list(one) for one, _ in drawn])
    np.testing.assert_allclose(got, [scipy_tree.cophenet(*one)[0] for one in drawn], atol=1e-5)


def test_of_many_clients_only_rows_of_the_distances_are_in_hand_and_on_the_device():
    count = 1_500
    drawn = [random_linkage(np.random.default_rng(2), count, one) for one in ("average", "single")]
    lowered = COPHENETIC.lower(*as_arrays(*drawn[0]))
    assert "callback" not in lowered.as_text()
    assert "dot_general" not in lowered.as_text()  # nothing whose precision is a device's choice
    compiled = lowered.compile()
    taken = compiled.memory_analysis()
    assert taken.temp_size_in_bytes < 0.25 * taken.argument_size_in_bytes
    for merges, pairs in drawn:
        wanted = scipy_tree.cophenet(merges, pairs)[0]
        np.testing.assert_allclose(compiled(*as_arrays(merges, pairs)), wanted, atol=1e-5)


@pytest.mark.usefixtures("float64")
def test_double_precision_elsewhere_changes_no_type():
    merges, pairs = random_linkage(np.random.default_rng(9), 40, "average")
    got = jax.jit(cophenetic_correlation)(merges, squareform(pairs))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, scipy_tree.cophenet(merges, pairs)[0], atol=1e-5)


def test_distances_of_another_number_of_clients_are_refused():
    with pytest.raises(ValueError, match=r"distances of shape \(4, 4\), but those of .*\(4, 3\)"):
        cophenetic_correlation(np.zeros((3, 4)), np.zeros((4, 3)))


@pytest.mark.parametrize("count", [3, 8, 60, 300])
@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_for_average_linkage_merges_and_sums_suffice(count, scale):
    rng = np.random.default_rng(count)
    pairs = scale * pdist(rng.normal(size=(count, 5)) + 4 * (np.arange(count) % 3)[:, None])
    merges = scipy_tree.linkage(pairs, "average")
    found = jax.jit(upgma_correlation)(*as_arrays(merges, pairs))
    wanted, _ = scipy_tree.cophenet(merges, pairs)
    assert float(found) == pytest.approx(wanted, abs=2e-5)


def test_of_average_linkage_too_what_does_not_vary_or_is_not_finite_has_no_correlation():
    alike = np.ones(10)
    merges = scipy_tree.linkage(alike, "average")
    assert np.isnan(upgma_correlation(*as_arrays(merges, alike)))
    infinite = np.arange(1.0, 11)
    merges = scipy_tree.linkage(infinite, "average")
    infinite[3] = np.inf
    assert np.isnan(upgma_correlation(*as_arrays(merges, infinite)))
    assert np.isnan(upgma_correlation(jnp.zeros((1, 4)), jnp.zeros((2, 2))))
