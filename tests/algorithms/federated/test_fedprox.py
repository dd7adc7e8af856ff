"""FedProx against a loop over clients, and between its two limits."""

from functools import cache

import jax
import numpy as np
import optax
import pytest
import tiny

from demjax import fedavg, fedprox, local_training

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(7)
SHARE = np.array(tiny.SIZES) / sum(tiny.SIZES)


@cache
def history(prox, count=5):
    """Models and losses after each round, ``μ`` traced; ``None`` is federated averaging."""
    algorithm = fedavg(LOCAL) if prox is None else fedprox(LOCAL, prox=prox)
    state, seen = algorithm.init(KEY, CLIENTS), []
    for number in range(count):
        key = jax.random.fold_in(KEY, number)
        state, info = one_round(prox, key, state)
        seen.append((algorithm.models(state), info.loss))
    return seen


@jax.jit
def one_round(prox, key, state):
    algorithm = fedavg(LOCAL) if prox is None else fedprox(LOCAL, prox=prox)
    return algorithm.round(key, state, CLIENTS)


def global_model(models):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0, 0], tiny.plain(models.group))


@pytest.mark.parametrize("prox", [0.5, 2.0])
def test_every_round_is_that_of_the_loop_over_clients(prox):
    server = tiny.float64(LOCAL.init(KEY))
    for number, (models, loss) in enumerate(history(prox)):
        key = jax.random.fold_in(KEY, number)
        learned = [
            tiny.learn(key, server, CLIENTS, n, anchors=[(prox, server)]) for n in range(len(SHARE))
        ]
        own, losses = [list(column) for column in zip(*learned, strict=True)]
        server = tiny.combine(*zip(SHARE, own, strict=True))
        np.testing.assert_allclose(loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), own)
        tiny.close(global_model(models), server)


def test_the_default_is_the_published_half_towards_the_global_model():
    terms = []

    def train(key, params, clients, proximal=None, gradients=False, cohort=None):
        terms.append(proximal)
        return params, np.zeros(clients.n_clients)

    algorithm = fedprox(LOCAL._replace(train=train))
    state = algorithm.init(KEY, CLIENTS)
    algorithm.round(KEY, state, CLIENTS)
    (proximal,) = terms
    assert (np.asarray(proximal.weight).sum(axis=1) == 0.5).all()
    tiny.same_bits(proximal.anchors.model(0), state.server)


def test_without_a_proximal_term_it_is_fedavg():
    for (one, loss), (other, other_loss) in zip(history(0.0), history(None), strict=True):
        tiny.close(one, other, 1e-6)
        tiny.close(loss, other_loss, 1e-6)


def test_the_stronger_the_term_the_nearer_clients_stay_to_where_they_started():
    start = tiny.vector(LOCAL.init(KEY))

    def moved(prox):
        models, _ = history(prox)[0]
        return np.array(
            [np.linalg.norm(tiny.vector(m) - start) for m in tiny.unstack(models.client)]
        )

    assert moved(2.0).sum() < 0.9 * moved(0.5).sum() < 0.9 * 0.9 * moved(0.0).sum()
    # one example gives one step an epoch, so that the second epoch's term is all that can act
    only = tiny.SIZES.index(1)
    assert moved(2.0)[only] != moved(0.0)[only]
