"""Private gradients against NumPy in float64, example by example, and their noise as measured."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import local_training
from demjax.clients.private_steps import Private, private, private_gradient
from demjax.clients.step import Added, Batch
from demjax.pytrees import stack_copies

CLIENTS, TASK = tiny.clients(), tiny.task(dropout=False)
MODEL = TASK.init(jax.random.key(1))
ROWS = np.asarray(CLIENTS.train)[2, :6]
WEIGHT = np.array([1, 1, 1, 1, 1, 0], np.float32)


def batch(key):
    return Batch(CLIENTS.x[ROWS], CLIENTS.y[ROWS], jnp.asarray(WEIGHT), key, jnp.int32(2))


def test_each_examples_gradient_is_clipped_before_it_counts():
    _, got, _ = private_gradient(private(2.0, 0), TASK, Added(), MODEL, batch(jax.random.key(0)))
    x, y = np.asarray(CLIENTS.x, np.float64)[ROWS], np.asarray(CLIENTS.y)[ROWS]
    each = [tiny.gradient(tiny.float64(MODEL), x[i : i + 1], y[i : i + 1])[1] for i in range(5)]
    length = [np.linalg.norm(tiny.vector(one)) for one in each]
    assert min(length) < 2 < max(length)
    short = [(min(1, 2 / n) / 5, one) for n, one in zip(length, each, strict=True)]
    tiny.close(got, tiny.combine(*short))


def test_noise_is_as_strong_as_the_clip_and_the_multiplier_say():
    def drawn(key):
        noisy, quiet = (
            private_gradient(Private(0.5, z), TASK, Added(), MODEL, batch(key))[1] for z in (3.0, 0)
        )
        return jax.tree.map(jnp.subtract, noisy, quiet)

    noise = jax.vmap(drawn)(jax.random.split(jax.random.key(0), 3000))
    for leaf in jax.tree.leaves(noise):
        assert np.std(leaf) == pytest.approx(3.0 * 0.5 / 5, rel=0.02)
        assert abs(np.mean(leaf)) < 0.01


def test_training_that_clips_nothing_and_adds_nothing_is_training_as_it_was():
    options = {"epochs": tiny.EPOCHS, "batch_size": tiny.BATCH}
    start = stack_copies(MODEL, len(tiny.SIZES))
    plain, guarded = (
        local_training(TASK, optax.sgd(tiny.RATE), private=how, **options).train(
            jax.random.key(5), start, CLIENTS
        )
        for how in (None, private(1e6, 0))
    )
    tiny.close(guarded, plain)


def test_what_cannot_be_private_is_said():
    for wrong in ((0.0, 1.0), (1.0, -1.0)):
        with pytest.raises(ValueError, match="Privacy needs"):
            private(*wrong)
    with pytest.raises(ValueError, match="without batch normalization"):
        local_training(
            TASK._replace(state=lambda model: jax.tree.map(lambda _: True, model)),
            "sgd",
            private=private(1.0, 1.0),
        )
    local = local_training(TASK, "sgd", private=private(1.0, 1.0))
    with pytest.raises(ValueError, match="steps of its own"):
        local.steps(jax.random.key(0), stack_copies(MODEL, 8), CLIENTS, None)
    extra = Added(extra_loss=lambda *_: 0.0)
    with pytest.raises(ValueError, match="a loss of its own"):
        private_gradient(private(1.0, 1.0), TASK, extra, MODEL, batch(jax.random.key(0)))
