"""Optimizers by name against their equations, in double precision."""

import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
import tiny

from demjax import fedavg, local_training
from demjax.clients import adagrad, adam, adamw, sgd, yogi
from demjax.clients.optimizers import of_gradients
from demjax.registry import OPTIMIZERS

GRADIENTS = np.array([[0.5, -2.0], [1.0, 0.25], [-0.75, 3.0]])
START = np.array([1.0, -1.0])


def steps(optimizer):
    """Where three gradients lead."""
    params = jnp.asarray(START)
    state = optimizer.init(params)
    for gradient in GRADIENTS:
        updates, state = optimizer.update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, updates)
    return np.asarray(params)


def moments_by_hand(rate, b1, b2, eps, decay=0.0, additive=False):
    first = 1e-6 if additive else 0.0
    w, m, v = START.copy(), np.full(2, first), np.full(2, first)
    for t, g in enumerate(GRADIENTS, 1):
        m = b1 * m + (1 - b1) * g
        v = v - (1 - b2) * np.sign(v - g**2) * g**2 if additive else b2 * v + (1 - b2) * g**2
        direction = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = w - rate * (direction + decay * w)
    return w


def test_sgd_and_its_momentum_are_their_sums(float64):
    np.testing.assert_allclose(steps(sgd(lr=0.1)), START - 0.1 * GRADIENTS.sum(axis=0))
    w, m = START.copy(), np.zeros(2)
    for g in GRADIENTS:
        m = 0.9 * m + g
        w = w - 0.1 * m
    np.testing.assert_allclose(steps(sgd(lr=0.1, momentum=0.9)), w)


@pytest.mark.parametrize(
    ("optimizer", "wanted"),
    [
        (adam(lr=0.1, b1=0.8), moments_by_hand(0.1, 0.8, 0.999, 1e-8)),
        (adamw(lr=0.1, weight_decay=0.2), moments_by_hand(0.1, 0.9, 0.999, 1e-8, decay=0.2)),
        (yogi(lr=0.1), moments_by_hand(0.1, 0.9, 0.999, 1e-3, additive=True)),
    ],
)
def test_adaptive_rates_are_their_moments(optimizer, wanted, float64):
    np.testing.assert_allclose(steps(optimizer), wanted, rtol=1e-6)


def test_adagrad_divides_by_all_squares_so_far(float64):
    w, total = START.copy(), np.full(2, 0.1)
    for g in GRADIENTS:
        total = total + g**2
        w = w - 0.1 * g / np.sqrt(total + 1e-7)
    np.testing.assert_allclose(steps(adagrad(lr=0.1)), w, rtol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "needs"),
    [
        (optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau()), "'value'"),
        (optax.polyak_sgd(), "'value'"),
        (optax.lbfgs(), "'value', 'grad', and 'value_fn'"),
    ],
)
def test_an_optimizer_that_needs_more_than_gradients_is_refused(optimizer, needs):
    local = local_training(tiny.task(), optax.sgd(0.1))
    for whose, make in (
        ("Local training", lambda: local_training(tiny.task(), optimizer)),
        ("FedAvg's server", lambda: fedavg(local, server_optimizer=optimizer)),
    ):
        with pytest.raises(ValueError, match=f"^{whose} gives .*gradients alone.*{needs}") as found:
            make()
        assert str(found.value).endswith(".")


def test_an_optimizer_of_some_layers_is_one_of_gradients():
    optimizer = optax.multi_transform({"a": optax.sgd(1.0)}, {"kernel": "a"})
    assert of_gradients("Local training", optimizer) is optimizer


def test_each_is_registered_with_a_rate():
    assert list(OPTIMIZERS) == ["sgd", "adam", "adamw", "adagrad", "yogi"]
    for name in OPTIMIZERS:
        with pytest.raises(ValueError, match=f"^{name} needs lr as 0 to 1000, but -1 was given"):
            OPTIMIZERS[name].make(lr=-1)
