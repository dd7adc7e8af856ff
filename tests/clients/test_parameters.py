"""Parameters and state of a model apart, and how many take part."""

import jax
import jax.numpy as jnp
import numpy as np

from demjax.clients.local_training import LocalTraining
from demjax.clients.parameters import (
    parameter_bytes,
    parameters_alone,
    state_from,
    taking_part,
)
from demjax.pytrees import as_pytree, stack_copies

MODEL = {"params": jnp.arange(6.0), "batch_stats": {"mean": jnp.ones(2), "count": jnp.int32(3)}}


def is_state(model):
    return {"params": False, "batch_stats": jax.tree.map(lambda _: True, model["batch_stats"])}


WITH, WITHOUT = LocalTraining(None, None, state=is_state), LocalTraining(None, None)


def test_what_is_state_becomes_0():
    for models in (MODEL, stack_copies(MODEL, 3)):
        alone, given = as_pytree(parameters_alone(WITH, models)), as_pytree(models)
        np.testing.assert_array_equal(alone["params"], given["params"])
        assert not np.any(alone["batch_stats"]["mean"])
        assert not np.any(alone["batch_stats"]["count"])
        assert alone["batch_stats"]["count"].dtype == jnp.int32
        assert parameters_alone(WITHOUT, models) is models


def test_state_is_taken_from_the_mean():
    mean = jax.tree.map(lambda leaf: leaf + 10, MODEL)
    new = state_from(WITH, MODEL, mean)
    np.testing.assert_array_equal(new["params"], np.arange(6))
    np.testing.assert_array_equal(new["batch_stats"]["mean"], [11, 11])
    assert state_from(WITHOUT, MODEL, mean) is MODEL


def test_bytes_of_parameters_are_those_of_one_model_without_its_state():
    assert parameter_bytes(WITH, stack_copies(MODEL, 5)) == 6 * 4
    assert parameter_bytes(WITHOUT, stack_copies(MODEL, 5)) == (6 + 2 + 1) * 4


def test_nobody_does_not_take_part():
    assert taking_part(8, None) == 8
    assert taking_part(8, jnp.array([0, 3, 8, 8])) == 2
