"""How far steps go: the paper's coefficients of FedNova, by hand."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from demjax.clients.step_lengths import way_of_steps

STEPS = (1, 5, 0, 3)


def test_plain_steps_are_counted_in_units_of_the_rate():
    """By hand: gradients of −1, one step of 1 example and four of 3."""
    way = way_of_steps(optax.sgd(0.5), jnp.array([1, 4]))
    np.testing.assert_allclose(way, [0.5, 2.0])
    # τ_eff = (1·1 + 3·4) / 4 = 3.25, and together they go 3.25 · (1/4 · 1 + 3/4 · 4/4) · .5
    share = np.array([1, 3]) / 4
    np.testing.assert_allclose((share @ way) * (share / way @ way), 1.625)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_with_momentum_each_step_goes_on_in_the_direction_of_earlier_ones(momentum):
    wanted = [
        sum(0.1 * (1 - momentum ** (steps - k)) / (1 - momentum) for k in range(steps))
        for steps in STEPS
    ]
    way = way_of_steps(optax.sgd(0.1, momentum=momentum or None), jnp.array(STEPS))
    np.testing.assert_allclose(way, wanted, rtol=1e-5)


def test_a_proximal_term_draws_back():
    wanted = [sum(0.1 * (1 - 0.1 * 0.5) ** k for k in range(steps)) for steps in STEPS]
    way = way_of_steps(optax.sgd(0.1), jnp.array(STEPS), prox=0.5)
    np.testing.assert_allclose(way, wanted, rtol=1e-5)


def test_a_schedule_is_followed():
    halving = optax.sgd(optax.exponential_decay(0.2, 1, 0.5))  # .2 + .1 + .05
    np.testing.assert_allclose(way_of_steps(halving, jnp.array([3])), [0.35], rtol=1e-6)
