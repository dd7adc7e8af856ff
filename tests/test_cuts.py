import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy
from hypothesis import settings
from scipy.spatial.distance import pdist, squareform

from demjax.base import NO_GROUP
from demjax.linkage import METHODS, cosine, cut_depth, euclidean, linkage

METRICS = pytest.mark.parametrize("metric", ["euclidean", "cosine"])
METHOD = pytest.mark.parametrize("method", METHODS)
OURS = {"euclidean": jax.jit(euclidean), "cosine": jax.jit(cosine)}
CUT = jax.jit(cut_depth, static_argnums=1)
COUNT, WIDTH = 12, 600
QUICK = settings(deadline=None, max_examples=40)


def as_models(vectors):
    """The vectors cut into the leaves of a pytree."""
    count = len(vectors)
    w, b, rest = np.split(np.asarray(vectors, np.float32), [WIDTH // 2, WIDTH // 2 + 1], axis=1)
    return {
        "w": jnp.asarray(w.reshape(count, 10, -1)),
        "b": jnp.asarray(b[:, 0]),
        "rest": [jnp.asarray(rest)],
    }


def in_double(vectors, metric):
    return squareform(pdist(np.asarray(vectors, np.float32).astype(np.float64), metric))


def random_points(rng, count):
    points = rng.normal(size=(count, 3))
    return points[rng.integers(count, size=count)] if rng.random() < 0.3 else points


def random_distances(seed, count):
    return squareform(pdist(np.random.default_rng(seed).normal(size=(count, 3))))


@pytest.mark.parametrize(
    ("count", "levels"),
    [(1, 0), (1, 3), (2, 0), (2, 3), (3, 1), (3, 4), (5, 2), (9, 5), (16, 4), (27, 3), (40, 5)],
)
def test_cutting_splits_from_the_top(split_tree, groups_of, count, levels):
    rng = np.random.default_rng(count + 100 * levels)
    dendrograms = np.zeros((40, count - 1, 4), np.float32)
    for number in range(40 * (count > 1)):
        method = METHODS[number % len(METHODS)]
        dendrograms[number] = scipy.cluster.hierarchy.linkage(random_points(rng, count), method)
    cut = jax.jit(jax.vmap(functools.partial(cut_depth, levels=levels)))(dendrograms)
    assert cut.groups.dtype == cut.size.dtype == jnp.int32
    assert cut.size.shape == (40, levels + 1, 2**levels)
    groups, sizes = np.asarray(cut.groups), np.asarray(cut.size)
    for number, merges in enumerate(dendrograms):
        wanted = groups_of(split_tree(merges, levels), count)
        np.testing.assert_array_equal(groups[number], wanted)
        for level, row in enumerate(wanted):
            counted = np.bincount(row[row != NO_GROUP], minlength=2**levels)
            np.testing.assert_array_equal(sizes[number, level], counted)


def test_a_chain_peels_off_one_client_a_level():
    # On a line with growing gaps, single linkage merges from one end: the rest, then one more.
    line = np.cumsum(np.arange(20.0))[:, None]
    merges = linkage(squareform(pdist(line)), "single")
    cut = CUT(merges, 3)
    for level, size in enumerate([17, 18, 19, 20]):
        assert sorted(np.asarray(cut.size[level]))[-2:] == [0, size]
        np.testing.assert_array_equal(cut.groups[level] != NO_GROUP, np.arange(20) < size)


def test_below_its_last_split_a_tree_is_empty():
    merges = scipy.cluster.hierarchy.linkage(np.array([[0.0], [1], [10], [12]]))
    cut = CUT(jnp.asarray(merges, jnp.float32), 4)
    assert np.asarray(cut.size.sum(axis=1)).tolist() == [0, 0, 0, 4, 4]
    one, _, other, _ = pairs = cut.groups[3].tolist()
    assert pairs == [one, one, other, other]
    assert {one, other} == {0, 1}


@METRICS
def test_clients_of_two_kinds_are_parted_within_one_program(metric):
    rng = np.random.default_rng(0)
    kind = rng.permutation(COUNT) % 2
    vectors = rng.normal(size=(2, WIDTH))[kind] + 0.01 * rng.normal(size=(COUNT, WIDTH))

    @jax.jit
    def part(models):
        return cut_depth(linkage(OURS[metric](models)), 1)

    groups = np.asarray(part(as_models(vectors)).groups[0])
    assert len({*zip(groups.tolist(), kind.tolist(), strict=True)}) == 2
    assert set(groups) == {0, 1}
