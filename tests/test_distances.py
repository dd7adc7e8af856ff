import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform

from demjax.linkage import distances

NAMES = ("euclidean", "sqeuclidean", "cosine", "correlation")
ANGULAR = ("cosine", "correlation")
METRICS = pytest.mark.parametrize("metric", NAMES)
COUNT, WIDTH = 12, 600
QUICK = settings(deadline=None, max_examples=30)
IN_PARTS = {"CHUNK": 1, "NARROWEST": 64, "SMALL": 2, "BLOCKS": 3, "STRIPS": 3, "LOWEST": 4}


def program(metric):
    return jax.jit(lambda params: getattr(distances, metric)(params))


@pytest.fixture(scope="module", params=["at once", "in parts"])
def ours(request):
    """The metrics, compiled: as they are, and with many small chunks, blocks and strips."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in IN_PARTS.items() if request.param == "in parts" else ():
            patch.setattr(distances, name, value)
        yield {metric: program(metric) for metric in NAMES}


def as_models(vectors, dtype=np.float32):
    """The vectors cut into the leaves of a pytree."""
    count, width = np.shape(vectors)
    cuts = [width // 2 // 10 * 10, width // 2 // 10 * 10 + 1]
    w, b, rest = np.split(np.asarray(vectors, dtype), cuts, axis=1)
    return {
        "w": jnp.asarray(w.reshape(count, 10, -1)),
        "b": jnp.asarray(b[:, 0]),
        "rest": [jnp.asarray(rest)],
    }


def in_double(vectors, metric):
    return squareform(pdist(np.asarray(vectors, np.float32).astype(np.float64), metric))


def assert_right(got, vectors, metric, rtol=1e-5):
    got = np.asarray(got)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, got.T)
    np.testing.assert_array_equal(np.diag(got), np.zeros(len(got)))
    np.testing.assert_allclose(got, in_double(vectors, metric), rtol=rtol, atol=0)


@METRICS
@QUICK
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1e-10, 1e-4, 1.0, 1e4, 1e10]))
def test_distances_are_those_of_double_precision(ours, metric, seed, scale):
    vectors = np.random.default_rng(seed).normal(size=(COUNT, WIDTH)) * scale
    assert_right(ours[metric](as_models(vectors)), vectors, metric)


@METRICS
@QUICK
@given(seed=st.integers(0, 2**31), apart=st.sampled_from([1e-4, 1e-3, 1e-2]))
def test_models_close_together_are_told_apart(ours, metric, seed, apart):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=WIDTH) + apart * rng.normal(size=(COUNT, WIDTH))
    assert_right(ours[metric](as_models(vectors)), vectors, metric)


@METRICS
@QUICK
@given(
    seed=st.integers(0, 2**31),
    tight=st.sampled_from([1e-4, 1e-3, 1e-2, 0.1, 1.0]),
    groups=st.integers(2, 4),
)
def test_groups_far_tighter_than_they_are_apart_are_told_apart(ours, metric, seed, tight, groups):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(groups, WIDTH))[rng.integers(groups, size=COUNT)]
    vectors = vectors + tight * rng.normal(size=(COUNT, WIDTH))
    assert_right(ours[metric](as_models(vectors)), vectors, metric)


@METRICS
@QUICK
@given(seed=st.integers(0, 2**31))
def test_groups_within_groups_are_told_apart(ours, metric, seed):
    rng = np.random.default_rng(seed)
    vectors = np.zeros((COUNT, WIDTH))
    for apart, groups in ((1, 2), (1e-1, 4), (1e-2, 6), (1e-3, COUNT)):
        part = rng.normal(size=(groups, WIDTH))[np.arange(COUNT) * groups // COUNT]
        vectors += apart * part
    order = rng.permutation(COUNT)
    assert_right(ours[metric](as_models(vectors[order])), vectors[order], metric)


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_any_number_of_clients(count):
    vectors = np.random.default_rng(count).normal(size=(count, 37)) + 1.0
    with pytest.MonkeyPatch.context() as patch:
        for name, value in IN_PARTS.items():
            patch.setattr(distances, name, value)
        every = jax.jit(lambda params: {name: getattr(distances, name)(params) for name in NAMES})
        for metric, got in every(as_models(vectors)).items():
            assert_right(got, vectors, metric)


@METRICS
def test_models_may_differ_much_in_length(ours, metric):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(COUNT, WIDTH)) * 10 ** rng.uniform(-4, 4, (COUNT, 1))
    assert_right(ours[metric](as_models(vectors)), vectors, metric)


@METRICS
@QUICK
@given(seed=st.integers(0, 2**31), spread=st.sampled_from([1e-4, 1e-2, 1.0]))
def test_nearly_parallel_models_may_differ_in_length(ours, metric, seed, spread):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=WIDTH) + 1e-4 * rng.normal(size=(COUNT, WIDTH))
    vectors = vectors * np.exp(spread * rng.normal(size=(COUNT, 1)))
    rtol = 2e-5 if metric in ("euclidean", "sqeuclidean") else 1e-4 * max(spread, 0.1)
    assert_right(ours[metric](as_models(vectors)), vectors, metric, rtol)


@pytest.mark.parametrize("metric", ANGULAR)
def test_angles_know_no_length(ours, metric):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(COUNT, WIDTH))
    stretched = vectors * rng.uniform(0.01, 100, (COUNT, 1))
    if metric == "correlation":
        stretched += 10 * rng.normal(size=(COUNT, 1))
    one, other = (ours[metric](as_models(some)) for some in (vectors, stretched))
    np.testing.assert_allclose(one, other, rtol=1e-4)
    np.testing.assert_allclose(other, in_double(stretched, metric), rtol=1e-5)


def test_cosine_of_opposite_square_and_empty_models():
    w = jnp.array([[1.0, 0], [-2, 0], [0, 3], [0, 0], [0, 0]])
    wanted = np.array([[0, 2, 1], [2, 0, 1], [1, 1, 0]])
    wanted = np.pad(wanted, (0, 2), constant_values=0.5)
    wanted[3:, 3:] = 0
    np.testing.assert_allclose(program("cosine")({"w": w}), wanted, atol=1e-6)
    np.testing.assert_array_equal(program("cosine")({"w": 0 * w}), np.zeros((5, 5)))


def test_correlation_of_opposite_and_constant_models():
    w = jnp.array([[1.0, 2, 3], [-2, -4, -6], [7, 8, 9], [0.3, 0.3, 0.3], [0, 0, 0]])
    wanted = np.pad(np.array([[0, 2, 0], [2, 0, 2], [0, 2, 0]]), (0, 2), constant_values=0.5)
    wanted[3:, 3:] = 0
    np.testing.assert_allclose(program("correlation")({"w": w}), wanted, atol=1e-6)


@METRICS
def test_equal_models_have_no_distance(ours, metric):
    vectors = np.random.default_rng(0).normal(size=(3, WIDTH))[np.arange(COUNT) % 3]
    got = np.asarray(ours[metric](as_models(vectors)))
    same = np.arange(COUNT)[:, None] % 3 == np.arange(COUNT) % 3
    np.testing.assert_allclose(got[same], 0, atol=1e-14)
    assert (got[~same] > 0.5).all()


@METRICS
@QUICK
@given(seed=st.integers(0, 2**31), tight=st.sampled_from([1e-3, 1.0]))
def test_clients_permuted_give_distances_permuted(ours, metric, seed, tight):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(2, WIDTH))[np.arange(COUNT) % 2]
    vectors = vectors + tight * rng.normal(size=(COUNT, WIDTH))
    order = rng.permutation(COUNT)
    got, permuted = (ours[metric](as_models(some)) for some in (vectors, vectors[order]))
    np.testing.assert_allclose(permuted, got[np.ix_(order, order)], rtol=1e-5)


@METRICS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 1e13, 1e6])
@pytest.mark.parametrize("entries", [slice(5, 6), slice(None)])
@pytest.mark.parametrize("apart", [1e-4, 1.0])
def test_one_client_that_diverged_spoils_nothing_among_the_others(
    ours, metric, bad, entries, apart
):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=WIDTH) + apart * rng.normal(size=(COUNT, WIDTH))
    vectors[0, entries] *= bad
    got = np.asarray(ours[metric](as_models(vectors)))
    np.testing.assert_array_equal(got, got.T)
    assert_right(got[1:, 1:], vectors[1:], metric)
    if not np.isfinite(bad):
        assert not np.isfinite(got[0, 1:]).any()
    assert got[0, 0] == 0


@METRICS
def test_clients_that_all_diverged_raise_nothing(ours, metric):
    got = np.asarray(ours[metric](as_models(np.full((COUNT, WIDTH), np.nan))))
    assert np.isnan(got[~np.eye(COUNT, dtype=bool)]).all()


@METRICS
def test_vmap_gives_each_its_own(ours, metric):
    rng = np.random.default_rng(0)
    random = rng.normal(size=(COUNT, WIDTH))
    tight = rng.normal(size=WIDTH) + 1e-4 * random
    groups = rng.normal(size=(2, WIDTH))[np.arange(COUNT) % 2] + 1e-3 * random
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *map(as_models, (random, tight, groups)))
    for got, vectors in zip(jax.vmap(ours[metric])(stacked), (random, tight, groups), strict=True):
        assert_right(got, vectors, metric)


@METRICS
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.int32, jnp.bool_])
def test_other_numbers_are_computed_with_as_float32(metric, dtype):
    vectors = np.random.default_rng(0).normal(size=(3, 20)) * 3
    vectors = np.asarray(jnp.asarray(vectors).astype(dtype).astype(jnp.float32))
    assert_right(program(metric)(as_models(vectors, dtype)), vectors, metric)


@METRICS
def test_distances_are_float32_where_models_are_float64(float64, metric):
    vectors = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    assert_right(program(metric)(as_models(vectors, np.float64)), vectors, metric)


@METRICS
def test_products_ask_for_full_precision_where_the_backend_would_round_them(metric, full_precision):
    # The mean, and the products centred at it and at leaders.
    assert full_precision(program(metric), as_models(np.ones((COUNT, WIDTH)))) == 3


@METRICS
@pytest.mark.parametrize(("count", "width"), [(1000, 1_000_000), (2000, 50_000), (300, 100_000)])
def test_memory_is_that_of_the_distances_and_of_a_few_chunks(metric, count, width):
    models = jax.ShapeDtypeStruct((count, width), jnp.float32)
    needs = program(metric).lower(models).compile().memory_analysis()
    needed = needs.temp_size_in_bytes + needs.output_size_in_bytes
    assert needed < 4 * (1.2 * count**2 + 5 * distances.CHUNK)
