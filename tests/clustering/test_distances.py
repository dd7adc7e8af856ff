import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform

from demjax.backend import blocks, policy
from demjax.clustering import columns, distances, pivots

NAMES = ("euclidean", "sqeuclidean", "cosine", "correlation")
ANGULAR = ("cosine", "correlation")
COUNT, WIDTH = 12, 600
QUICK = settings(deadline=None, max_examples=30)
IN_PARTS = {
    policy: {"CPU_PARAMETERS_COMPARED": 1},
    columns: {"NARROWEST": 64, "SMALL": 2},
    blocks: {"LOWEST": 4},
    pivots: {"STRIPS": 3},
    distances: {"BLOCKS": 3, "STRIPS": 3},
}


def program(metric, constants=None):
    """The metric compiled, traced with some of the modules' constants changed."""

    def traced(params):
        with pytest.MonkeyPatch.context() as patch:
            for module, values in (constants or {}).items():
                for name, value in values.items():
                    patch.setattr(module, name, value)
            return getattr(distances, metric)(params)

    return jax.jit(traced)


ALL = {name: program(name) for name in NAMES}
PARTS = {f"{name} in parts": program(name, IN_PARTS) for name in ("euclidean", "correlation")}
METRICS = pytest.mark.parametrize("metric", NAMES)
OURS = pytest.mark.parametrize(
    ("metric", "ours"),
    [(name.split()[0], ours) for name, ours in (ALL | PARTS).items()],
    ids=[*ALL, *PARTS],
)


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


@OURS
@QUICK
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1e-10, 1e-4, 1.0, 1e4, 1e10]))
def test_distances_are_those_of_double_precision(metric, ours, seed, scale):
    vectors = np.random.default_rng(seed).normal(size=(COUNT, WIDTH)) * scale
    assert_right(ours(as_models(vectors)), vectors, metric)


@OURS
@QUICK
@given(seed=st.integers(0, 2**31), apart=st.sampled_from([1e-4, 1e-3, 1e-2]))
def test_models_close_together_are_told_apart(metric, ours, seed, apart):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=WIDTH) + apart * rng.normal(size=(COUNT, WIDTH))
    assert_right(ours(as_models(vectors)), vectors, metric)


@OURS
@QUICK
@given(
    seed=st.integers(0, 2**31),
    tight=st.sampled_from([1e-4, 1e-3, 1e-2, 0.1, 1.0]),
    groups=st.integers(2, 4),
)
def test_groups_far_tighter_than_they_are_apart_are_told_apart(metric, ours, seed, tight, groups):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(groups, WIDTH))[rng.integers(groups, size=COUNT)]
    vectors = vectors + tight * rng.normal(size=(COUNT, WIDTH))
    assert_right(ours(as_models(vectors)), vectors, metric)


@OURS
@QUICK
@given(seed=st.integers(0, 2**31))
def test_groups_within_groups_are_told_apart(metric, ours, seed):
    rng = np.random.default_rng(seed)
    vectors = np.zeros((COUNT, WIDTH))
    for apart, groups in ((1, 2), (1e-1, 4), (1e-2, 6), (1e-3, COUNT)):
        part = rng.normal(size=(groups, WIDTH))[np.arange(COUNT) * groups // COUNT]
        vectors += apart * part
    order = rng.permutation(COUNT)
    assert_right(ours(as_models(vectors[order])), vectors[order], metric)


@pytest.mark.parametrize(
    ("metric", "count", "constants"),
    [
        ("correlation", 1, None),
        ("euclidean", 2, None),
        ("correlation", 3, None),
        ("cosine", 40, IN_PARTS),
    ],
)
def test_any_number_of_clients(metric, count, constants):
    vectors = np.random.default_rng(count).normal(size=(count, 137)) + 1.0
    assert_right(program(metric, constants)(as_models(vectors)), vectors, metric)


@OURS
def test_models_may_differ_much_in_length(metric, ours):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(COUNT, WIDTH)) * 10 ** rng.uniform(-4, 4, (COUNT, 1))
    assert_right(ours(as_models(vectors)), vectors, metric)


