"""The mean of all gradients that were met: by the way that plain SGD goes, and by a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny
from by_steps import batches

from demjax import local_training
from demjax.clients.mean_gradients import train_with_mean_gradients
from demjax.pytrees import stack_copies

CLIENTS = tiny.clients()
KEY = jax.random.key(42)
COUNT = len(tiny.SIZES)
LOCAL = local_training(
    tiny.task(dropout=False), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH
)
START = stack_copies(LOCAL.init(KEY), COUNT)
CORRECTION = jax.tree.map(
    lambda leaf: jax.random.normal(jax.random.key(1), leaf.shape, leaf.dtype) / 5, START
)


def test_they_are_those_of_a_loop_over_corrected_steps():
    models, gradients, loss = train_with_mean_gradients(LOCAL, KEY, START, CLIENTS, CORRECTION)
    added = tiny.unstack(CORRECTION)
    for client, start in enumerate(tiny.unstack(START)):
        model, slopes, total = tiny.float64(start), [], 0.0
        for x, y, last in batches(KEY, CLIENTS, client):
            value, slope = tiny.gradient(model, x, y)
            slopes.append(slope)
            corrected = tiny.combine((1, slope), (1, added[client]))
            model = tiny.combine((1, model), (-tiny.RATE, corrected))
            total += last * value * len(y)
        mean = tiny.combine(*[(1 / len(slopes), slope) for slope in slopes])
        tiny.close(tiny.unstack(models)[client], model, 5e-5)
        tiny.close(tiny.unstack(gradients)[client], mean, 5e-5)
        np.testing.assert_allclose(loss[client], total / tiny.SIZES[client], rtol=5e-5)


def test_of_plain_sgd_they_are_the_way_by_steps_and_rate_without_the_correction():
    models, gradients, _ = train_with_mean_gradients(LOCAL, KEY, START, CLIENTS, CORRECTION)
    steps = np.asarray(LOCAL.batches(CLIENTS))
    for n, (start, end, added) in enumerate(
        zip(*map(tiny.unstack, (START, models, CORRECTION)), strict=True)
    ):
        per = 1 / (steps[n] * tiny.RATE)
        wanted = tiny.combine((per, start), (-per, end), (-1, added))
        tiny.close(tiny.unstack(gradients)[n], wanted, 5e-5)


def test_whoever_does_not_train_has_met_none():
    who = jnp.array([0, 5])
    models, gradients, loss = train_with_mean_gradients(LOCAL, KEY, START, CLIENTS, CORRECTION, who)
    for n in set(range(COUNT)) - {0, 5}:
        assert not np.any(tiny.vector(tiny.unstack(gradients)[n]))
        tiny.same_bits(tiny.unstack(models)[n], tiny.unstack(START)[n])
        assert np.isnan(loss[n])
