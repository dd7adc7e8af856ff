"""What a server makes of a mean, and what is scored then."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import local_training
from demjax.clients.sending import sent
from demjax.hierarchy.server import scored_at, server_step
from demjax.pytrees import stack_copies

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), batch_size=tiny.BATCH)
MODEL = {"w": jnp.array([1.0, 2.0]), "b": jnp.array([0.5])}
MEANS = [{"w": jnp.array([0.0, 4.0]), "b": jnp.array([1.5])} for _ in range(3)]


def test_without_an_optimizer_the_mean_is_the_model():
    server = server_step("A test", LOCAL, None)
    model, memory = server.step(MODEL, server.init(MODEL), MEANS[0])
    tiny.same_bits(model, MEANS[0])
    assert memory == ()


def test_momentum_of_the_server_against_a_loop():
    rate, beta = 0.5, 0.9
    server = server_step("A test", LOCAL, optax.sgd(rate, momentum=beta))
    model, memory = MODEL, server.init(MODEL)
    wanted, speed = tiny.float64(MODEL), {"w": np.zeros(2), "b": np.zeros(1)}
    for mean in MEANS:
        model, memory = server.step(model, memory, mean)
        for name in wanted:
            speed[name] = beta * speed[name] + wanted[name] - np.asarray(mean[name], np.float64)
            wanted[name] = wanted[name] - rate * speed[name]
        tiny.close(model, wanted, 1e-6)


def test_state_that_is_no_parameter_is_the_mean_as_it_is():
    local = LOCAL._replace(state=lambda model: {"w": False, "b": True})
    server = server_step("A test", local, optax.sgd(0.25))
    model, _ = server.step(MODEL, server.init(MODEL), MEANS[0])
    tiny.close(model, {"w": np.array([0.75, 2.5]), "b": np.array([1.5])}, 1e-6)


def test_an_optimizer_that_needs_more_than_gradients_is_refused():
    with pytest.raises(ValueError, match="A test gives an optimizer gradients alone"):
        server_step("A test", LOCAL, optax.contrib.reduce_on_plateau())


def test_a_cohort_is_sent_the_model_and_all_others_keep_their_own():
    own = jax.tree.map(lambda leaf: leaf + jnp.arange(3.0)[:, None], stack_copies(MODEL, 3))
    wanted = [MODEL, jax.tree.map(lambda leaf: leaf + 1, MODEL), MODEL]
    tiny.close(tiny.unstack(sent(LOCAL, own, MODEL, jnp.array([0, 2]))), wanted)
    tiny.close(tiny.unstack(sent(LOCAL, own, MODEL)), [MODEL] * 3)


@pytest.mark.parametrize("moment", ["trained", "averaged", "fine-tuned"])
def test_what_is_scored_at_each_moment(moment):
    own = jax.tree.map(lambda leaf: leaf + jnp.arange(3.0)[:, None], stack_copies(MODEL, 3))
    scored = scored_at(LOCAL, moment)
    models = scored.models(own, MODEL)
    wanted = tiny.unstack(own) if moment == "trained" else [MODEL] * 3
    tiny.close(tiny.unstack(models.client), wanted)
    np.testing.assert_array_equal(models.hierarchy.size, [[3]])
    assert (scored.before_scoring is not None) == (moment == "fine-tuned")