@OURS
@QUICK
@given(seed=st.integers(0, 2**31), spread=st.sampled_from([1e-4, 1e-2, 1.0]))
def test_nearly_parallel_models_may_differ_in_length(metric, ours, seed, spread):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=WIDTH) + 1e-4 * rng.normal(size=(COUNT, WIDTH))
    vectors = vectors * np.exp(spread * rng.normal(size=(COUNT, 1)))
    # To be given one length, models are multiplied by numbers that are not powers of 2, which
    # rounds them: to 3e-8 of themselves, where they are 1e-4 apart.
    rounded = 1e-4 * spread if metric in ANGULAR else 0
    assert_right(ours(as_models(vectors)), vectors, metric, max(2e-5, rounded))


@pytest.mark.parametrize("count", [3, 40, 150])
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_models_along_one_line_are_told_apart(metric, count):
    # No few pivots are near them all, and the nearest are 1e-5 times as far apart as the others.
    rng = np.random.default_rng(count)
    places = rng.permutation(np.exp(rng.normal(size=count)))
    vectors = places[:, None] * rng.normal(size=WIDTH)
    assert_right(ALL[metric](as_models(vectors)), vectors, metric, 2e-5)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_models_on_every_scale_are_told_apart(metric):
    # Each is half as long as the one before, so that every scale needs a leader of its own.
    rng = np.random.default_rng(0)
    lengths = 2.0 ** (10 - rng.permutation(40))
    spread = rng.normal(size=(40, 64)) if metric == "cosine" else 0
    vectors = lengths[:, None] * (rng.normal(size=64) + spread)
    assert_right(ALL[metric](as_models(vectors)), vectors, metric, 2e-5)


@QUICK
@given(
    seed=st.integers(0, 2**31),
    tight=st.sampled_from([1e-4, 1e-2, 1.0]),
    apart=st.sampled_from([1.0, 100.0]),
)
def test_correlation_knows_no_mean(seed, tight, apart):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=WIDTH) + tight * rng.normal(size=(COUNT, WIDTH))
    vectors = np.float32(vectors + apart * rng.normal(size=(COUNT, 1)))
    # SciPy's own cancels too, by 1e-16 of a square of 1e4 here.
    exact = vectors.astype(np.longdouble)
    exact -= exact.mean(axis=1, keepdims=True)
    exact /= np.sqrt(np.sum(exact**2, axis=1, keepdims=True))
    wanted = np.sum((exact[:, None] - exact) ** 2, axis=-1) / 2
    got = ALL["correlation"](as_models(vectors))
    np.testing.assert_allclose(got, wanted.astype(np.float64), rtol=2e-5)


def test_no_parameters_make_no_distance():
    full = jnp.asarray(np.random.default_rng(0).normal(size=(3, 20)), jnp.float32)
    got = ALL["euclidean"]([jnp.zeros((3, 0)), full])
    np.testing.assert_allclose(got, in_double(full, "euclidean"), rtol=1e-5, atol=0)
    with pytest.raises(ValueError, match=r"^Distances need models with parameters, but these have"):
        distances.euclidean([jnp.zeros((3, 0))])


@pytest.mark.parametrize("metric", ANGULAR)
def test_angles_know_no_length(metric):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(COUNT, WIDTH))
    stretched = vectors * rng.uniform(0.01, 100, (COUNT, 1))
    if metric == "correlation":
        stretched += 10 * rng.normal(size=(COUNT, 1))
    one, other = (ALL[metric](as_models(some)) for some in (vectors, stretched))
    np.testing.assert_allclose(one, other, rtol=1e-4)
    np.testing.assert_allclose(other, in_double(stretched, metric), rtol=1e-5)


