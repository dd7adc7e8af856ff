"""The parts of the chain by themselves: rules of merging, stages, compaction, the nearest."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from demjax.clustering import neighbor_chain

QUICK = settings(deadline=None, max_examples=40)
POINTS = st.integers(0, 2**31).map(
    lambda seed: [np.random.default_rng(seed + n).normal(size=(2 + n, 3)) for n in range(3)]
)


def squared_growth(one, other):
    """Twice the growth of the sum of squares when two clusters become one: Ward's, squared."""
    apart = np.sum((one.mean(axis=0) - other.mean(axis=0)) ** 2)
    return 2 * len(one) * len(other) / (len(one) + len(other)) * apart


DEFINITIONS = {
    "average": lambda one, other: cdist(one, other).mean(),
    "complete": lambda one, other: cdist(one, other).max(),
    "single": lambda one, other: cdist(one, other).min(),
    "ward": squared_growth,
}


@pytest.mark.parametrize("rule", DEFINITIONS)
@QUICK
@given(POINTS)
def test_the_rule_gives_what_the_definition_says_of_the_merged_cluster(rule, points):
    x, y, other = points
    apart = DEFINITIONS[rule]
    sizes = [len(part) for part in points]
    got = getattr(neighbor_chain, rule)(apart(x, other), apart(y, other), *sizes, apart(x, y))
    np.testing.assert_allclose(got, apart(np.concatenate([x, y]), other), rtol=1e-5)


def test_the_weighted_rule_takes_both_parts_for_half():
    assert neighbor_chain.weighted(1.0, 4.0, 10, 1, 3, 0.5) == 2.5


@pytest.mark.parametrize("count", [2, 96, 97, 130, 300, 3000])
def test_stages_halve_down_to_where_that_does_not_pay(count):
    sizes = neighbor_chain.stages(count)
    assert sizes[0] == count
    assert sizes[-1] <= neighbor_chain.COMPACT_ABOVE
    for size, half in pairwise(sizes):
        assert size > neighbor_chain.COMPACT_ABOVE
        assert half == size // 2


@pytest.mark.parametrize("width", [7, 1024, 1025, 3000])
def test_the_nearest_is_the_first_of_the_smallest(width):
    rng = np.random.default_rng(width)
    find = jax.jit(neighbor_chain.nearest)
    for most in (2, 50, 10**6):
        row = rng.integers(0, most, width).astype(np.float32)
        place, least = find(row)
        assert (int(place), float(least)) == (row.argmin(), row.min())
    assert int(find(np.full(width, np.inf, np.float32))[0]) < width


@pytest.mark.parametrize("alive", [1, 4, 6])
def test_compacting_keeps_the_clusters_that_are_left_in_their_order(alive):
    rng = np.random.default_rng(alive)
    kept = np.sort(rng.permutation(12)[:alive])
    distances = rng.normal(size=(12, 12)).astype(np.float32)
    slots = neighbor_chain.clients_as_slots(jnp.asarray(distances))
    dead = jnp.full(12, jnp.inf).at[kept].set(0.0)
    got = jax.jit(neighbor_chain.compact, static_argnums=1)(slots._replace(dead=dead), 6)
    np.testing.assert_array_equal(got.dead == 0, np.arange(6) < alive)
    np.testing.assert_array_equal(got.distances[:alive, :alive], distances[np.ix_(kept, kept)])
    np.testing.assert_array_equal(got.clusters[neighbor_chain.NODE, :alive], kept)
