import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from trees import assert_attached, assert_well_formed, random_case, random_tree

from demjax.base import NO_GROUP
from demjax.clustering import METHODS, cosine, cut_depth, euclidean
from demjax.clustering.cuts import counts, cut_counts, cut_heights, depth, heights
from demjax.clustering.group_sizes import attach_small
from demjax.clustering.linkage import linkage
from demjax.hierarchy import from_groups

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


# Cuts by height and by number of groups, against SciPy's flat clusters


# Much is compiled here and little run: without optimization, that takes half the time.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
SEEDS = st.integers(0, 2**32 - 1)
HEIGHTS = jax.jit(cut_heights, static_argnums=2)
DEPTH = jit(lambda *given: cut_depth(*given[:2], min_size=given[2]), static_argnums=(1, 2))
COUNTS = jit(cut_counts, static_argnums=1)
ATTACH = jax.jit(attach_small, static_argnums=2)
COUNTED = [(1, (2, 1)), (2, (3, 1)), (3, (3, 2)), (24, (12, 6, 3)), (24, (30, 5, 5))]


def flat(merges, t, criterion):
    """SciPy's flat clusters, numbered in the order of their first clients."""
    if len(merges) == 0:
        return [0]
    labels = scipy.cluster.hierarchy.fcluster(merges.astype(float), t, criterion=criterion)
    order = list(dict.fromkeys(labels))
    return [order.index(label) for label in labels]


@QUICK
@given(
    seed=SEEDS,
    shape=st.sampled_from([(1, 1), (2, 2), (3, 2), (24, 6), (24, 24)]),
    method=st.sampled_from(METHODS),
)
def test_cut_by_heights_makes_scipys_flat_clusters(seed, shape, method):
    count, slots = shape
    merges, _ = random_case(seed, count, method)
    rng = np.random.default_rng(seed)
    own = [*merges[:, 2], 0.0, 1e6]  # a height itself is in
    thresholds = np.float32(
        [rng.choice([rng.choice(own), rng.uniform(0, max(own[:-1]) + 1)]) for _ in range(3)]
    )
    cut = HEIGHTS(merges, thresholds, slots)
    assert cut.size.shape == (4, slots)
    assert_well_formed(cut)
    for level in range(3):
        wanted = flat(merges, thresholds[: level + 1].max(), "distance")
        if max(wanted) >= slots:
            wanted = flat(merges, slots, "maxclust")
        assert cut.groups[level].tolist() == wanted


@QUICK
@given(
    seed=SEEDS,
    shape=st.sampled_from(COUNTED),
    method=st.sampled_from(METHODS),
)
def test_cut_by_counts_makes_scipys_flat_clusters(seed, shape, method):
    count, groups = shape
    merges, _ = random_case(seed, count, method)
    cut = COUNTS(merges, groups)
    assert cut.size.shape == (len(groups) + 1, max(groups))
    assert_well_formed(cut)
    for row, most in zip(cut.groups, groups, strict=False):
        assert row.tolist() == flat(merges, most, "maxclust")


