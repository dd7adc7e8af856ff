"""Dendrograms in two stages: exact with as many centroids as clients, near to it with few."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy as scipy_tree
from scipy.spatial.distance import pdist
from sklearn.metrics import adjusted_rand_score

from demjax.backend.collectives import collectives
from demjax.backend.sharding import over_clients, spread_over
from demjax.clustering.linkage import METHODS
from demjax.clustering.pivots import Kind
from demjax.clustering.two_stage import two_stage_linkage
from demjax.registry import LINKAGES

KINDS = {
    "euclidean": Kind(root=True),
    "sqeuclidean": Kind(),
    "cosine": Kind(angular=True),
}
two_stage = partial(jax.jit, static_argnums=(1, 2, 3))(two_stage_linkage)


def blobs(rng, count, blobs=6, width=24):
    truth = rng.integers(blobs, size=count)
    return (6 * rng.normal(size=(blobs, width))[truth] + rng.normal(size=(count, width))), truth


def made(points, method, centroids, metric="euclidean"):
    merges, cophenetic = two_stage(
        jnp.asarray(points, jnp.float32), KINDS[metric], LINKAGES[method].make(), centroids
    )
    return np.asarray(merges, np.float64), float(cophenetic)


@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_with_a_centroid_for_each_client_it_is_scipys(method, metric):
    points, _ = blobs(np.random.default_rng(0), 40)
    merges, cophenetic = made(points, method, 40, metric)
    pairs = pdist(points, metric)
    wanted = scipy_tree.linkage(pairs, method)
    np.testing.assert_array_equal(merges[:, [0, 1, 3]], wanted[:, [0, 1, 3]])
    np.testing.assert_allclose(merges[:, 2], wanted[:, 2], rtol=1e-4)
    assert cophenetic == pytest.approx(scipy_tree.cophenet(wanted, pairs)[0], abs=1e-3)


@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("centroids", [20, 100])
def test_groups_that_stand_apart_are_found_whatever_the_number_of_centroids(
    method, metric, centroids
):
    rng = np.random.default_rng(1)
    points, truth = blobs(rng, 500)
    merges, cophenetic = made(points, method, centroids, metric)
    assert (0.3 if method == "ward" else 0.5) < cophenetic <= 1
    assert scipy_tree.is_valid_linkage(merges)
    assert scipy_tree.is_monotonic(merges)
    assert merges[-1, 3] == 500
    found = scipy_tree.fcluster(merges, 6, "maxclust")
    assert adjusted_rand_score(truth, found) == 1


@pytest.mark.parametrize("metric", KINDS)
def test_chains_of_a_centroid_rise_as_its_clients_are_farther(metric):
    points, _ = blobs(np.random.default_rng(8), 60)
    merges, _ = made(points, "average", 6, metric)
    chains = merges[merges[:, 0] < 60][:, 2]
    assert np.ptp(chains) > 0
    assert np.unique(np.round(chains, 5)).size > 30  # whole numbers would be a few
    near = pdist(points, metric)
    assert 0.3 * near.min() < chains.min() <= chains.max() < near.max()


def test_upper_heights_are_nearly_those_of_average_linkage():
    points, _ = blobs(np.random.default_rng(2), 800)
    merges, _ = made(points, "average", 60)
    wanted = scipy_tree.linkage(pdist(points), "average")
    np.testing.assert_allclose(merges[-5:, 2], wanted[-5:, 2], rtol=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_clients_in_one_place_and_clients_that_diverged(method):
    points, _ = blobs(np.random.default_rng(3), 90)
    points[30:60] = points[0]
    points[70:73] = np.nan
    merges, _ = made(points, method, 45)
    assert np.isinf(merges[-1, 2])
    assert np.isfinite(merges[:-1]).all()
    merges[-1, 2] = merges[-2, 2]
    assert scipy_tree.is_valid_linkage(merges)
    assert scipy_tree.is_monotonic(merges)
    parts = scipy_tree.fcluster(merges, 10, "maxclust")
    assert len({parts[70], parts[71], parts[72]}) == 1
    assert (parts == parts[70]).sum() == 3


@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_groups_far_from_the_origin_are_found_as_near_it(offset):
    points, truth = blobs(np.random.default_rng(5), 400)
    merges, _ = made(points + offset, "average", 50)
    assert adjusted_rand_score(truth, scipy_tree.fcluster(merges, 6, "maxclust")) == 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_clients(count):
    points = np.arange(count)[:, None] * np.ones(3)
    merges, _ = made(points, "average", 2)
    assert merges.shape == (count - 1, 4)
    assert merges[-1:, 3].tolist() == [count] * (count > 1)


def test_permuted_clients_have_the_permuted_dendrogram():
    rng = np.random.default_rng(4)
    points, _ = blobs(rng, 120)
    order = rng.permutation(120)
    one, _ = made(points, "average", 30)
    other, _ = made(points[order], "average", 30)
    np.testing.assert_allclose(one[:, 2], other[:, 2], rtol=1e-4)
    for groups in (2, 5, 20):
        parts = scipy_tree.fcluster(one, groups, "maxclust")
        permuted = scipy_tree.fcluster(other, groups, "maxclust")
        assert adjusted_rand_score(parts[order], permuted) == 1


@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize("count", [600, 601])
def test_points_stay_on_the_devices_that_have_them(count, metric):
    points, _ = blobs(np.random.default_rng(6), count, width=96)
    points = jnp.asarray(points, jnp.float32)

    def dendrogram(points):
        points = over_clients(lambda _, mine: mine, (), points)
        return two_stage_linkage(points, KINDS[metric], LINKAGES["average"].make(), 20)

    wanted, _ = jax.jit(dendrogram)(points)
    with spread_over(2):
        program = jax.jit(dendrogram).lower(points).compile()
        found, _ = program(points)
    moved = collectives(program.as_text())
    # What travels are a few numbers for each client, and points of centroids.
    assert max(max(sizes) for sizes in moved.values()) <= 4 * max(4 * count, 20 * 96)
    groups = [scipy_tree.fcluster(np.asarray(m, float), 6, "maxclust") for m in (wanted, found)]
    assert adjusted_rand_score(*groups) == 1
    np.testing.assert_allclose(found[:, 2], wanted[:, 2], rtol=1e-3, atol=1e-3)
