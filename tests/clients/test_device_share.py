"""What one device makes of its clients: all their models, or a weighted mean alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

import demjax
from demjax import spread_over
from demjax.pytrees import stack_copies


@pytest.mark.parametrize("chunk", [1, 3, 64])
@pytest.mark.parametrize("cohort", [None, [0, 2, 5], [1, 3, 8, 8]])
def test_the_mean_of_what_clients_learn_is_that_of_their_models(chunk, cohort):
    clients, key = tiny.clients(), jax.random.key(5)
    local = demjax.local_training(tiny.task(), optax.sgd(0.3), epochs=2, batch_size=4, chunk=chunk)
    own = stack_copies(local.init(key), 8)
    own = jax.tree.map(lambda leaf: leaf + jnp.arange(8.0).reshape(-1, *[1] * (leaf.ndim - 1)), own)
    own = jax.tree.map(lambda leaf: leaf.at[7].set(jnp.nan), own) if cohort else own
    who = None if cohort is None else jnp.asarray(cohort)
    trained, loss = jax.jit(local.train)(key, own, clients, cohort=who)
    weight = clients.train_size
    model, seen = jax.jit(local.mean)(key, own, clients, weight, cohort=who)
    rows = [n for n in (cohort or range(8)) if n < 8]
    share = np.asarray(weight, np.float64)[rows] / np.sum(np.asarray(weight)[rows])
    for found, leaf in zip(jax.tree.leaves(model), jax.tree.leaves(trained), strict=True):
        wanted = np.tensordot(share, np.asarray(leaf, np.float64)[rows], axes=1)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen, loss, rtol=1e-5)


def test_several_devices_have_the_mean_of_one_whatever_the_number_of_clients():
    clients, key = tiny.clients(), jax.random.key(5)
    local = demjax.local_training(tiny.task(), optax.sgd(0.3), epochs=2, batch_size=4)
    own = stack_copies(local.init(key), 8)
    for who in (None, jnp.asarray([1, 4, 6]), jnp.asarray([3])):
        one = jax.jit(local.mean)(key, own, clients, clients.train_size, cohort=who)
        with spread_over(2):
            two = jax.jit(local.mean)(key, own, clients, clients.train_size, cohort=who)
        for found, wanted in zip(jax.tree.leaves(two), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
