"""Clients on their own: against the loop, and that nobody hears of anybody."""

import jax
import numpy as np
import optax
import pytest
import tiny

from demjax import local_only, local_training

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(9)
ALGORITHM = local_only(LOCAL)
ONE_ROUND = jax.jit(ALGORITHM.round)


def rounds(clients, count=4):
    state = ALGORITHM.init(KEY, clients)
    for number in range(count):
        state, info = ONE_ROUND(jax.random.fold_in(KEY, number), state, clients)
        yield ALGORITHM.models(state), info.loss


def test_every_round_is_that_of_the_loop_over_clients():
    own = [tiny.float64(LOCAL.init(KEY))] * len(tiny.SIZES)
    for number, (models, loss) in enumerate(rounds(CLIENTS)):
        key = jax.random.fold_in(KEY, number)
        learned = [tiny.learn(key, model, CLIENTS, n) for n, model in enumerate(own)]
        own, losses = [list(column) for column in zip(*learned, strict=True)]
        np.testing.assert_allclose(loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), own)
        # the global model is the plain mean, whatever the clients' sizes
        mean = tiny.combine(*[(1 / len(own), model) for model in own])
        tiny.close(jax.tree.map(lambda leaf: leaf[0, 0], tiny.plain(models.group)), mean)


@pytest.mark.parametrize("changed", [0, 2, 7])
def test_what_one_client_sees_changes_no_bit_of_the_others(changed):
    rows = np.asarray(CLIENTS.train)[changed, : tiny.SIZES[changed]]
    other = CLIENTS._replace(
        x=CLIENTS.x.at[rows].multiply(-3.0), y=CLIENTS.y.at[rows].set((CLIENTS.y[rows] + 1) % 3)
    )
    others = np.arange(len(tiny.SIZES)) != changed
    for (before, loss), (after, other_loss) in zip(rounds(CLIENTS), rounds(other), strict=True):
        kept = [jax.tree.map(lambda leaf: leaf[others], m.client) for m in (before, after)]
        tiny.same_bits(*kept)
        tiny.same_bits(loss[others], other_loss[others])
        pair = [jax.tree.map(lambda leaf: leaf[changed], m.client) for m in (before, after)]
        assert tiny.differ(pair[:1], pair[1:])


def test_a_smaller_client_makes_its_own_steps_and_no_others():
    """Fewer examples of one client, and so another order of training, leave the others be."""
    fewer = CLIENTS._replace(train_size=CLIENTS.train_size.at[2].set(2))
    others = np.arange(len(tiny.SIZES)) != 2
    for (before, _), (after, _) in zip(rounds(CLIENTS), rounds(fewer), strict=True):
        tiny.same_bits(
            *[jax.tree.map(lambda leaf: leaf[others], m.client) for m in (before, after)]
        )
