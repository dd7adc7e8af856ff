"""The measures against loops over clients, groups and examples in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demjax.base import NO_GROUP, Hierarchy, Models, Task
from demjax.metrics import measure
from demjax.metrics.scoring import pooled_test_data

FEATURES, CLASSES, POOL = 4, 3, 30
TESTS = (  # what each client is tested on: some on nothing, some on the same
    (3, 17, 8),
    (),
    (20, 21, 22, 23, 29),
    (0,),
    (),
    (3, 5, 0, 28),
)
COUNT, LEVELS, SLOTS = len(TESTS), 3, 4
FIELDS = (
    *("client_spe", "client_gen", "group_spe", "group_gen", "c_spe", "c_gen"),
    *("g_spe", "g_gen", "global_score", "diverged"),
)
SETTINGS = pytest.mark.parametrize(
    ("block", "chunk"), [(1, 1), (3, 2), (128, 64), (3, 64), (128, None)]
)


def partly_right():
    """Scores between 0 and 1, so that no two sums are the same by chance."""

    def score(params, x, y):
        answer = (x @ params["w"] + params["b"])[jnp.arange(y.shape[0]), y]
        return jnp.where(jnp.isfinite(answer), jax.nn.sigmoid(answer), 0.0)

    return Task(init=None, loss=None, score=score)


@functools.cache
def pool():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(POOL, FEATURES)).astype(np.float32)
    return x, rng.integers(CLASSES, size=POOL)


@pytest.fixture(scope="module")
def clients(ragged_clients):
    return ragged_clients(*pool(), [[1]] * COUNT, TESTS, test_width=7, padding=POOL - 1)


@pytest.fixture(scope="module")
def take(clients):
    """A function that makes the measures for a size of block and chunk, once each."""

    @functools.cache
    def make(block, chunk):
        return jax.jit(measure(partly_right(), clients, block=block, chunk=chunk))

    return make


def hierarchy_of(groups):
    groups = np.array(groups)
    size = [[np.sum(row == slot) for slot in range(SLOTS)] for row in groups]
    return Hierarchy(jnp.asarray(groups, jnp.int32), jnp.asarray(size, jnp.int32))


def random_models(seed, groups=None):
    rng = np.random.default_rng(seed)
    if groups is None:
        groups = rng.integers(NO_GROUP, SLOTS, (LEVELS, COUNT))
        groups[-1] = 0

    def models(*axes):
        w, b = rng.normal(size=(*axes, FEATURES, CLASSES)), rng.normal(size=(*axes, CLASSES))
        return {"w": jnp.asarray(w, jnp.float32), "b": jnp.asarray(b, jnp.float32)}

    return Models(models(COUNT), models(LEVELS, SLOTS), hierarchy_of(groups))


def model_at(stacked, *where):
    """One of the stacked models, in float64."""
    return {name: np.asarray(leaf, np.float64)[where] for name, leaf in stacked.items()}


def scores_by_loop(params, examples):
    x, y = pool()
    scores = []
    for example in examples:
        answer = params["b"][y[example]]
        for feature in range(FEATURES):
            answer += x[example, feature] * params["w"][feature, y[example]]
        scores.append(1 / (1 + np.exp(-answer)) if np.isfinite(answer) else 0.0)
    return scores


def mean_or_nan(scores):
    return sum(scores) / len(scores) if scores else np.nan


def measures_by_loop(models):
    everything = [example for mine in TESTS for example in mine]
    groups = np.asarray(models.hierarchy.groups)
    own = [scores_by_loop(model_at(models.client, n), TESTS[n]) for n in range(COUNT)]
    gen = [
        mean_or_nan(scores_by_loop(model_at(models.client, n), everything)) for n in range(COUNT)
    ]
    group_spe, group_gen = np.full((2, LEVELS, SLOTS), np.nan)
    g_spe, g_gen = np.full((2, LEVELS), np.nan)
    for level in range(LEVELS):
        for mean, value in ((g_spe, group_spe), (g_gen, group_gen)):
            total, whole = 0.0, 0
            for slot in range(SLOTS):
                members = [n for n in range(COUNT) if groups[level, n] == slot]
                tested = [example for n in members for example in TESTS[n]]
                examples = tested if mean is g_spe else everything
                if members and examples:
                    params = model_at(models.group, level, slot)
                    value[level, slot] = mean_or_nan(scores_by_loop(params, examples))
                    total += len(members) * value[level, slot]
                    whole += len(members)
            mean[level] = total / whole if whole else np.nan
    finite = [
        all(np.isfinite(np.asarray(leaf[n])).all() for leaf in models.client.values())
        for n in range(COUNT)
    ]
    return {
        "client_spe": [mean_or_nan(mine) for mine in own],
        "client_gen": gen,
        "group_spe": group_spe,
        "group_gen": group_gen,
        "c_spe": mean_or_nan([score for mine in own for score in mine]),
        "c_gen": np.mean(gen),
        "g_spe": g_spe,
        "g_gen": g_gen,
        "global_score": mean_or_nan(scores_by_loop(model_at(models.group, -1, 0), everything)),
        "diverged": finite.count(False),
    }


def assert_measures(got, wanted):
    for name in FIELDS:
        one, other = np.asarray(getattr(got, name)), np.asarray(wanted[name])
        assert one.shape == other.shape, name
        np.testing.assert_allclose(one, other, rtol=2e-6, err_msg=name)


@SETTINGS
def test_measures_are_sums_over_clients_groups_and_examples(take, block, chunk):
    @settings(deadline=None, max_examples=8)
    @given(seed=st.integers(0, 2**31))
    def check(seed):
        models = random_models(seed)
        got = take(block, chunk)(models)
        assert_measures(got, measures_by_loop(models))
        np.testing.assert_array_equal(got.hierarchy.groups, models.hierarchy.groups)
        np.testing.assert_array_equal(got.hierarchy.size, models.hierarchy.size)

    check()


RAGGED = [
    [1, NO_GROUP, 1, NO_GROUP, NO_GROUP, NO_GROUP],
    [0, 3, 0, 0, 3, NO_GROUP],  # group 3 holds only clients without test data
    [0] * COUNT,
]


def test_who_has_no_test_data_has_no_own_score_and_counts_in_no_sum(take):
    got = take(3, 2)(random_models(0, RAGGED))
    np.testing.assert_array_equal(np.isnan(got.client_spe), [not mine for mine in TESTS])
    assert np.isfinite(got.client_gen).all()
    assert np.isfinite(got.c_spe)
    assert np.isnan(got.group_spe[1, 3])
    assert np.isfinite(got.group_gen[1, 3])
    np.testing.assert_allclose(got.g_spe[1], got.group_spe[1, 0], rtol=1e-6)
    wanted = (3 * got.group_gen[1, 0] + 2 * got.group_gen[1, 3]) / 5
    np.testing.assert_allclose(got.g_gen[1], wanted, rtol=1e-6)


def test_a_level_without_groups_has_no_measure(take):
    groups = [[NO_GROUP] * COUNT, *RAGGED[1:]]
    got = take(3, 2)(random_models(0, groups))
    np.testing.assert_array_equal(np.isnan(got.g_spe), [True, False, False])
    np.testing.assert_array_equal(np.isnan(got.g_gen), [True, False, False])
    assert np.isnan(got.group_gen[0]).all()


def test_measures_of_the_root_are_the_global_score(take):
    got = take(3, 2)(random_models(1))
    for one in (got.g_spe[-1], got.g_gen[-1], got.group_spe[-1, 0], got.group_gen[-1, 0]):
        np.testing.assert_allclose(one, got.global_score, rtol=1e-6)


@pytest.mark.parametrize(("block", "chunk"), [(1, 1), (3, 2)])
def test_a_model_that_is_not_finite_counts_as_diverged_and_spoils_no_other(take, block, chunk):
    models = random_models(2, RAGGED)
    client = {
        "w": models.client["w"].at[2].set(jnp.nan),
        "b": models.client["b"].at[4, 1].set(jnp.inf).at[2, 0].set(-jnp.inf),
    }
    group = jax.tree.map(lambda leaf: leaf.at[0, 1].set(jnp.nan), models.group)
    broken = Models(client, group, models.hierarchy)
    got = take(block, chunk)(broken)
    assert got.diverged == 2
    assert got.client_gen[2] == 0
    assert got.group_gen[0, 1] == 0
    assert_measures(got, measures_by_loop(broken))


def test_what_stands_in_empty_slots_is_not_measured(take):
    models = random_models(3, RAGGED)
    empty = np.asarray(models.hierarchy.size) == 0
    group = jax.tree.map(lambda leaf: leaf.at[empty].set(jnp.nan), models.group)
    one, other = take(3, 2)(models), take(3, 2)(models._replace(group=group))
    np.testing.assert_array_equal(np.isnan(one.group_gen), empty)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_the_data_may_be_an_argument_of_the_program(take, clients):
    models = random_models(4)
    assert_measures(take(3, 2)(models, clients), measures_by_loop(models))
    other = clients._replace(x=-clients.x)
    wanted = jax.jit(measure(partly_right(), other, block=3, chunk=2))(models)
    got = take(3, 2)(models, other)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(got, name), getattr(wanted, name), rtol=1e-6)


@pytest.mark.parametrize("block", [1, 3, 4, 13, 128])
def test_the_pool_holds_each_clients_test_examples_and_whose_they_are(clients, block):
    index, owner = pooled_test_data(clients, block)
    examples = [example for mine in TESTS for example in mine]
    owners = [number for number, mine in enumerate(TESTS) for _ in mine]
    blocks = -(-len(examples) // block)
    width = -(-len(examples) // blocks)
    assert width <= block
    assert index.shape == owner.shape == (blocks, width)
    assert index.ravel()[: len(examples)].tolist() == examples
    assert owner.ravel()[: len(examples)].tolist() == owners
    assert (owner.ravel()[len(examples) :] == COUNT).all()
    assert (index >= 0).all()
    assert (index < POOL).all()


def test_nothing_to_measure_with_is_refused(clients, ragged_clients):
    with pytest.raises(ValueError, match="at least 1, but 0 was given"):
        measure(partly_right(), clients, block=0)
    with pytest.raises(ValueError, match="chunk of at least 1 model, but -1 was given"):
        measure(partly_right(), clients, chunk=-1)
    untested = ragged_clients(*pool(), [[1]] * 2, [[], []])
    with pytest.raises(ValueError, match="no client has any"):
        measure(partly_right(), untested)


KIND_OF = {
    "client": ("client_spe", "client_gen", "c_spe", "c_gen"),
    "global": ("global_score",),
}


@pytest.mark.parametrize(
    "asked", [("client",), ("group",), ("global",), ("global", "client"), ("group", "global")]
)
def test_what_is_not_asked_for_is_nan_and_all_else_as_if_all_were(take, clients, asked):
    models = random_models(5, RAGGED)
    every = take(3, 2)(models)
    some = jax.jit(measure(partly_right(), clients, measures=asked, block=3, chunk=2))(models)
    for kind, names in KIND_OF.items():
        for name in names:
            wanted = np.asarray(getattr(every, name))
            wanted = wanted if kind in asked else np.full_like(wanted, np.nan)
            np.testing.assert_allclose(getattr(some, name), wanted, rtol=1e-6, err_msg=name)
    for name in ("group_spe", "group_gen", "g_spe", "g_gen"):
        wanted = np.array(getattr(every, name))
        if "group" not in asked:
            wanted[:-1] = np.nan
        if "global" not in asked:
            wanted[-1] = np.nan
        np.testing.assert_allclose(getattr(some, name), wanted, rtol=1e-6, err_msg=name)
    shapes = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), one) for one in (every, some)]
    assert shapes[0] == shapes[1]
    jax.tree.map(np.testing.assert_array_equal, some.structure, every.structure)
    assert some.diverged == every.diverged


def test_a_call_may_ask_for_fewer_measures(take, clients):
    taking = measure(partly_right(), clients, measures=("global", "client"), block=3, chunk=2)
    models = random_models(6)
    fewer = jax.jit(lambda models: taking(models, measures=["global"]))(models)
    np.testing.assert_allclose(fewer.global_score, take(3, 2)(models).global_score, rtol=1e-6)
    assert np.isnan(fewer.client_gen).all()
    with pytest.raises(ValueError, match=r"'client' and 'global', .* 'group' was given\."):
        taking(models, measures=("group",))


def test_what_is_not_asked_for_is_not_computed(clients):
    """Counted as the models that are scored: a client's, a group's and the root's."""
    scored = []

    def score(params, x, y):
        jax.debug.callback(lambda b: scored.append(float(b)), params["b"][0])
        return jnp.ones(y.shape)

    groups = [RAGGED[1], RAGGED[1], RAGGED[2]]
    models = random_models(7, groups)
    task = partly_right()._replace(score=score)
    counts = {}
    for kind in ("client", "group", "global"):
        scored.clear()
        jax.block_until_ready(measure(task, clients, measures=kind, chunk=1)(models))
        jax.effects_barrier()
        counts[kind] = len(set(scored))
    assert counts == {"client": COUNT, "group": 4, "global": 1}


@pytest.mark.parametrize(("asked", "given"), [((), "none was"), (("clients",), "'clients' was")])
def test_measures_that_do_not_exist_are_refused(clients, asked, given):
    with pytest.raises(ValueError, match=f"'client', 'group' and 'global', .* {given} given"):
        measure(partly_right(), clients, measures=asked)
