"""Systems of a server on a model with batch statistics: these are averaged, never stepped."""

from functools import cache

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
import tiny

from demjax import classification, local_training
from demjax.registry import ALGORITHMS

CLIENTS = tiny.clients()
KEY = jax.random.key(44)
STEPPING = (
    *("fedavgm", "fedadam", "fedyogi", "fedadagrad"),
    *("feddyn", "fednova", "moon", "power_of_choice", "q_fedavg", "scaffold"),
)


class Normalized(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(5)(x))
        return nn.Dense(tiny.CLASSES)(nn.relu(x))


@cache
def task():
    return classification(Normalized(), CLIENTS.x[0])


@pytest.mark.parametrize("statistics", ["average", "local"])
@pytest.mark.parametrize("name", STEPPING)
def test_the_servers_statistics_lie_among_the_clients_and_parameters_learn(name, statistics):
    local = local_training(
        task(), optax.sgd(0.1), epochs=1, batch_size=tiny.BATCH, statistics=statistics
    )
    algorithm = ALGORITHMS[name].make(local, measure_at="trained")
    state, one_round = algorithm.init(KEY, CLIENTS), jax.jit(algorithm.round)
    for number in range(2):
        state, _ = one_round(jax.random.fold_in(KEY, number), state, CLIENTS)
    models = algorithm.models(state)
    client = tiny.plain(models.client)["batch_stats"]
    server = jax.tree.map(lambda leaf: leaf[0, 0], tiny.plain(models.group))
    for own, mean in zip(*map(jax.tree.leaves, (client, server["batch_stats"])), strict=True):
        own, mean = np.asarray(own), np.asarray(mean)
        assert np.ptp(own, axis=0).min() > 0
        assert (own.min(axis=0) - 1e-6 <= mean).all()
        assert (mean <= own.max(axis=0) + 1e-6).all()
    start = local.init(KEY)["params"]
    assert tiny.differ([start], [server["params"]])
