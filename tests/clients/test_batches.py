"""Steps of an algorithm's own through the batches of local training, against it and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

import demjax
from demjax import spread_over
from demjax.backend.policy import compiling_for
from demjax.pytrees import StackedModels, stack_copies

CLIENTS, KEY = tiny.clients(), jax.random.key(6)


def training(**options):
    given = {"epochs": tiny.EPOCHS, "batch_size": tiny.BATCH} | options
    return demjax.local_training(tiny.task(), optax.sgd(tiny.RATE), **given)


def descent(optimizer):
    """Local training's own step, as an algorithm would write it."""

    def step(state, batch, slope):
        model, memory = state
        loss, gradient, _ = slope(model, batch)
        updates, memory = optimizer.update(gradient, memory, model)
        return (optax.apply_updates(model, updates), memory), loss

    return step


@pytest.mark.parametrize("chunk", [1, 3, 64])
@pytest.mark.parametrize("cohort", [None, [1, 4, 8]])
def test_descending_by_hand_is_local_training(chunk, cohort):
    local = training(chunk=chunk)
    models = stack_copies(local.init(KEY), 8)
    who = None if cohort is None else jnp.asarray(cohort)
    state = models, jax.vmap(local.optimizer.init)(models)
    step = descent(local.optimizer)
    (model, _), loss = jax.jit(lambda k: local.steps(k, state, CLIENTS, step, cohort=who))(KEY)
    wanted, seen = jax.jit(lambda k: local.train(k, models, CLIENTS, cohort=who))(KEY)
    tiny.close(model, wanted, 1e-6)
    np.testing.assert_allclose(loss, seen, rtol=1e-6)


def test_an_epoch_may_have_the_first_of_its_batches_alone():
    local = training(epochs=1, batches_per_epoch=2)
    models = stack_copies(local.init(KEY), 8)
    state = models, jax.vmap(local.optimizer.init)(models)
    trained, loss = jax.jit(lambda k: local.train(k, models, CLIENTS))(KEY)
    step = descent(local.optimizer)
    (stepped, _), seen = jax.jit(lambda k: local.steps(k, state, CLIENTS, step))(KEY)
    tiny.close(stepped, trained, 1e-6)
    np.testing.assert_allclose(seen, loss, rtol=1e-6)
    for client, found in enumerate(tiny.unstack(trained)):
        begin = tiny.float64(local.init(KEY))
        wanted, met = tiny.learn(KEY, begin, CLIENTS, client, epochs=1, steps=2)
        tiny.close(found, wanted)
        np.testing.assert_allclose(loss[client], met, rtol=1e-5)
    sizes = np.asarray(CLIENTS.train_size)
    all_ = -(-sizes // tiny.BATCH)
    np.testing.assert_array_equal(local.batches(CLIENTS), np.minimum(all_, 2))
    twice = training(epochs=2, batches_per_epoch=2)
    np.testing.assert_array_equal(twice.batches(CLIENTS), 2 * np.minimum(all_, 2))
    np.testing.assert_array_equal(twice.batches(CLIENTS, epochs=3), 3 * all_)  # whole passes


def test_the_state_may_be_models_of_any_store_and_arrays_beside_them():
    """A running mean of losses, how many batches were seen, and two models of each client."""
    local = training(epochs=1)

    def step(state, batch, slope):
        losses, seen, (model, slow) = state
        loss, gradient, _ = slope(model, batch)
        model = jax.tree.map(lambda w, g: w - tiny.RATE * g, model, gradient)
        slow = jax.tree.map(lambda s, w: 0.5 * (s + w), slow, model)
        return (losses + loss, seen + 1, (model, slow)), loss

    def outcome(key):
        two = stack_copies(local.init(key), 8), stack_copies(local.init(key), 8)
        state = jnp.zeros(8), jnp.zeros(8, jnp.int32), two
        return local.steps(key, state, CLIENTS, step)[0]

    losses, seen, (model, slow) = outcome(KEY)
    np.testing.assert_array_equal(seen, -(-np.array(tiny.SIZES) // tiny.BATCH))
    np.testing.assert_array_equal(seen, local.batches(CLIENTS))
    for client in range(8):
        wanted, loss = tiny.learn(KEY, tiny.float64(local.init(KEY)), CLIENTS, client, epochs=1)
        tiny.close(jax.tree.map(lambda leaf, n=client: leaf[n], tiny.plain(model)), wanted)
        if seen[client] == 1:
            np.testing.assert_allclose(losses[client], loss, rtol=1e-5)
    with compiling_for("gpu"):
        flat = outcome(KEY)
    assert isinstance(flat[2][0], StackedModels)
    assert len(jax.tree.leaves(flat[2][0])) == 1 < len(jax.tree.leaves(model))
    tiny.close(flat, (losses, seen, (model, slow)), 1e-5)


def test_epochs_can_be_another_number_than_usual():
    once, twice = training(epochs=1), training(epochs=2)
    models = stack_copies(once.init(KEY), 8)
    tiny.same_bits(once.train(KEY, models, CLIENTS, epochs=2), twice.train(KEY, models, CLIENTS))
    np.testing.assert_array_equal(once.batches(CLIENTS, 2), twice.batches(CLIENTS))
    np.testing.assert_array_equal(twice.batches(CLIENTS, 3), 3 * once.batches(CLIENTS))
    with pytest.raises(ValueError, match=r"Local training needs epochs of at least 1, but 0"):
        once.train(KEY, models, CLIENTS, epochs=0)


def test_on_several_devices_as_on_one():
    local, devices = training(), min(2, jax.device_count())
    models = stack_copies(local.init(KEY), 8)
    step = descent(optax.sgd(tiny.RATE))
    state = models, jax.vmap(local.optimizer.init)(models)
    one = local.steps(KEY, state, CLIENTS, step)
    with spread_over(devices):
        several = jax.jit(lambda k: local.steps(k, state, CLIENTS, step))(KEY)
    tiny.close(several, one, 1e-6)


def test_statistics_taken_anew_are_not_for_steps_of_ones_own():
    task = tiny.task()._replace(
        state=lambda model: {"b": True, "w": False}, loss_with_state=tiny.task().loss
    )
    local = demjax.local_training(task, "sgd", lr=0.1, statistics="recompute")
    with pytest.raises(ValueError, match="takes no statistics 'recompute'; possible is 'average'"):
        local.steps(KEY, jnp.zeros(8), CLIENTS, lambda *_: None)
