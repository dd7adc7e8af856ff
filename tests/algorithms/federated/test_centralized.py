"""Training on pooled data against a loop, and as local training of one client who has it all."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from server_loops import global_model, rounds

from demjax import centralized, fedavg, local_training, simulate
from demjax.algorithms.federated.centralized import pooled
from demjax.base import ClientData

CLIENTS = tiny.clients()
TASK = tiny.task(dropout=False)
KEY = jax.random.key(34)
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
TOTAL = sum(tiny.SIZES)


def everything(clients):
    """Indices of all training examples, in ascending order."""
    rows = zip(np.asarray(clients.train), np.asarray(clients.train_size), strict=True)
    return np.sort(np.concatenate([row[:size] for row, size in rows]))


def learned(key, model, clients, rows):
    """Epochs over all examples in the order that the key of client 0 draws."""
    x, y = np.asarray(clients.x, np.float64), np.asarray(clients.y)
    for epoch in range(tiny.EPOCHS):
        own = jax.random.fold_in(jax.random.fold_in(key, 0), epoch)
        draw = np.asarray(jax.random.uniform(jax.random.fold_in(own, 0), (len(rows),)))
        order, total = rows[np.argsort(draw, kind="stable")], 0.0
        for start in range(0, len(rows), tiny.BATCH):
            some = order[start : start + tiny.BATCH]
            loss, slope = tiny.gradient(model, x[some], y[some])
            model, total = tiny.combine((1, model), (-tiny.RATE, slope)), total + loss * len(some)
    return model, total / len(rows)


def test_every_round_is_that_of_a_loop_over_all_examples():
    model = tiny.float64(LOCAL.init(KEY))
    for key, models, info in rounds(centralized(LOCAL), KEY, CLIENTS, 3):
        model, loss = learned(key, model, CLIENTS, everything(CLIENTS))
        tiny.close(global_model(models), model, 5e-5)
        tiny.close(tiny.unstack(models.client), [model] * 8, 5e-5)
        np.testing.assert_allclose(info.loss, np.full(8, loss), rtol=5e-5)
        assert info.bytes_up == info.bytes_down == 0


def test_it_is_local_training_of_one_client_who_has_all_data():
    """That client's row is in ascending order, of any width."""
    rows = everything(CLIENTS)
    alone = CLIENTS._replace(
        train=jnp.asarray(np.pad(rows, (0, 9)))[None],
        train_size=jnp.asarray([TOTAL]),
        test=CLIENTS.test[:1],
        test_size=CLIENTS.test_size[:1],
    )
    one, other = rounds(centralized(LOCAL), KEY, CLIENTS, 3), rounds(fedavg(LOCAL), KEY, alone, 3)
    for (_, models, _), (_, wanted, _) in zip(one, other, strict=True):
        tiny.close(global_model(models), global_model(wanted), 1e-6)


def test_an_example_of_several_clients_is_there_once_for_each():
    data = ClientData(
        x=jnp.zeros((6, 2)),
        y=jnp.zeros(6, jnp.int32),
        train=jnp.array([[3, 1, 5], [1, 0, 0], [4, 1, 5]]),
        train_size=jnp.array([2, 1, 2]),
        test=jnp.array([[0], [2], [2]]),
        test_size=jnp.array([1, 1, 1]),
    )
    one = pooled(data)
    assert one.n_clients == 1
    assert one.train_size.tolist() == [5]
    assert one.train[0, :5].tolist() == [1, 1, 1, 3, 4]
    assert set(one.train[0, 5:].tolist()) <= set(range(6))


def test_it_makes_as_many_steps_as_all_examples_need():
    alone = pooled(CLIENTS)
    assert LOCAL.batches(alone).tolist() == [tiny.EPOCHS * -(-TOTAL // tiny.BATCH)]
    assert LOCAL.batches(CLIENTS).sum() >= LOCAL.batches(alone)[0]


def test_everyone_is_scored_by_it_and_may_fine_tune_it_first():
    history = simulate(centralized(LOCAL), TASK, CLIENTS, rounds=2, key=KEY)
    np.testing.assert_allclose(history.measures.c_gen, history.measures.global_score, atol=1e-6)
    tuned = centralized(LOCAL, measure_at="fine-tuned", fine_tune_epochs=3)
    assert tuned.moment == "fine-tuned"
    own = simulate(tuned, TASK, CLIENTS, rounds=2, key=KEY)
    tiny.same_bits(own.state, history.state)
    assert (np.asarray(own.measures.c_gen) != np.asarray(history.measures.c_gen)).any()


def test_what_is_not_possible_is_told_in_a_sentence():
    with pytest.raises(ValueError, match="'trained' take no fine_tune_epochs"):
        centralized(LOCAL, fine_tune_epochs=2)
