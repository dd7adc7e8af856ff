"""Single linkage from Prim's order against SciPy's spanning tree, SciPy's linkage, and loops."""

import jax
import numpy as np
import scipy.cluster.hierarchy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform

from demjax.clustering.spanning_tree import merges_along, next_greater, visiting_order

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 2**31)
VISIT, GREATER, ALONG = (jax.jit(f) for f in (visiting_order, next_greater, merges_along))


def random_distances(seed, count):
    points = np.random.default_rng(seed).normal(size=(count, 2))
    return squareform(pdist(points)).astype(np.float32)


@QUICK
@given(
    seed=SEEDS,
    count=st.sampled_from((1, 2, 7, 8, 33)),
    shape=st.sampled_from(("random", "up", "down")),
)
@example(seed=0, count=8, shape="up")
@example(seed=0, count=8, shape="down")
def test_the_next_greater_is_the_one_that_a_loop_finds(seed, count, shape):
    rank = np.random.default_rng(seed).permutation(count).astype(np.int32)
    rank = {"up": np.sort(rank), "down": np.sort(rank)[::-1].copy()}.get(shape, rank)
    wanted = [
        next((later for later in range(place + 1, count) if rank[later] > rank[place]), count)
        for place in range(count)
    ]
    np.testing.assert_array_equal(GREATER(rank), wanted)


@QUICK
@given(seed=SEEDS, count=st.sampled_from((2, 3, 10, 40)))
def test_the_order_is_prims_and_as_long_as_the_smallest_spanning_tree(seed, count):
    distances = random_distances(seed, count)
    order, length = (np.asarray(part) for part in VISIT(distances))
    assert order[0] == 0
    assert sorted(order.tolist()) == list(range(count))
    for step in range(count - 1):
        visited, ahead = order[: step + 1], order[step + 1 :]
        assert length[step] == distances[np.ix_(visited, ahead)].min()
        assert length[step] == distances[visited, order[step + 1]].min()
    total = minimum_spanning_tree(distances.astype(np.float64)).sum()
    np.testing.assert_allclose(length.sum(dtype=np.float64), total, rtol=1e-6)


@QUICK
@given(seed=SEEDS, count=st.sampled_from((2, 3, 10, 40)))
def test_merges_along_the_order_are_scipys_up_to_the_names_of_the_parts(seed, count):
    distances = random_distances(seed, count)
    merges, made = ALONG(*VISIT(distances))
    pairs = squareform(distances.astype(np.float64), checks=False)
    wanted = scipy.cluster.hierarchy.linkage(pairs, "single")
    assert int(made) == count - 1
    got = np.asarray(merges)
    np.testing.assert_array_equal(np.sort(got[:, :2], axis=1), wanted[:, :2])
    np.testing.assert_allclose(got[:, 2], wanted[:, 2], rtol=1e-6)
    np.testing.assert_array_equal(got[:, 3], wanted[:, 3])
