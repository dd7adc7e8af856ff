"""Federated averaging by hand and against a loop over clients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import fedavg, local_training
from demjax.clients.local_training import LocalTraining

TASK = tiny.task()
LOCAL = local_training(
    TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH, chunk=3
)
CLIENTS = tiny.clients()
KEY = jax.random.key(5)
SHARE = np.array(tiny.SIZES) / sum(tiny.SIZES)

STEPS = np.array([[0.0, 3.0], [3.0, 1.0], [6.0, 2.0]], np.float32)
THREE = tiny.clients(sizes=(1, 2, 3), test_sizes=(1, 1, 1))


def shifting():
    """Local training that is known without computing: client n moves by ``STEPS[n]``."""

    def train(key, params, clients, proximal=None, gradients=False, cohort=None):
        return jax.tree.map(lambda w: w + STEPS, params), jnp.zeros(3)

    return LocalTraining(lambda key: {"w": jnp.array([1.0, -1.0])}, train)


def rounds(algorithm, clients, count, one_round=None):
    state, one_round = algorithm.init(KEY, clients), one_round or algorithm.round
    for number in range(count):
        state, info = one_round(jax.random.fold_in(KEY, number), state, clients)
        yield algorithm.models(state), info


def global_model(models):
    assert {leaf.shape[:2] for leaf in jax.tree.leaves(models.group)} == {(1, 1)}
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0, 0], tiny.plain(models.group))


def test_the_mean_is_weighted_by_training_examples():
    first, second = (models for models, _ in rounds(fedavg(shifting()), THREE, 2))
    # (1·[0, 3] + 2·[3, 1] + 3·[6, 2]) / 6 = [4, 11/6], added to [1, −1]
    np.testing.assert_allclose(global_model(first)["w"], [5, 5 / 6], rtol=1e-6)
    np.testing.assert_allclose(global_model(second)["w"], [9, 8 / 3], rtol=1e-6)
    # the clients are those before averaging, and each round starts from the global model
    np.testing.assert_allclose(tiny.plain(first.client)["w"], [[1, 2], [4, 0], [7, 1]], rtol=1e-6)
    np.testing.assert_allclose(
        tiny.plain(second.client)["w"], np.array([5, 5 / 6]) + STEPS, rtol=1e-6, atol=1e-6
    )


def test_the_control_mixes_each_client_with_the_global_model_and_goes_on_from_there():
    first, second = (models for models, _ in rounds(fedavg(shifting(), mix=0.25), THREE, 2))
    np.testing.assert_allclose(global_model(first)["w"], [5, 5 / 6], rtol=1e-6)
    # ¾·[1, 2] + ¼·[5, 5/6] and so on
    mixed = np.array([[2, 41 / 24], [4.25, 5 / 24], [6.5, 23 / 24]])
    np.testing.assert_allclose(tiny.plain(first.client)["w"], mixed, rtol=1e-6)
    trained = mixed + STEPS
    mean = (1 * trained[0] + 2 * trained[1] + 3 * trained[2]) / 6
    np.testing.assert_allclose(global_model(second)["w"], mean, rtol=1e-6)
    np.testing.assert_allclose(
        tiny.plain(second.client)["w"], 0.75 * trained + 0.25 * mean, rtol=1e-6
    )


def test_a_server_with_momentum_takes_the_way_to_the_mean_as_its_gradient():
    algorithm = fedavg(shifting(), server_optimizer=optax.sgd(0.5, momentum=0.9))
    server, momentum = np.array([1.0, -1.0]), np.zeros(2)
    for models, _ in rounds(algorithm, THREE, 4):
        mean = server + np.array([4, 11 / 6])
        momentum = 0.9 * momentum + (server - mean)
        server = server - 0.5 * momentum
        np.testing.assert_allclose(global_model(models)["w"], server, rtol=1e-6)


def test_adam_on_the_server_is_the_published_one():
    """FedAdam of Reddi et al., with bias correction as in Kingma and Ba."""
    algorithm = fedavg(shifting(), server_optimizer=optax.adam(0.1, b1=0.9, b2=0.99, eps=1e-3))
    server, mean, square = np.array([1.0, -1.0]), np.zeros(2), np.zeros(2)
    for number, (models, _) in enumerate(rounds(algorithm, THREE, 3), start=1):
        slope = -np.array([4, 11 / 6])
        mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope**2
        step = mean / (1 - 0.9**number) / (np.sqrt(square / (1 - 0.99**number)) + 1e-3)
        server = server - 0.1 * step
        np.testing.assert_allclose(global_model(models)["w"], server, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"mix": 0.4, "momentum": 0.8}])
def test_every_round_is_that_of_the_loop_over_clients(options):
    mix, decay = options.get("mix"), options.get("momentum")
    optimizer = decay and optax.sgd(0.7, momentum=decay)
    algorithm = fedavg(LOCAL, mix=mix, server_optimizer=optimizer)
    server = tiny.float64(LOCAL.init(KEY))
    own, momentum = [server] * len(SHARE), tiny.combine((0, server))
    history = rounds(algorithm, CLIENTS, 5, jax.jit(algorithm.round))
    for number, (models, info) in enumerate(history):
        key = jax.random.fold_in(KEY, number)
        learned = [
            tiny.learn(key, server if mix is None else own[n], CLIENTS, n)
            for n in range(len(SHARE))
        ]
        own, losses = [list(column) for column in zip(*learned, strict=True)]
        mean = tiny.combine(*zip(SHARE, own, strict=True))
        if decay:
            momentum = tiny.combine((decay, momentum), (1, server), (-1, mean))
            server = tiny.combine((1, server), (-0.7, momentum))
        else:
            server = mean
        if mix is not None:
            own = [tiny.combine((1 - mix, client), (mix, server)) for client in own]
        np.testing.assert_allclose(info.loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), own)
        tiny.close(global_model(models), server)


def test_plain_sgd_at_rate_1_on_the_server_is_no_server_optimizer():
    plain, sgd = (
        [models for models, _ in rounds(fedavg(shifting(), server_optimizer=server), THREE, 4)]
        for server in (None, optax.sgd(1.0))
    )
    for one, other in zip(plain, sgd, strict=True):
        tiny.close(one, other, 1e-6)


def test_full_mixing_is_fedavg_and_none_is_everyone_alone():
    plain, full, none = (
        [models for models, _ in rounds(fedavg(shifting(), mix=mix), THREE, 3)]
        for mix in (None, 1.0, 0.0)
    )
    for number, (one, other, alone) in enumerate(zip(plain, full, none, strict=True), start=1):
        tiny.close(global_model(other), global_model(one), 1e-6)
        np.testing.assert_allclose(
            tiny.plain(other.client)["w"], np.tile(global_model(one)["w"], (3, 1)), rtol=1e-6
        )
        np.testing.assert_allclose(
            tiny.plain(alone.client)["w"], np.array([1, -1]) + number * STEPS, rtol=1e-6
        )
