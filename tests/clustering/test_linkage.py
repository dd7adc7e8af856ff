"""Linkage against SciPy's, in float64, wherever the numbers leave no doubt about the merges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from partitions_alike import failure
from scipy.spatial.distance import pdist, squareform

from demjax.clustering import BACKENDS, METHODS
from demjax.clustering.linkage import linkage
from demjax.clustering.neighbor_chain import stages

METHOD = pytest.mark.parametrize("method", METHODS)
BACKEND = pytest.mark.parametrize("backend", BACKENDS)
COUNTS = (2, 3, 10, 40, 130)
SEEDS = st.integers(0, 2**31)
QUICK = settings(deadline=None, max_examples=30)
FEW = settings(deadline=None, max_examples=12)


@functools.cache
def compiled(method, backend="xla"):
    return jax.jit(functools.partial(linkage, method=method, backend=backend))


def random_distances(seed, count, width=3):
    points = np.random.default_rng(seed).normal(size=(count, width))
    return squareform(pdist(points)).astype(np.float32)


def scipys(distances, method):
    pairs = squareform(np.asarray(distances, np.float64), checks=False)
    return scipy.cluster.hierarchy.linkage(pairs, method)


def assert_same_heights(got, distances, method):
    got, wanted = np.asarray(got), scipys(distances, method)
    assert got.shape == wanted.shape
    assert got.dtype == np.float32
    assert scipy.cluster.hierarchy.is_valid_linkage(got.astype(np.float64))
    assert (np.diff(got[:, 2]) >= 0).all()
    np.testing.assert_allclose(got[:, 2], wanted[:, 2], rtol=1e-5)


def assert_same_merges(got, distances, method):
    assert_same_heights(got, distances, method)
    np.testing.assert_array_equal(
        np.asarray(got)[:, [0, 1, 3]], scipys(distances, method)[:, [0, 1, 3]]
    )


def leaves_room(distances, method):
    """Whether no two merges are so near that float32 could turn them round."""
    heights = scipys(distances, method)[:, 2]
    return (np.diff(heights) > 3e-6 * heights[1:]).all()


def test_the_largest_counts_here_go_through_compaction():
    assert stages(130) == [130, 65]
    assert stages(300) == [300, 150, 75]


# ---- the merges are SciPy's ---------------------------------------------------------------------


@METHOD
@QUICK
@given(seed=SEEDS, count=st.sampled_from(COUNTS), width=st.integers(1, 10))
@example(seed=0, count=130, width=2)
def test_merges_are_scipys(method, seed, count, width):
    distances = random_distances(seed, count, width)
    check = assert_same_merges if leaves_room(distances, method) else assert_same_heights
    check(compiled(method)(distances), distances, method)


@METHOD
def test_merges_are_scipys_when_compacted_twice(method):
    distances = random_distances(13, 300)
    assert leaves_room(distances, method)
    assert_same_merges(compiled(method)(distances), distances, method)


@METHOD
@FEW
@given(seed=SEEDS, count=st.sampled_from((3, 10)))
def test_scipys_backend_is_scipy(method, seed, count):
    distances = random_distances(seed, count)
    assert_same_merges(compiled(method, "scipy")(distances), distances, method)


@METHOD
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30])
def test_merges_are_scipys_whatever_the_unit(method, scale):
    distances = (random_distances(5, 40).astype(np.float64) * scale).astype(np.float32)
    assert_same_merges(compiled(method)(distances), distances, method)


def test_average_linkage_inside_the_program_is_what_is_asked_for_by_default():
    distances = random_distances(0, 10)
    np.testing.assert_array_equal(linkage(distances), compiled("average", "xla")(distances))
    assert_same_merges(linkage(distances), distances, "average")


# ---- ties ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["single", "complete"])
@QUICK
@given(
    seed=SEEDS,
    count=st.sampled_from(COUNTS),
    metric=st.sampled_from(["cityblock", "chebyshev"]),
    side=st.integers(1, 6),
)
def test_with_ties_that_float32_keeps_heights_are_scipys(method, seed, count, metric, side):
    points = np.random.default_rng(seed).integers(0, side + 1, (count, 2))
    distances = squareform(pdist(points, metric)).astype(np.float32)
    assert_same_heights(compiled(method)(distances), distances, method)


def in_groups(rng, count, kinds=4):
    """Points in few places far apart, so that only duplicates are as near as others."""
    places = np.array([0.0, 1.0, 4.0, 13.0])[:kinds]
    return places[rng.integers(kinds, size=count)][:, None]


@METHOD
@QUICK
@given(seed=SEEDS, count=st.sampled_from(COUNTS))
def test_duplicates_are_merged_at_no_height(method, seed, count):
    points = np.random.default_rng(seed).normal(size=(max(2, count // 3), 3))
    chosen = np.random.default_rng(seed + 1).integers(len(points), size=count)
    distances = squareform(pdist(points[chosen])).astype(np.float32)
    assert_same_heights(compiled(method)(distances), distances, method)


@METHOD
@QUICK
@given(seed=SEEDS, count=st.sampled_from(COUNTS))
def test_a_few_places_with_many_clients_each_have_scipys_heights(method, seed, count):
    points = in_groups(np.random.default_rng(seed), count)
    distances = squareform(pdist(points)).astype(np.float32)
    assert_same_heights(compiled(method)(distances), distances, method)


@METHOD
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("apart", [0.0, 1.0])
def test_clients_all_as_far_from_one_another_have_scipys_heights(method, count, apart):
    distances = np.float32(apart) * (1 - np.eye(count, dtype=np.float32))
    assert_same_heights(compiled(method)(distances), distances, method)


# ---- traced -------------------------------------------------------------------------------------


@METHOD
def test_merges_are_scipys_for_many_at_once_and_in_a_loop(method):
    distances = np.stack([random_distances(seed, 10) for seed in range(4)])

    def both(distances):
        merge = functools.partial(linkage, method=method)
        _, looped = jax.lax.scan(lambda carry, one: (carry, merge(one)), 0, distances)
        return jax.vmap(merge)(distances), looped

    for got in jax.jit(both)(distances):
        for merges, matrix in zip(got, distances, strict=True):
            assert_same_merges(merges, matrix, method)


@BACKEND
def test_another_matrix_of_the_same_shape_is_not_compiled_again(backend):
    merge = jax.jit(functools.partial(linkage, backend=backend))
    for seed in range(3):
        merge(random_distances(seed, 10))
    assert merge._cache_size() == 1


@METHOD
@BACKEND
def test_one_client_has_nothing_to_merge(method, backend):
    assert linkage(jnp.zeros((1, 1)), method, backend).shape == (0, 4)
    assert compiled(method, backend)(jnp.zeros((1, 1))).shape == (0, 4)


# ---- what cannot be -----------------------------------------------------------------------------


@METHOD
@BACKEND
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("clients", [[2], [0, 4, 5], [*range(10)]], ids=str)
def test_inside_a_program_what_is_not_finite_leaves_a_tree_that_tells(
    method, backend, bad, clients
):
    distances = random_distances(0, 10)
    distances[clients] = bad
    distances[:, clients] = bad
    merges = np.asarray(compiled(method, backend)(distances), np.float64)
    assert np.isfinite(merges[:-1]).all()
    assert np.isfinite(merges[-1, [0, 1, 3]]).all()
    assert merges[-1, 2] == np.inf
    merges[-1, 2] = 1e30
    assert scipy.cluster.hierarchy.is_valid_linkage(merges)


@BACKEND
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_inside_a_program_what_is_not_finite_counts_as_the_largest_there_is(scale, backend):
    distances = np.float32(scale) * random_distances(0, 10)
    broken, mended = distances.copy(), distances.copy()
    broken[2] = broken[:, 2] = np.nan
    mended[2] = mended[:, 2] = np.delete(np.delete(distances, 2, 0), 2, 1).max()
    mended[2, 2] = 0
    got = np.array(compiled("average", backend)(broken))
    assert got[-1, 2] == np.inf
    got[-1, 2] = scipys(mended, "average")[-1, 2]
    assert_same_heights(got, mended, "average")


@BACKEND
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1.0])
def test_outside_a_program_a_wrong_distance_names_its_clients(backend, bad):
    distances = random_distances(0, 10)
    distances[3, 7] = distances[7, 3] = bad
    with pytest.raises(ValueError, match=rf"from client 3 to client 7 it is {bad}, and back"):
        linkage(jnp.asarray(distances), backend=backend)


@pytest.mark.parametrize("method", ["centroid", "Average", ""])
def test_an_unknown_method_is_refused_with_those_there_are(method):
    with pytest.raises(ValueError, match=rf"{method}.*unknown; .*possible are .*average.*weighted"):
        linkage(jnp.zeros((3, 3)), method)


def test_an_unknown_backend_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"'abacus' is unknown; possible are xla, scipy\.$"):
        linkage(jnp.zeros((3, 3)), backend="abacus")


@pytest.mark.parametrize("shape", [(3, 4), (3,), (2, 3, 3)], ids=str)
def test_distances_that_are_not_a_square_are_refused(shape):
    with pytest.raises(ValueError, match="needs a square matrix, but its shape is"):
        linkage(jnp.zeros(shape))


@METHOD
def test_distances_that_are_not_the_same_both_ways_are_told_and_never_hang(method):
    spoiled = random_distances(0, 8).astype(np.float32) + np.tril(
        np.full((8, 8), 5, np.float32), -1
    )
    with pytest.raises(ValueError, match=r"from client 0 to client 1 it is .* and back .*\.$"):
        linkage(jnp.asarray(spoiled), method)
    merges = np.asarray(jax.jit(linkage, static_argnums=1)(spoiled, method), np.float64)
    assert scipy.cluster.hierarchy.is_valid_linkage(merges)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("method", METHODS)
def test_double_precision_elsewhere_changes_no_type(method):
    distances = squareform(pdist(np.random.default_rng(0).normal(size=(150, 3))))
    got = jax.jit(functools.partial(linkage, method=method))(distances.astype(np.float32))
    assert got.dtype == jnp.float32
    wanted = scipy.cluster.hierarchy.linkage(squareform(distances), method)
    np.testing.assert_allclose(got[:, 2], wanted[:, 2], rtol=1e-5)


@pytest.mark.parametrize("itself", [np.nan, 5.0])
def test_a_client_that_is_apart_from_itself_is_refused(itself):
    distances = np.ones((3, 3), np.float32) - np.eye(3, dtype=np.float32)
    distances[1, 1] = itself
    with pytest.raises(ValueError, match=r"0 from a client to itself, .* client 1 to client 1 it"):
        linkage(jnp.asarray(distances))


@METHOD
@pytest.mark.parametrize("dtype", ["<i8", ">i8", "<u8", ">f8", "<u4", "list"])
def test_distances_of_any_type_are_those_that_were_given(method, dtype):
    whole = np.array([[0, 2**32 + 5, 10], [2**32 + 5, 0, 20], [10, 20, 0]])
    if dtype == "<u4":
        whole = np.minimum(whole, 3_000_000_000)
    given = whole.tolist() if dtype == "list" else whole.astype(dtype)
    got = np.asarray(linkage(given, method), np.float64)
    np.testing.assert_allclose(got, scipys(whole, method), rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.array([[0, -(2**40)], [-(2**40), 0]]), "client 1 it is -1099511627776, and back"),
        (np.array([[0, 1e300], [1e300, 0]]), "it is 1e+300"),
        (np.array([[0, np.nan], [1, 0]]), "it is nan, and back 1.0"),
        (np.array([[0, 1j], [1j, 0]]), "complex128"),
        (np.array([[0, None], [None, 0]]), "object"),
        ([[0, 1], [1]], "one length"),
        (np.array([[0, 1e-50], [1e-50, 0]]), "1e-50 is the largest"),
    ],
)
def test_distances_that_single_precision_does_not_hold_are_refused_as_given(given, said):
    failure(lambda: linkage(given), said)
