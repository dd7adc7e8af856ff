"""Batch statistics in local training, against Flax applied by hand, a client and a batch a time."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import classification, fedavg, local_training
from demjax.pytrees import stack_copies

CLIENTS = tiny.clients(sizes=(7, 3, 4), test_sizes=(2, 1, 1))
SIZES = (7, 3, 4)
KEY = jax.random.key(2)
MOMENTUM, RATE, BATCH, EPOCHS = 0.8, 0.1, 4, 2


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM)(nn.Dense(5)(x))
        return nn.Dense(tiny.CLASSES)(nn.relu(x))


TASK = classification(Normed(), CLIENTS.x[0])


def training(statistics, chunk=None):
    return local_training(
        TASK,
        optax.sgd(RATE),
        epochs=EPOCHS,
        batch_size=BATCH,
        chunk=chunk,
        statistics=statistics,
    )


def batches(order):
    """Batches of an epoch: the last is filled up with the first examples, which do not count."""
    for start in range(0, len(order), BATCH):
        places = np.arange(start, start + BATCH)
        yield np.asarray(order)[places % len(order)], (places < len(order)).astype(np.float32)


@jax.jit
def one_step(model, x, y, weight):
    def loss(params):
        logits, new = Normed().apply(
            {**model, "params": params}, x, train=True, mutable=["batch_stats"]
        )
        each = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        return jnp.sum(weight * each) / jnp.sum(weight), new

    (_, new), slope = jax.value_and_grad(loss, has_aux=True)(model["params"])
    params = jax.tree.map(lambda p, g: p - RATE * g, model["params"], slope)
    return {"params": params, **new}


def by_hand(model, client):
    rows = np.asarray(CLIENTS.train)[client, : SIZES[client]]
    own = jax.random.fold_in(KEY, client)
    for epoch in range(EPOCHS):
        key = jax.random.fold_in(jax.random.fold_in(own, epoch), 0)
        width = -(-max(SIZES) // BATCH) * BATCH
        draw = np.asarray(jax.random.uniform(key, (width,)))[: len(rows)]
        for some, weight in batches(rows[np.argsort(draw)]):
            model = one_step(model, CLIENTS.x[some], CLIENTS.y[some], weight)
    return model


def recomputed_by_hand(model, client):
    """Means over batches of the first layer's mean and variance, weighted by examples."""
    rows = np.asarray(CLIENTS.train)[client, : SIZES[client]]
    first = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), model["params"]["Dense_0"])
    found = []
    for some, weight in batches(rows):
        x = np.asarray(CLIENTS.x, np.float64)[some] @ first["kernel"] + first["bias"]
        found.append((weight.sum(), x.mean(axis=0), x.var(axis=0)))
    total = sum(count for count, *_ in found)
    mean, var = (sum(one[0] * one[i] for one in found) / total for i in (1, 2))
    as_one = {"mean": jnp.asarray(mean, jnp.float32), "var": jnp.asarray(var, jnp.float32)}
    return {**model, "batch_stats": {"BatchNorm_0": as_one}}


@pytest.mark.parametrize(("statistics", "chunk"), [("average", 1), ("recompute", 3)])
def test_every_client_trains_as_flax_does_by_hand(statistics, chunk):
    local = training(statistics, chunk)
    model = local.init(KEY)
    got, loss = jax.jit(local.train)(KEY, stack_copies(model, 3), CLIENTS)
    assert np.isfinite(loss).all()
    for client, learned in enumerate(tiny.unstack(got)):
        start = recomputed_by_hand(model, client) if statistics == "recompute" else model
        tiny.close(learned, jax.tree.map(np.asarray, by_hand(start, client)), 1e-4)


def test_padding_of_the_rows_reaches_no_statistics():
    local = training("average", 3)
    train = jax.jit(local.train)
    start = stack_copies(local.init(KEY), 3)
    filled = CLIENTS.train.at[1, 3:].set(CLIENTS.train[0, 0]).at[2, 4:].set(CLIENTS.train[0, 1])
    tiny.same_bits(train(KEY, start, CLIENTS), train(KEY, start, CLIENTS._replace(train=filled)))


@pytest.mark.parametrize("statistics", ["average", "local"])
def test_a_round_of_averaging_hands_statistics_out_or_leaves_them_with_clients(statistics):
    local = training(statistics)
    algorithm = fedavg(local)
    one_round = jax.jit(algorithm.round)
    first, _ = one_round(KEY, algorithm.init(KEY, CLIENTS), CLIENTS)
    server = jax.tree.map(np.asarray, first.server)
    mean = tiny.combine(*zip(np.array(SIZES) / sum(SIZES), tiny.unstack(first.client), strict=True))
    tiny.close(server, mean)
    second, _ = one_round(KEY, first, CLIENTS)
    for client, own in enumerate(tiny.unstack(first.client)):
        kept = own["batch_stats"] if statistics == "local" else server["batch_stats"]
        wanted = by_hand({"params": server["params"], "batch_stats": kept}, client)
        tiny.close(tiny.unstack(second.client)[client], jax.tree.map(np.asarray, wanted), 1e-4)


@pytest.mark.parametrize("server", [optax.sgd(1.0, momentum=0.9), optax.adam(0.3, eps=0.01)])
def test_a_servers_optimizer_steps_parameters_and_leaves_statistics_the_mean(server):
    algorithm = fedavg(training("average"), server_optimizer=server)
    one_round, state = jax.jit(algorithm.round), algorithm.init(KEY, CLIENTS)
    memory, model = server.init(state.server), state.server
    for number in range(3):
        state, _ = one_round(jax.random.fold_in(KEY, number), state, CLIENTS)
        shares = np.array(SIZES) / sum(SIZES)
        mean = tiny.combine(*zip(shares, tiny.unstack(state.client), strict=True))
        tiny.close(state.server["batch_stats"], mean["batch_stats"])
        slope = {
            "params": jax.tree.map(lambda w, m: w - m, model["params"], mean["params"]),
            "batch_stats": jax.tree.map(np.zeros_like, mean["batch_stats"]),
        }
        updates, memory = server.update(slope, memory, model)
        model = {**optax.apply_updates(model, updates), "batch_stats": mean["batch_stats"]}
        tiny.close(state.server["params"], jax.tree.map(np.asarray, model["params"]), 1e-4)


def test_choices_that_are_not_possible_are_told_in_a_sentence():
    with pytest.raises(ValueError, match="one of average, local, recompute, but 'sum' was given"):
        training("sum")
    with pytest.raises(ValueError, match=r"'local' only for a model that has .* has none\.$"):
        local_training(tiny.task(), optax.sgd(0.1), statistics="local")
