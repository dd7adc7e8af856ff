"""MOON against a loop with derivatives by hand, and against federated averaging."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import server_loops
import tiny
from by_steps import batches

from demjax import classification, fedavg, local_training, moon
from demjax.models import MLP, Linear

CLIENTS = tiny.clients()
KEY = jax.random.key(37)
HIDDEN, MU, TEMPERATURE = 6, 2.0, 0.7


@cache
def local():
    task = classification(MLP(classes=tiny.CLASSES, hidden=(HIDDEN,)), CLIENTS.x[0])
    return local_training(task, optax.sgd(0.1), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)


def layers(model):
    """Weights and biases, hidden layer first."""
    return [
        model[name]["Dense_0"][part]
        for name in ("Dense_0", "Dense_1")
        for part in ("kernel", "bias")
    ]


def like(model, parts):
    names = [(name, part) for name in ("Dense_0", "Dense_1") for part in ("kernel", "bias")]
    found = dict(zip(names, parts, strict=True))
    return {
        name: {"Dense_0": {part: found[name, part] for part in ("bias", "kernel")}}
        for name in ("Dense_0", "Dense_1")
    }


def hidden(model, x):
    weights, biases, *_ = layers(model)
    return np.maximum(x @ weights + biases, 0)


def cosine_and_slope(z, other):
    """Cosines of rows, and their derivative by the first."""
    one, two = np.linalg.norm(z, axis=1), np.linalg.norm(other, axis=1)
    product = np.maximum(one * two, 1e-30)
    cosine = np.sum(z * other, axis=1) / product
    square = np.maximum(one**2, 1e-30)
    return cosine, other / product[:, None] - (cosine / square)[:, None] * z


def slope_of(model, start, previous, x, y):
    """Loss of the task, and the gradient of it and of the contrast, worked out on paper."""
    _, _, last, last_biases = layers(model)
    z = hidden(model, x)
    logits = z @ last + last_biases
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    wrong = (odds - np.eye(tiny.CLASSES)[y]) / len(y)
    near, near_slope = cosine_and_slope(z, hidden(start, x))
    far, far_slope = cosine_and_slope(z, hidden(previous, x))
    # −log e^{near/τ} / (e^{near/τ} + e^{far/τ}), of which e^{far/τ} / (…) is the derivative
    share = np.exp(far / TEMPERATURE) / (np.exp(near / TEMPERATURE) + np.exp(far / TEMPERATURE))
    contrast = share[:, None] * (far_slope - near_slope) / TEMPERATURE / len(y)
    back = (wrong @ last.T + MU * contrast) * (z > 0)
    loss = -np.mean(np.log(odds[np.arange(len(y)), y]))
    return loss, like(model, [x.T @ back, back.sum(axis=0), z.T @ wrong, wrong.sum(axis=0)])


@pytest.mark.parametrize("cohort", [None, 3])
def test_every_round_is_that_of_the_loop_with_derivatives_by_hand(cohort):
    algorithm = moon(local(), contrast=MU, temperature=TEMPERATURE, cohort=cohort)
    server = tiny.float64(local().init(KEY))
    previous = [server] * len(tiny.SIZES)
    for key, models, info in server_loops.rounds(algorithm, KEY, CLIENTS, 4):
        who = server_loops.members(key, CLIENTS, cohort)
        for n in who:
            model, total = server, 0.0
            for x, y, last in batches(key, CLIENTS, n):
                loss, slope = slope_of(model, server, previous[n], x, y)
                model = tiny.combine((1, model), (-0.1, slope))
                total += last * loss * len(y)
            previous[n] = model
            np.testing.assert_allclose(info.loss[n], total / tiny.SIZES[n], rtol=2e-4)
        server = server_loops.mean_by_examples(CLIENTS, who, [previous[n] for n in who])
        tiny.close(server_loops.global_model(models), server, 2e-4)


def test_without_a_contrast_it_is_fedavg():
    one, other = (
        moon(local(), contrast=0.0, cohort=3),
        fedavg(local(), measure_at="averaged", cohort=3),
    )
    server_loops.same(one, other, KEY, CLIENTS)


def test_a_representation_that_is_0_has_a_gradient_that_is_finite():
    from demjax.algorithms.federated.moon import _cosine

    nothing, some = jnp.zeros((2, 3)), jnp.ones((2, 3))
    value, slope = jax.value_and_grad(lambda z: jnp.sum(_cosine(z, some)))(nothing)
    assert value == 0
    assert np.isfinite(slope).all()


def test_a_model_of_one_layer_is_told_in_a_sentence():
    linear = local_training(classification(Linear(classes=3), CLIENTS.x[0]), "sgd")
    with pytest.raises(ValueError, match=r"MOON needs a model with layers before its last"):
        moon(linear)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"contrast": -1.0}, "contrast as "), ({"temperature": 0.0}, "temperature as ")],
)
def test_what_is_not_possible_is_told_in_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        moon(local(), **options)
