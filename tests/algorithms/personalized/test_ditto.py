"""Ditto against a loop over clients in double precision, and between its two halves."""

import jax
import numpy as np
import optax
import pytest
import tiny

from demjax import ditto, fedavg, local_only, local_training

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(7)
SHARE = np.array(tiny.SIZES) / sum(tiny.SIZES)


def history(algorithm, count=4):
    """Models and losses after each round."""
    one_round, state, seen = jax.jit(algorithm.round), algorithm.init(KEY, CLIENTS), []
    for number in range(count):
        state, info = one_round(jax.random.fold_in(KEY, number), state, CLIENTS)
        seen.append((algorithm.models(state), info.loss))
    return seen


def global_model(models):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0, 0], tiny.plain(models.group))


@pytest.mark.parametrize("prox", [0.3, 2.0])
def test_every_round_is_that_of_the_loop_over_clients(prox):
    server = tiny.float64(LOCAL.init(KEY))
    personal = [server] * len(SHARE)
    for number, (models, loss) in enumerate(history(ditto(LOCAL, prox=prox))):
        key, sent, losses, trained = jax.random.fold_in(KEY, number), server, [], []
        for n in range(len(SHARE)):
            trained.append(tiny.learn(key, sent, CLIENTS, n)[0])
            personal[n], own = tiny.learn(key, personal[n], CLIENTS, n, anchors=[(prox, sent)])
            losses.append(own)
        server = tiny.combine(*zip(SHARE, trained, strict=True))
        np.testing.assert_allclose(loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), personal)
        tiny.close(global_model(models), server)


def test_the_global_model_is_fedavgs_and_without_the_term_clients_are_alone():
    rounds = zip(history(ditto(LOCAL, prox=0.0)), history(fedavg(LOCAL)), strict=True)
    for ((models, _), (averaged, _)), (alone, loss) in zip(
        rounds, history(local_only(LOCAL)), strict=True
    ):
        tiny.close(global_model(models), global_model(averaged), 1e-6)
        tiny.close(tiny.unstack(models.client), tiny.unstack(alone.client), 1e-6)
        assert loss.shape == (len(SHARE),)
