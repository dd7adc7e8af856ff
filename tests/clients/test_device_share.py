"""What one device makes of its clients: all their models, or a weighted mean alone."""

import flax.linen as nn
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
    sent = local.init(key)
    who = None if cohort is None else jnp.asarray(cohort)
    trained, loss = jax.jit(local.train)(key, stack_copies(sent, 8), clients, cohort=who)
    weight = clients.train_size
    model, seen = jax.jit(local.mean)(key, sent, clients, weight, who)
    rows = [n for n in (cohort or range(8)) if n < 8]
    share = np.asarray(weight, np.float64)[rows] / np.sum(np.asarray(weight)[rows])
    for found, leaf in zip(jax.tree.leaves(model), jax.tree.leaves(trained), strict=True):
        wanted = np.tensordot(share, np.asarray(leaf, np.float64)[rows], axes=1)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen, loss, rtol=1e-5)


@pytest.mark.parametrize("statistics", ["average", "local", "recompute"])
@pytest.mark.parametrize("cohort", [None, [1, 6]])
def test_clients_keep_their_own_statistics_where_they_shall(statistics, cohort):
    """A model with batch statistics, against training from what ``begin`` gives."""
    clients, key = tiny.clients(), jax.random.key(2)
    task = demjax.classification(WithStatistics(), clients.x[0])
    local = demjax.local_training(task, optax.sgd(0.1), batch_size=4, statistics=statistics)
    sent = local.init(key)
    own = jax.tree.map(
        lambda leaf: leaf + jnp.arange(8.0).reshape(-1, *[1] * (leaf.ndim - 1)),
        stack_copies(sent, 8),
    )
    who = None if cohort is None else jnp.asarray(cohort)
    begun = local.begin(own, stack_copies(sent, 8))
    trained, _ = jax.jit(local.train)(key, begun, clients, cohort=who)
    weight = np.asarray(clients.train_size, np.float64)[cohort or slice(None)]
    model, _ = jax.jit(local.mean)(key, sent, clients, clients.train_size, who, own)
    leaves = zip(jax.tree.leaves(model), jax.tree.leaves(trained), strict=True)
    for found, leaf in leaves:
        rows = np.asarray(leaf, np.float64)[cohort or slice(None)]
        wanted = np.tensordot(weight / weight.sum(), rows, axes=1)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


class WithStatistics(nn.Module):
    """A dense layer, its batch normalization, and another."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(5)(x))
        return nn.Dense(tiny.CLASSES)(nn.relu(x))


def test_several_devices_have_the_mean_of_one_whatever_the_number_of_clients():
    clients, key = tiny.clients(), jax.random.key(5)
    local = demjax.local_training(tiny.task(), optax.sgd(0.3), epochs=2, batch_size=4)
    sent = local.init(key)
    for who in (None, jnp.asarray([1, 4, 6]), jnp.asarray([3])):
        one = jax.jit(local.mean)(key, sent, clients, clients.train_size, who)
        with spread_over(2):
            two = jax.jit(local.mean)(key, sent, clients, clients.train_size, who)
        for found, wanted in zip(jax.tree.leaves(two), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
