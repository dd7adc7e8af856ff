"""The mean of all gradients that were met: by the way that plain SGD goes, and by a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny
from by_steps import batches

from demjax import local_training
from demjax.clients.mean_gradients import train_with_variates
from demjax.pytrees import stack_copies

CLIENTS = tiny.clients()
KEY = jax.random.key(42)
COUNT = len(tiny.SIZES)
LOCAL = local_training(
    tiny.task(dropout=False), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH
)
START = stack_copies(LOCAL.init(KEY), COUNT)
OF_ALL = jax.tree.map(
    lambda leaf: jax.random.normal(jax.random.key(2), leaf.shape, leaf.dtype) / 5, LOCAL.init(KEY)
)
OWN = jax.tree.map(
    lambda leaf: jax.random.normal(jax.random.key(1), leaf.shape, leaf.dtype) / 5, START
)
CORRECTION = [tiny.combine((1, OF_ALL), (-1, own)) for own in tiny.unstack(OWN)]


def trained(who=None):
    """The models, the mean gradients and the losses of whoever trains."""
    return train_with_variates(LOCAL, KEY, START, CLIENTS, OWN, OF_ALL, who)


def test_they_are_those_of_a_loop_over_corrected_steps():
    models, gradients, loss = trained()
    for client, start in enumerate(tiny.unstack(START)):
        model, slopes, total = tiny.float64(start), [], 0.0
        for x, y, last in batches(KEY, CLIENTS, client):
            value, slope = tiny.gradient(model, x, y)
            slopes.append(slope)
            corrected = tiny.combine((1, slope), (1, CORRECTION[client]))
            model = tiny.combine((1, model), (-tiny.RATE, corrected))
            total += last * value * len(y)
        mean = tiny.combine(*[(1 / len(slopes), slope) for slope in slopes])
        tiny.close(tiny.unstack(models)[client], model, 5e-5)
        tiny.close(tiny.unstack(gradients)[client], mean, 5e-5)
        np.testing.assert_allclose(loss[client], total / tiny.SIZES[client], rtol=5e-5)


def test_of_plain_sgd_they_are_the_way_by_steps_and_rate_without_the_correction():
    models, gradients, _ = trained()
    steps = np.asarray(LOCAL.batches(CLIENTS))
    for n, (start, end, added) in enumerate(
        zip(*map(tiny.unstack, (START, models)), CORRECTION, strict=True)
    ):
        per = 1 / (steps[n] * tiny.RATE)
        wanted = tiny.combine((per, start), (-per, end), (-1, added))
        tiny.close(tiny.unstack(gradients)[n], wanted, 5e-5)


def test_whoever_does_not_train_keeps_model_and_variate():
    models, variates, loss = trained(jnp.array([0, 5]))
    for n in set(range(COUNT)) - {0, 5}:
        tiny.same_bits(tiny.unstack(variates)[n], tiny.unstack(OWN)[n])
        tiny.same_bits(tiny.unstack(models)[n], tiny.unstack(START)[n])
        assert np.isnan(loss[n])
