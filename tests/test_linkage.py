import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy
from hypothesis import settings
from scipy.spatial.distance import pdist, squareform

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


@METRICS
def test_a_model_that_is_not_finite_leaves_a_tree(metric):
    vectors = np.random.default_rng(0).normal(size=(COUNT, WIDTH))
    vectors[4, 5] = np.nan
    merges = np.asarray(linkage(OURS[metric](as_models(vectors))), np.float64)
    assert scipy.cluster.hierarchy.is_valid_linkage(merges)
    assert np.isfinite(merges).all()


def assert_same_merges(got, distances, method):
    wanted = scipy.cluster.hierarchy.linkage(
        squareform(np.asarray(distances, np.float64), checks=False), method
    )
    got = np.asarray(got)
    assert got.shape == wanted.shape
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got[:, [0, 1, 3]], wanted[:, [0, 1, 3]])
    np.testing.assert_allclose(got[:, 2], wanted[:, 2], rtol=1e-5)


@METHOD
@pytest.mark.parametrize("count", [2, 3, 10, 40])
def test_merges_are_scipys(method, count):
    distances = random_distances(count, count).astype(np.float32)
    assert_same_merges(linkage(jnp.asarray(distances), method), distances, method)


@METHOD
def test_merges_are_scipys_inside_a_program_and_for_many_at_once(method):
    distances = np.stack([random_distances(seed, 9) for seed in range(4)]).astype(np.float32)
    merge = functools.partial(linkage, method=method)
    assert_same_merges(jax.jit(merge)(distances[0]), distances[0], method)
    for got, matrix in zip(jax.jit(jax.vmap(merge))(distances), distances, strict=True):
        assert_same_merges(got, matrix, method)


def test_average_linkage_is_what_is_asked_for_by_default():
    distances = random_distances(0, 15).astype(np.float32)
    assert_same_merges(linkage(jnp.asarray(distances)), distances, "average")


def test_only_the_part_above_the_diagonal_is_read():
    distances = random_distances(0, 8).astype(np.float32)
    spoiled = distances + np.tril(np.full((8, 8), 5, np.float32))
    assert_same_merges(linkage(jnp.asarray(spoiled)), distances, "average")


@METHOD
def test_one_client_has_nothing_to_merge(method):
    assert linkage(jnp.zeros((1, 1)), method).shape == (0, 4)


@METHOD
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("clients", [[2], [0, 4, 5], [*range(6)]], ids=str)
def test_distances_that_are_not_finite_still_make_a_tree(method, bad, clients):
    distances = random_distances(0, 6).astype(np.float32)
    distances[clients] = bad
    distances[:, clients] = bad
    merges = np.asarray(jax.jit(linkage, static_argnums=1)(distances, method), np.float64)
    assert scipy.cluster.hierarchy.is_valid_linkage(merges)
    assert np.isfinite(merges).all()


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_distances_that_are_not_finite_count_as_the_largest_there_is(scale):
    distances = (scale * random_distances(0, 6)).astype(np.float32)
    broken, mended = distances.copy(), distances.copy()
    broken[2], broken[:, 2] = np.nan, np.inf
    others = np.delete(np.delete(distances, 2, 0), 2, 1)
    mended[2] = mended[:, 2] = others.max()
    mended[2, 2] = 0
    assert_same_merges(linkage(jnp.asarray(broken)), mended, "average")


@pytest.mark.parametrize("method", ["centroid", "Average", ""])
def test_an_unknown_method_is_refused_with_those_there_are(method):
    with pytest.raises(ValueError, match=rf"{method}.*unknown; possible are .*average.*weighted"):
        linkage(jnp.zeros((3, 3)), method)


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match=r"backend 'abacus' is unknown; possible .*'scipy'"):
        linkage(jnp.zeros((3, 3)), backend="abacus")


@pytest.mark.parametrize("shape", [(3, 4), (3,), (2, 3, 3)], ids=str)
def test_distances_that_are_not_a_square_are_refused(shape):
    with pytest.raises(ValueError, match="needs a square matrix, but its shape is"):
        linkage(jnp.zeros(shape))
