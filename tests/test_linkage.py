import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy
from hypothesis import given, settings
from hypothesis import strategies as st
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
