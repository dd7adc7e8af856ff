"""Merging mutual pairs all at once gives what the chain alone gives, and what SciPy gives."""

import functools

import jax
import numpy as np
import pytest
import scipy.cluster.hierarchy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform

from demjax.clustering.linkage import agglomerate, as_scipy
from demjax.clustering.mutual_pairs import mutual_pairs
from demjax.clustering.neighbor_chain import clients_as_slots
from demjax.registry import LINKAGES

FEW = settings(deadline=None, max_examples=15)
SEEDS = st.integers(0, 2**31)
AT_LEAST = (None, 1, 2, 8)


@functools.cache
def compiled(method, at_least):
    update = LINKAGES[method].make().update

    def merge(distances):
        return as_scipy(agglomerate(distances, update, at_least=at_least))

    return jax.jit(merge)


def scipys(distances, method):
    pairs = squareform(np.asarray(distances, np.float64), checks=False)
    return scipy.cluster.hierarchy.linkage(pairs, method)


def merged(distances, method, at_least):
    """Ward's rule works on squares."""
    ward = method == "ward"
    got = np.array(compiled(method, at_least)(distances**2 if ward else distances))
    got[:, 2] = np.sqrt(got[:, 2]) if ward else got[:, 2]
    return got


def check(method, at_least, distances):
    wanted = scipys(distances, method)
    got, alone = merged(distances, method, at_least), merged(distances, method, None)
    np.testing.assert_allclose(got[:, 2], wanted[:, 2], rtol=1e-5)
    np.testing.assert_allclose(alone[:, 2], wanted[:, 2], rtol=1e-5)
    if (np.diff(wanted[:, 2]) > 3e-6 * wanted[1:, 2]).all():
        np.testing.assert_array_equal(got[:, [0, 1, 3]], wanted[:, [0, 1, 3]])
        np.testing.assert_array_equal(alone[:, [0, 1, 3]], wanted[:, [0, 1, 3]])


@pytest.mark.parametrize("at_least", AT_LEAST[1:])
@pytest.mark.parametrize("method", ["average", "ward"])
@FEW
@given(seed=SEEDS, count=st.just(130))
def test_pairs_at_once_are_the_chains_merges_and_scipys(method, at_least, seed, count):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    check(method, at_least, squareform(pdist(points)).astype(np.float32))


@pytest.mark.parametrize("method", ["complete", "single", "weighted"])
def test_every_rule_may_be_used_for_pairs_at_once(method):
    points = np.random.default_rng(7).normal(size=(130, 3))
    check(method, 1, squareform(pdist(points)).astype(np.float32))


@pytest.mark.parametrize("method", ["complete", "single"])
@FEW
@given(seed=SEEDS, side=st.integers(1, 6))
def test_pairs_with_ties_are_left_to_the_chain(method, seed, side):
    points = np.random.default_rng(seed).integers(0, side + 1, (130, 2))
    distances = squareform(pdist(points, "cityblock")).astype(np.float32)
    got = merged(distances, method, 1)
    np.testing.assert_allclose(got[:, 2], scipys(distances, method)[:, 2], rtol=1e-5)


@FEW
@given(seed=SEEDS, side=st.integers(2, 30))
def test_mutual_pairs_are_each_others_only_nearest(seed, side):
    points = np.random.default_rng(seed).integers(0, side, (20, 2))
    distances = squareform(pdist(points, "cityblock")).astype(np.float32)
    _, nearest, upper = PAIRS(clients_as_slots(distances))
    wanted = set()
    for x in range(20):
        for y in range(x + 1, 20):
            others = [z for z in range(20) if z not in (x, y)]
            nearer = min(distances[x, others].min(), distances[y, others].min())
            if distances[x, y] < nearer:
                wanted.add((x, y))
    found = {(int(nearest[y]), int(y)) for y in np.flatnonzero(upper)}
    assert found == wanted


PAIRS = jax.jit(mutual_pairs)