@pytest.mark.parametrize(
    ("metric", "models", "wanted"),
    [
        ("cosine", [[1, 0], [-2, 0], [0, 3]], [[0, 2, 1], [2, 0, 1], [1, 1, 0]]),
        ("correlation", [[1, 2, 3], [-2, -4, -6], [7, 8, 9]], [[0, 2, 0], [2, 0, 2], [0, 2, 0]]),
    ],
)
def test_angles_of_opposite_square_and_empty_models(metric, models, wanted):
    constant = 0.3 if metric == "correlation" else 0.0
    empty = np.broadcast_to([[constant], [0.0]], (2, len(models[0])))
    wanted = np.pad(np.array(wanted, float), (0, 2), constant_values=0.5)
    wanted[3:, 3:] = 0
    pick = np.arange(COUNT) % 5
    vectors = np.tile(np.concatenate([models, empty])[pick], WIDTH // len(models[0]))
    got = ALL[metric](as_models(vectors))
    np.testing.assert_allclose(got, wanted[np.ix_(pick, pick)], atol=1e-6)
    vectors = np.tile(empty[pick % 2], WIDTH // len(models[0]))
    np.testing.assert_array_equal(ALL[metric](as_models(vectors)), np.zeros((COUNT, COUNT)))


@OURS
def test_equal_models_have_no_distance(metric, ours):
    vectors = np.random.default_rng(0).normal(size=(3, WIDTH))[np.arange(COUNT) % 3]
    got = np.asarray(ours(as_models(vectors)))
    same = np.arange(COUNT)[:, None] % 3 == np.arange(COUNT) % 3
    np.testing.assert_allclose(got[same], 0, atol=1e-14)
    assert (got[~same] > 0.5).all()


@OURS
@QUICK
@given(seed=st.integers(0, 2**31), tight=st.sampled_from([1e-3, 1.0]))
def test_clients_permuted_give_distances_permuted(metric, ours, seed, tight):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(2, WIDTH))[np.arange(COUNT) % 2]
    vectors = vectors + tight * rng.normal(size=(COUNT, WIDTH))
    order = rng.permutation(COUNT)
    got, permuted = (ours(as_models(some)) for some in (vectors, vectors[order]))
    np.testing.assert_allclose(permuted, got[np.ix_(order, order)], rtol=1e-5)


@OURS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 1e13, 1e6])
@pytest.mark.parametrize("entries", [slice(5, 6), slice(None)])
@pytest.mark.parametrize("apart", [1e-4, 1.0])
def test_one_client_that_diverged_spoils_nothing_among_the_others(
    metric, ours, bad, entries, apart
):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=WIDTH) + apart * rng.normal(size=(COUNT, WIDTH))
    vectors[0, entries] *= bad
    got = np.asarray(ours(as_models(vectors)))
    np.testing.assert_array_equal(got, got.T)
    assert_right(got[1:, 1:], vectors[1:], metric)
    if not np.isfinite(bad):
        assert not np.isfinite(got[0, 1:]).any()
    assert got[0, 0] == 0


@OURS
def test_clients_that_all_diverged_raise_nothing(metric, ours):
    got = np.asarray(ours(as_models(np.full((COUNT, WIDTH), np.nan))))
    assert np.isnan(got[~np.eye(COUNT, dtype=bool)]).all()


@pytest.mark.parametrize("metric", ["euclidean", "correlation"])
def test_vmap_gives_each_its_own(metric):
    rng = np.random.default_rng(0)
    random = rng.normal(size=(COUNT, WIDTH))
    tight = rng.normal(size=WIDTH) + 1e-4 * random
    groups = rng.normal(size=(2, WIDTH))[np.arange(COUNT) % 2] + 1e-3 * random
    every = (random, tight, groups)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *map(as_models, every))
    for got, vectors in zip(jax.vmap(ALL[metric])(stacked), every, strict=True):
        assert_right(got, vectors, metric)


def test_other_numbers_are_computed_with_as_float32():
    vectors = np.random.default_rng(0).normal(size=(3, 20)) * 3
    half, whole = jnp.asarray(vectors[:, :9], jnp.bfloat16), jnp.asarray(vectors[:, 9:], jnp.int32)
    vectors = np.concatenate([np.asarray(half, np.float32), whole], axis=1)
    assert_right(program("euclidean")({"half": half, "whole": whole}), vectors, "euclidean")


def test_distances_are_float32_where_models_are_float64(float64):
    vectors = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    got = program("correlation")(as_models(vectors, np.float64))
    assert_right(got, vectors, "correlation")


@METRICS
def test_products_ask_for_full_precision_where_the_backend_would_round_them(metric, full_precision):
    # The mean, and the products centred at it and at leaders.
    assert full_precision(ALL[metric], as_models(np.ones((COUNT, WIDTH)))) == 3


@pytest.mark.parametrize(
    ("metric", "count", "width"),
    [
        ("euclidean", 1000, 1_000_000),
        ("correlation", 1000, 1_000_000),
        ("cosine", 3000, 50_000),
    ],
)
def test_memory_is_that_of_the_distances_and_of_a_few_chunks(metric, count, width):
    models = jax.ShapeDtypeStruct((count, width), jnp.float32)
    needs = ALL[metric].lower(models).compile().memory_analysis()
    needed = needs.temp_size_in_bytes + needs.output_size_in_bytes
    assert needed < 4 * (1.2 * count**2 + 5 * policy.CPU_PARAMETERS_COMPARED)
