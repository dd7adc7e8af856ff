import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform

from demjax.linkage import METHODS, cosine, cut_depth, euclidean

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
@QUICK
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1e-4, 1.0, 1e4]))
def test_distances_are_those_of_double_precision(metric, seed, scale):
    vectors = np.random.default_rng(seed).normal(size=(COUNT, WIDTH)) * scale
    got = OURS[metric](as_models(vectors))
    np.testing.assert_allclose(got, in_double(vectors, metric), rtol=5e-6, atol=0)


@pytest.mark.parametrize(("metric", "tolerance"), [("euclidean", 2e-6), ("cosine", 2e-4)])
@QUICK
@given(seed=st.integers(0, 2**31), apart=st.sampled_from([1e-4, 1e-3, 1e-2]))
def test_models_close_together_are_told_apart(metric, tolerance, seed, apart):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=WIDTH)
    vectors = shared + apart * rng.normal(size=(COUNT, WIDTH))
    got = OURS[metric](as_models(vectors))
    np.testing.assert_allclose(got, in_double(vectors, metric), rtol=tolerance, atol=0)


@METRICS
@QUICK
@given(seed=st.integers(0, 2**31), apart=st.sampled_from([0.0, 1e-4, 1e-2, 0.1]))
def test_rounding_is_small_beside_the_spread_of_all_clients(metric, seed, apart):
    # Two tight groups far apart: the squares within a group are as exact as those between.
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(2, WIDTH))[np.arange(COUNT) % 2]
    vectors = vectors + apart * rng.normal(size=(COUNT, WIDTH))
    power = 2 if metric == "euclidean" else 1
    got = np.asarray(OURS[metric](as_models(vectors)), np.float64) ** power
    wanted = in_double(vectors, metric) ** power
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6 * wanted.max())


@METRICS
def test_distances_are_symmetric_with_nothing_on_the_diagonal(metric):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(COUNT, WIDTH)) * rng.uniform(0.1, 10, (COUNT, 1))
    vectors[3] = vectors[7]
    got = np.asarray(OURS[metric](as_models(vectors)))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, got.T)
    np.testing.assert_array_equal(np.diag(got), np.zeros(COUNT))
    assert (got >= 0).all()
    assert got[3, 7] < 1e-3 * np.delete(got[3], [3, 7]).min()


@METRICS
def test_products_ask_for_full_precision_where_the_backend_would_round_them(metric, full_precision):
    assert full_precision(OURS[metric], as_models(np.ones((COUNT, WIDTH)))) == 3  # one a leaf


@METRICS
def test_the_distance_of_one_client_to_itself_is_nothing(metric):
    np.testing.assert_array_equal(OURS[metric](as_models(np.ones((1, WIDTH)))), [[0.0]])


def test_cosine_knows_no_length():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(COUNT, WIDTH))
    stretched = vectors * rng.uniform(0.01, 100, (COUNT, 1))
    one, other = (OURS["cosine"](as_models(some)) for some in (vectors, stretched))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_cosine_of_opposite_square_and_empty_models():
    w = jnp.array([[1.0, 0], [-2, 0], [0, 3], [0, 0]])
    wanted = [[0, 2, 1, 0.5], [2, 0, 1, 0.5], [1, 1, 0, 0.5], [0.5, 0.5, 0.5, 0]]
    np.testing.assert_allclose(OURS["cosine"]({"w": w}), wanted, atol=1e-6)