def test_cuts_of_five_clients_by_hand():
    merges = np.float32([[0, 3, 1, 2], [1, 4, 2, 2], [2, 5, 3, 3], [6, 7, 9, 5]])
    cut = HEIGHTS(merges, [0.5, 2, 8.9, 9], 8)
    assert cut.groups.tolist() == [
        [0, 1, 2, 3, 4],
        [0, 1, 2, 0, 1],
        [0, 1, 0, 0, 1],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert cut.size[1].tolist() == [2, 2, 1, 0, 0, 0, 0, 0]
    assert COUNTS(merges, (4, 2)).groups.tolist() == [
        [0, 1, 2, 0, 3],
        [0, 1, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ]


def test_ties_at_the_cut_leave_fewer_groups():
    merges = np.float32([[0, 1, 1, 2], [2, 3, 1, 2], [4, 5, 1, 4]])
    assert COUNTS(merges, (4, 3, 2)).groups.tolist() == [[0, 1, 2, 3], *[[0, 0, 0, 0]] * 3]


def test_too_few_slots_raise_the_height():
    merges = np.float32([[0, 1, 1, 2], [2, 3, 2, 2], [4, 5, 3, 4]])
    cut = HEIGHTS(merges, [0, 1, 2], 3)
    assert cut.groups.tolist() == [[0, 0, 1, 2], [0, 0, 1, 2], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_thresholds_that_descend_are_raised_and_may_be_traced():
    merges = np.float32([[0, 1, 1, 2], [2, 3, 2, 2], [4, 5, 3, 4]])
    wanted = [[0, 0, 1, 2], [0, 0, 1, 2], [0, 0, 0, 0]]
    traced = jit(lambda low, high: cut_heights(merges, [low, high], 4))
    assert traced(1.5, 0.5).groups.tolist() == wanted
    assert traced(0.5, 1.5).groups.tolist() == [[0, 1, 2, 3], *wanted[1:]]
    sweep = jit(jax.vmap(lambda t: heights([t], slots=4).take(merges, None).size[0]))
    assert (np.asarray(sweep(jnp.asarray([0.0, 1, 2, 3]))) > 0).sum(axis=1).tolist() == [4, 3, 2, 1]


def split_apart(merges, levels, min_size):
    """The cut by depth that passes over small splits, by recursion over SciPy's matrix."""
    count = len(merges) + 1
    rows = np.full((levels + 1, count), NO_GROUP)

    def leaves(node):
        if node < count:
            return [node]
        left, right = merges[node - count, :2].astype(int)
        return leaves(left) + leaves(right)

    def place(node, level, slot):
        rows[level, leaves(node)] = slot
        while level > 0 and node >= count:
            left, right = merges[node - count, :2].astype(int)
            if min(len(leaves(left)), len(leaves(right))) >= min_size:
                place(left, level - 1, 2 * slot)
                place(right, level - 1, 2 * slot + 1)
                return
            node = right if len(leaves(right)) > len(leaves(left)) else left

    place(2 * count - 2, levels, 0)
    return rows


@functools.cache
def taking(kind, min_size):
    cuts = {
        "depth 3": lambda: depth(3, min_size=min_size),
        "counts": lambda: counts((12, 6, 3), min_size=min_size),
        "heights": lambda: heights((1, 4, 10), slots=16, min_size=min_size),
    }
    cut = cuts[kind]()
    return cut, jit(cut.take)


@QUICK
@given(
    seed=SEEDS,
    method=st.sampled_from(METHODS),
    case=st.sampled_from(
        [("depth 3", 24, 3), ("counts", 24, 2), ("heights", 24, 3), ("counts", 3, 2)]
    ),
)
def test_every_cut_nests_and_keeps_to_the_smallest_size(seed, method, case):
    kind, count, min_size = case
    merges, distances = random_case(seed, count, method)
    cut, take = taking(kind, min_size)
    got = take(merges, distances)
    assert got.size.shape == (cut.levels + 1, cut.slots)
    assert_well_formed(got, min_size, balanced=True)
    if kind == "depth 3":
        before = split_apart(merges, cut.levels, min_size)
    else:
        before = taking(kind, 1)[1](merges, None).groups
    assert_attached(got.groups, before, distances, min_size)


@QUICK
@given(seed=SEEDS, shape=st.sampled_from([(1, 2), (3, 2), (24, 2), (24, 5)]))
def test_cut_by_depth_passes_over_small_splits(seed, shape):
    count, min_size = shape
    merges, _ = random_case(seed, count, METHODS[seed % len(METHODS)])
    got = DEPTH(merges, 3, min_size)
    np.testing.assert_array_equal(got.groups, split_apart(merges, 3, min_size))
    assert_well_formed(got, min_size)


def chained(line):
    """The dendrogram and the distances of clients on a line, by single linkage."""
    distances = squareform(pdist(np.asarray(line)[:, None])).astype(np.float32)
    return linkage(jnp.asarray(distances), "single"), jnp.asarray(distances)


def test_a_chain_has_no_split_with_two_large_sides():
    merges, distances = chained(np.cumsum(np.arange(24.0)))
    got = taking("depth 3", 3)[1](merges, distances)
    assert got.size.sum(axis=1).tolist() == [0, 0, 0, 24]
    assert (np.asarray(got.groups[:-1]) == NO_GROUP).all()


def test_what_a_chain_peels_off_joins_the_nearest_group():
    # Two chains of ten, one after the other, and then four clients at growing gaps.
    chain = np.cumsum(np.linspace(1, 2, 10))
    merges, distances = chained([*chain, *(60 + chain), 200, 400, 700, 1100])
    published = taking("depth 3", 1)[1](merges, None)
    assert published.groups.tolist() == [
        [*[7] * 21, *[NO_GROUP] * 3],
        [*[3] * 22, *[NO_GROUP] * 2],
        [*[1] * 23, NO_GROUP],
        [0] * 24,
    ]
    got = taking("depth 3", 3)[1](merges, distances)
    assert got.groups[2].tolist() == [*[0] * 10, *[1] * 14]
    assert (np.asarray(got.groups[:2]) == NO_GROUP).all()


def test_one_is_no_smallest_size():
    hierarchy = from_groups(random_tree(3, 24, 3, 7), 7)
    assert attach_small(hierarchy, None, 1) is hierarchy
    merges, _ = random_case(5, 24, "average")
    take = taking("depth 3", 1)[1]
    np.testing.assert_array_equal(take(merges, None).groups, CUT(merges, 3).groups)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_a_client_that_diverged_does_not_scatter_the_others(bad):
    line = np.array([0.0, 1, 2, 10, 11, 12, 50, 13])
    distances = np.abs(line[:, None] - line).astype(np.float32)
    distances[6] = distances[:, 6] = bad
    distances[6, 6] = 0
    hierarchy = from_groups([[0, 0, 0, 1, 1, 1, 1, 2], [0] * 8], 3)
    got = ATTACH(hierarchy, distances, 3)
    row = got.groups[0].tolist()
    assert row[:7] == [0, 0, 0, 1, 1, 1, 1]
    assert_well_formed(got, 3, True)


def test_sums_that_overflow_leave_everybody_in_a_group():
    hierarchy = from_groups([[2, 2, 2, 1, NO_GROUP, 0, 0, 2], [0] * 8], 3)
    got = ATTACH(hierarchy, np.full((8, 8), 3e38, np.float32), 3)
    assert got.groups[0].tolist() == [2] * 8


def test_products_ask_for_full_precision(full_precision):
    hierarchy = from_groups(random_tree(1, 9, 2, 4), 4)
    attach = jit(functools.partial(attach_small, min_size=2))
    assert full_precision(attach, hierarchy, jnp.zeros((9, 9))) == 1


@pytest.mark.parametrize(("kind", "min_size"), [("depth 3", 3), ("counts", 2)])
def test_many_dendrograms_are_cut_at_once(kind, min_size):
    cases = [random_case(seed, 24, METHODS[seed % len(METHODS)]) for seed in range(6)]
    merges, distances = (jnp.stack(part) for part in zip(*cases, strict=True))
    cut, take = taking(kind, min_size)
    together = jit(jax.vmap(cut.take))(merges, distances)
    for number in range(6):
        alone = take(merges[number], distances[number])
        np.testing.assert_array_equal(together.groups[number], alone.groups)
        np.testing.assert_array_equal(together.size[number], alone.size)


def test_no_levels_leave_the_root_alone():
    merges, distances = random_case(0, 9, "average")
    for cut in (depth(0, min_size=3), counts(()), heights((), min_size=2)):
        assert cut.levels == 0
        got = jit(cut.take)(merges, distances)
        assert got.groups.tolist() == [[0] * 9]
        assert got.size.shape == (1, cut.slots)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: depth(-1), r"levels as 0 to 20, but -1 was given\.$"),
        (lambda: depth(2, min_size=0), r"min_size as 1 or more, but 0 was given\.$"),
        (lambda: counts((3, 0)), r"groups as 1 or more, but 0 was given\.$"),
        (lambda: counts((3, 6)), r"do not increase from the lowest .* but \(3, 6\) were given\.$"),
        (lambda: cut_counts(np.zeros((1, 4)), (1, 2)), "do not increase"),
        (lambda: counts((3,), min_size=-2), "min_size as 1 or more, but -2 was given"),
        (lambda: heights((-0.5,)), r"heights as 0 or more, but -0\.5 was given\.$"),
        (lambda: heights((float("nan"),)), "heights as 0 or more, but nan was given"),
        (lambda: heights([2.0, 1.0]), r"do not decrease .* but \(2\.0, 1\.0\) were given\.$"),
        (lambda: counts("12"), "numbers of groups in a sequence, .* but '12' was given"),
        (lambda: counts(12), "numbers of groups in a sequence, .* but 12 was given"),
        (lambda: counts((1.5,)), r"numbers .* that are whole .* but 1\.5 was given"),
        (lambda: counts(np.array([3, 0])), "numbers of groups of at least 1, but 0 was given"),
        (lambda: cut_counts(np.zeros((1, 4)), "12"), "numbers of groups in a sequence"),
        (lambda: cut_counts(np.zeros((1, 4)), (2.0,)), r"that are whole .* but 2\.0 was given"),
        (lambda: cut_heights(np.zeros((1, 4)), (0.5,), 0), "slots of at least 1, but 0 was given"),
        (lambda: cut_heights(np.zeros((1, 4)), (0.5,), 2.5), r"slots that are whole .* 2\.5 was"),
        (lambda: cut_depth(np.zeros((1, 4)), 1.5), r"levels that are whole .* but 1\.5 was given"),
        (lambda: cut_depth(np.zeros((1, 4)), -1), "levels of at least 0, but -1 was given"),
        (lambda: cut_depth(np.zeros((1, 4)), 1, min_size=0), "min_size of at least 1, but 0"),
        (lambda: heights("12"), "heights in a sequence, .* but '12' was given"),
        (lambda: heights(("1",)), "heights that are numbers, but '1' was given"),
        (lambda: heights((np.float32(-1),)), r"heights of at least 0, but -1\.0 was given"),
        (lambda: heights((1.0,), slots=0), "slots as 1 or more, but 0 was given"),
        (lambda: heights((1.0,), min_size=0), "min_size as 1 or more, but 0 was given"),
        (lambda: attach_small(from_groups([[0, 0]], 1), None, 0), "min_size of at least 1"),
        (lambda: attach_small(from_groups([[0, 0]], 1), None, 2), r"\(2, 2\), but none were given"),
        (
            lambda: attach_small(from_groups([[0, 0]], 1), jnp.zeros((3, 3)), 2),
            r"shape \(2, 2\), but those of shape \(3, 3\) were given\.$",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
