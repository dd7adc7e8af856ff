"""Losses of a model on the examples of clients who have not trained it, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import local_training
from demjax.clients.losses_before import gradients_at, losses_at, losses_at_each
from demjax.pytrees import StackedModels

CLIENTS = tiny.clients()
KEY = jax.random.key(41)


@pytest.mark.parametrize("chunk", [None, 3])
def test_they_are_the_means_over_all_training_examples_of_those_who_are_asked(chunk):
    local = local_training(
        tiny.task(dropout=False), optax.sgd(0.1), epochs=3, batch_size=tiny.BATCH, chunk=chunk
    )
    model = local.init(KEY)
    x, y = np.asarray(CLIENTS.x, np.float64), np.asarray(CLIENTS.y)
    wanted = [
        tiny.gradient(tiny.float64(model), x[rows[:size]], y[rows[:size]])[0]
        for rows, size in zip(np.asarray(CLIENTS.train), tiny.SIZES, strict=True)
    ]
    found = jax.jit(lambda model: losses_at(local, KEY, model, CLIENTS))(model)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    some = losses_at(local, KEY, model, CLIENTS, jnp.array([1, 4, 6]))
    left_out = [np.nan if n not in (1, 4, 6) else loss for n, loss in enumerate(wanted)]
    np.testing.assert_allclose(some, left_out, rtol=1e-5)


def test_losses_of_several_models_and_gradients_at_one_of_them_are_the_means_by_hand():
    local = local_training(tiny.task(dropout=False), "sgd", batch_size=tiny.BATCH)
    models = [local.init(key) for key in jax.random.split(KEY, 3)]
    stacked = StackedModels.from_pytree(jax.tree.map(lambda *leaf: jnp.stack(leaf), *models))
    x, y = np.asarray(CLIENTS.x, np.float64), np.asarray(CLIENTS.y)
    rows = [row[:size] for row, size in zip(np.asarray(CLIENTS.train), tiny.SIZES, strict=True)]
    wanted = [[tiny.gradient(tiny.float64(m), x[own], y[own]) for m in models] for own in rows]
    who, which = jnp.array([1, 4, 6]), jnp.array([0, 2, 1, 0, 1, 2, 0, 1])
    losses = losses_at_each(local, KEY, stacked, CLIENTS, who)
    gradients, _ = gradients_at(local, KEY, stacked, which, CLIENTS, who)
    for client, gradient in enumerate(tiny.unstack(gradients)):
        here = client in (1, 4, 6)
        each = [loss if here else np.nan for loss, _ in wanted[client]]
        np.testing.assert_allclose(losses[client], each, rtol=1e-5)
        tiny.close(gradient, tiny.combine((int(here), wanted[client][which[client]][1])), 1e-5)
