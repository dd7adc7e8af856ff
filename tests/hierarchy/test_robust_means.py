"""Averages of one's own, clipped and noised, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import demlearn, fedavg, fedprox, local_training
from demjax.backend.policy import compiling_for, storing_models
from demjax.clients import participation
from demjax.hierarchy import clipped, from_groups, noised, weighted_mean
from demjax.hierarchy.robust_means import average_of_groups, mean_by_examples
from demjax.pytrees import StackedModels, stack_copies

CLIENTS = tiny.clients()
COUNT = len(tiny.SIZES)
KEY = jax.random.key(4)
LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=1, batch_size=tiny.BATCH)
RNG = np.random.default_rng(1)
MODELS = StackedModels.from_pytree(
    {
        "w": jnp.asarray(RNG.normal(size=(COUNT, 4, 3)), jnp.float32),
        "b": jnp.asarray(RNG.normal(size=(COUNT, 3)), jnp.float32),
    }
)
WEIGHT = RNG.integers(0, 4, size=(3, COUNT)).astype(np.float32)
REFERENCE = MODELS.gather(jnp.array([5, 2, 0]))


def median(models, weight, **context):
    """The coordinate-wise median of those that count."""

    def one(leaf):
        there = (weight > 0).reshape(*weight.shape, *[1] * (leaf.ndim - 1))
        return jnp.nanmedian(jnp.where(there, leaf[None], jnp.nan), axis=1)

    return jax.tree.map(one, models)


def median_of(models):
    stacked = [np.stack(leaves) for leaves in zip(*map(jax.tree.leaves, models), strict=True)]
    form = jax.tree.structure(models[0])
    return jax.tree.unflatten(form, [np.median(leaf, axis=0) for leaf in stacked])


def as_float64(models):
    return [tiny.float64(one) for one in tiny.unstack(models)]


def test_the_weighted_mean_is_numpys():
    got = weighted_mean(MODELS, jnp.asarray(WEIGHT), reference=REFERENCE, key=KEY).as_pytree()
    for name, leaf in tiny.float64(MODELS.as_pytree()).items():
        wanted = [np.average(leaf, axis=0, weights=row) for row in WEIGHT]
        np.testing.assert_allclose(got[name], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", [0.5, 3.0, 1e6])
def test_nobody_is_further_than_the_norm_from_what_is_replaced(norm):
    averaging = jax.jit(lambda *given: clipped(weighted_mean, norm)(*given[:2], **given[2]))
    context = {"reference": REFERENCE, "key": KEY}
    got = as_float64(averaging(MODELS, jnp.asarray(WEIGHT), context))
    for row, reference, mean in zip(WEIGHT, as_float64(REFERENCE), got, strict=True):
        start, total = tiny.vector(reference), 0.0
        for share, model in zip(row / row.sum(), as_float64(MODELS), strict=True):
            update = tiny.vector(model) - start
            length = np.linalg.norm(update)
            total = total + share * update * (min(1, norm / length) if length else 1)
        np.testing.assert_allclose(tiny.vector(mean), start + total, rtol=1e-4, atol=1e-5)


def test_noise_has_its_deviation_and_follows_from_the_key():
    many = StackedModels.from_pytree({"w": jnp.zeros((2, 50_000))})
    weight = jnp.ones((1, 2))
    averaging = noised(weighted_mean, 0.3)
    one, same, other = (
        averaging(many, weight, reference=many.gather(jnp.array([0])), key=jax.random.key(k))
        for k in (0, 0, 1)
    )
    tiny.same_bits(one, same)
    noise = np.asarray(one.as_pytree()["w"])
    assert abs(noise.std() - 0.3) < 0.005
    assert abs(noise.mean()) < 0.006
    assert abs(np.corrcoef(noise[0], np.asarray(other.as_pytree()["w"])[0])[0, 1]) < 0.02


@pytest.mark.parametrize(("wrap", "value"), [(clipped, 0.0), (clipped, -1.0), (noised, -0.1)])
def test_impossible_numbers_are_told(wrap, value):
    with pytest.raises(ValueError, match=rf"but {value} was given\.$"):
        wrap(weighted_mean, value)


@pytest.mark.parametrize("factory", [fedavg, fedprox])
def test_a_median_takes_the_place_of_the_mean_among_those_who_take_part(factory):
    there = np.array([True, False, True, True, False, True, True, False])
    algorithm = factory(
        LOCAL, average=median, cohort=lambda key, count: participation.from_mask(jnp.asarray(there))
    )
    before = algorithm.init(KEY, CLIENTS)
    state, info = jax.jit(algorithm.round)(KEY, before, CLIENTS)
    client = tiny.unstack(state.client)
    tiny.close(
        jax.tree.map(np.asarray, state.server),
        median_of([client[n] for n in np.flatnonzero(there)]),
    )
    np.testing.assert_array_equal(np.isnan(info.loss), ~there)
    for old, new in zip(*map(jax.tree.leaves, (before.client, state.client)), strict=True):
        np.testing.assert_array_equal(old[~there], new[~there])
        assert (np.asarray(old != new).reshape(COUNT, -1).any(axis=1))[there].all()


def test_a_mask_from_outside_is_the_mean_of_those_who_are_there():
    there = np.array([False, True, True, False, False, False, True, False])
    algorithm = fedavg(LOCAL, cohort=lambda key, count: participation.from_mask(there))
    state, _ = jax.jit(algorithm.round)(KEY, algorithm.init(KEY, CLIENTS), CLIENTS)
    share = np.where(there, tiny.SIZES, 0) / np.sum(np.array(tiny.SIZES)[there])
    wanted = tiny.combine(*zip(share, tiny.unstack(state.client), strict=True))
    tiny.close(jax.tree.map(np.asarray, state.server), wanted)


def test_every_group_is_averaged_by_it_and_empty_ones_are_0():
    groups = jnp.array([[0, 0, 1, 1, 1, -1, 0, 3], [0] * COUNT])
    hierarchy = from_groups(groups, 4)
    old = jax.tree.map(lambda leaf: jnp.ones((2, 4, *leaf.shape[1:])), MODELS)
    got = average_of_groups(median, MODELS, old, hierarchy, jnp.ones(COUNT), soft=0.5, key=KEY)
    models = as_float64(MODELS)
    for level, row in enumerate(np.asarray(groups)):
        for slot in range(4):
            found = tiny.vector(got.model(level, slot))
            members = np.flatnonzero(row == slot)
            middle = tiny.vector(median_of([models[n] for n in members])) if len(members) else 0
            np.testing.assert_allclose(found, 0.5 + 0.5 * middle, rtol=1e-5, atol=1e-6)


def test_demlearn_with_the_weighted_mean_in_its_own_place_is_demlearn():
    options = {"levels": 2, "mix": (0.5, 0.3, 0.2), "weighting": "examples"}
    options["average_layers"] = ("w",)
    algorithms = [demlearn(LOCAL, **options, average=a) for a in (None, weighted_mean)]
    ends = []
    for algorithm in algorithms:
        one_round, state = jax.jit(algorithm.round), algorithm.init(KEY, CLIENTS)
        for number in range(2):
            state, _ = one_round(jax.random.fold_in(KEY, number), state, CLIENTS)
        ends.append(algorithm.models(state))
    tiny.close(*[models.client for models in ends], 1e-5)
    tiny.close(*[models.group for models in ends], 1e-5)
    with pytest.raises(ValueError, match=r"amplification must be 1, but 1.15 was given\.$"):
        demlearn(LOCAL, average=median, amplification=1.15)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_averages_of_ones_own_are_given_models_in_single_precision(platform):
    seen = set()

    def middle(models, weight, *, reference, key):
        seen.update(leaf.dtype.name for leaf in jax.tree.leaves((models, reference)))
        return median(models, weight)

    fresh = RNG.normal(size=(COUNT, 4, 3)).astype(np.float32)
    with compiling_for(platform), storing_models("bf16"):
        models = StackedModels.from_pytree({"w": jnp.asarray(fresh)})
        context = {"average": middle, "reference": {"w": jnp.ones((4, 3))}, "key": KEY}
        one = mean_by_examples(models, CLIENTS, None, **context)
        group = stack_copies(models.model(0), 1, 1)
        tree = from_groups(np.zeros((1, COUNT), int), 1)
        means = average_of_groups(middle, models, group, tree, jnp.ones(COUNT), key=KEY)
    assert seen == {"float32"}
    wanted = np.median(np.asarray(models.as_pytree()["w"], np.float64), axis=0)
    np.testing.assert_allclose(one["w"], wanted, rtol=1e-6)
    assert jax.tree.leaves(means)[0].dtype == jnp.bfloat16
    np.testing.assert_allclose(means.as_pytree()["w"][0, 0], wanted, rtol=2**-7)
