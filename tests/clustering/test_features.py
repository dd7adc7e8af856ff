"""What likeness is judged by: memory of updates against a loop and layers by name."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny

from demjax import demlearn, local_training, storing_models
from demjax.clustering import (
    gradients,
    layers,
    updates,
    weights,
)
from demjax.pytrees import StackedModels

CLIENTS = tiny.clients()
COUNT = len(tiny.SIZES)
KEY = jax.random.key(3)
LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=1, batch_size=tiny.BATCH)
MODEL = {
    "params": {
        "Dense_0": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)},
        "Dense_1": {"Dense_0": {"kernel": np.ones((3, 4))}, "bias": np.ones(4)},
        "Dense_10": {"bias": np.full(5, 2.0)},
    }
}


def models(seed, count=COUNT, width=40):
    rng = np.random.default_rng(seed)
    return {
        "w": jnp.asarray(rng.normal(size=(count, width, 3)), jnp.float32),
        "b": jnp.asarray(rng.normal(size=count), jnp.float32),
    }


# ---- what ---------------------------------------------------------------------------------------


def test_weights_are_the_models_and_gradients_the_gradients_and_neither_remembers():
    before, after, slope = models(0), models(1), models(2)
    for looking, wanted in ((weights(), after), (gradients(), slope)):
        assert looking.memory(before, None) == ()
        memory = looking.before((), before, None)
        seen, memory = looking.after(memory, after, slope, cohort=None, regroup=False)
        tiny.same_bits(seen, wanted)
        assert memory == ()
    assert gradients().gradients
    assert not weights().gradients
    assert not updates().gradients


def test_updates_add_up_what_training_added_until_the_next_regrouping():
    looking, total = updates(), tiny.float64(jax.tree.map(jnp.zeros_like, models(0)))
    memory = looking.memory(models(0), None)
    for number in range(7):
        before, after = models(2 * number), models(2 * number + 1)
        memory = looking.before(memory, before, None)
        regroup = jnp.bool_(number % 3 == 0)
        seen, memory = looking.after(memory, after, cohort=None, regroup=regroup)
        total = tiny.combine((1, total), (1, tiny.float64(after)), (-1, tiny.float64(before)))
        tiny.close(seen, total, 2e-6)
        if number % 3 == 0:
            total = tiny.combine((0, total))


def test_updates_of_some_layers_remember_those_only():
    looking = updates(layers("b"))
    added, _ = looking.memory(models(0), None)
    assert [leaf.shape for leaf in jax.tree.leaves(added)] == [(COUNT,)]


def test_in_demlearn_updates_gather_over_a_period_and_begin_anew_after_it():
    algorithm = demlearn(LOCAL, levels=2, prox=0.0, period=3, features=updates())
    one_round = jax.jit(algorithm.round)
    state = algorithm.init(KEY, CLIENTS)
    train = jax.jit(LOCAL.train)
    total = tiny.float64(state.memory[0])
    for number in range(5):
        tiny.close(tiny.float64(state.memory[0]), total, 1e-5)
        if (number - 1) % 3 == 0:  # clients have just organised themselves
            total = tiny.combine((0, total))
        key, before = jax.random.fold_in(KEY, number), state.client
        trained, _ = train(key, before, CLIENTS)
        total = tiny.combine((1, total), (1, tiny.float64(trained)), (-1, tiny.float64(before)))
        state, _ = one_round(key, state, CLIENTS)


def test_who_did_not_train_is_seen_as_it_last_was():
    looking, some = {"updates": updates(), "gradients": gradients()}, np.array([1, 3])
    others = np.setdiff1d(np.arange(COUNT), some)
    start, first, second, slope, again = (models(seed) for seed in range(5))
    seen = {}
    for name, feature in looking.items():
        memory = feature.before(feature.memory(start, 2), start, np.arange(COUNT))
        whole, memory = feature.after(memory, first, slope, cohort=np.arange(COUNT), regroup=True)
        memory = feature.before(memory, first, some)
        seen[name], _ = feature.after(memory, second, again, cohort=some, regroup=True)
        for got, old in zip(*map(jax.tree.leaves, (seen[name], whole)), strict=True):
            np.testing.assert_array_equal(got[others], old[others])
    wanted = {"updates": jax.tree.map(jnp.subtract, second, first), "gradients": again}
    for name in looking:
        tiny.close(*(jax.tree.map(lambda leaf: leaf[some], x[name]) for x in (seen, wanted)), 1e-6)


# ---- which part ---------------------------------------------------------------------------------


def test_layers_select_the_leaves_of_their_names():
    picked = layers("Dense_0", "Dense_1/Dense_0")(MODEL)
    assert sorted(leaf.size for leaf in picked) == [3, 6, 12]


def test_updates_of_models_in_16_bits_are_remembered_in_32():
    """A step far below the last place that is stored of a model's sum is not lost in the sum."""
    looking = updates()
    with storing_models("bf16"):
        before = [StackedModels.from_pytree(models(number)) for number in (0, 2)]
        after = [StackedModels.from_pytree(models(number)) for number in (1, 3)]
        memory = looking.memory(before[0], None)
        for one, other in zip(before, after, strict=True):
            memory = looking.before(memory, one, None)
            seen, memory = looking.after(memory, other, cohort=None, regroup=jnp.bool_(False))
    assert {leaf.dtype for leaf in jax.tree.leaves(seen)} == {jnp.dtype(jnp.float32)}
    pairs = [
        tiny.float64([x.as_pytree(), y.as_pytree()]) for x, y in zip(before, after, strict=True)
    ]
    wanted = jax.tree.map(lambda a, b, c, d: b - a + d - c, *pairs[0], *pairs[1])
    tiny.close(seen, wanted, 1e-6)
