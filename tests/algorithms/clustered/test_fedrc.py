"""FedRC against a loop over clients, clusters and examples, and where it is federated averaging."""

import clusters_by_hand
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from needs import task_of
from partitions_alike import failure
from server_loops import members, rounds

from demjax import fedavg, fedrc, local_training
from demjax.base import NO_GROUP
from demjax.keys import for_part
from demjax.pytrees import model_bytes, stack_copies

TASK = task_of("fedrc")
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(53)
SIZES = np.array(tiny.SIZES)
X, Y = np.asarray(CLIENTS.x, np.float64), np.asarray(CLIENTS.y)
ROWS = [np.asarray(CLIENTS.train)[i, : SIZES[i]] for i in range(8)]
ONE = model_bytes(stack_copies(LOCAL.init(KEY), 1))


def loss_of_each(model, rows):
    return np.array([tiny.gradient(model, X[[j]], Y[[j]])[0] for j in rows])


def trained(key, model, client, gamma):
    """One client's part of one model, by the examples' parts; its last epoch's loss."""
    size, rows = SIZES[client], ROWS[client]
    for epoch in range(tiny.EPOCHS):
        draw, _ = tiny._draws(key, client, epoch)
        order, loss = np.argsort(np.asarray(draw)[:size], kind="stable"), 0.0
        for begin in range(0, size, tiny.BATCH):
            some = order[begin : begin + tiny.BATCH]
            each = [tiny.gradient(model, X[[j]], Y[[j]]) for j in rows[some]]
            part = gamma[some]
            loss += len(some) * sum(part * [one for one, _ in each]) / part.sum()
            step = tiny.combine(*zip(part / len(some), [slope for _, slope in each], strict=True))
            model = tiny.combine((1, model), (-tiny.RATE, step))
    return model, loss / size


def reference(cohort, kinds, count):
    """The paper's equations: models, ω, C, and the losses of the clients' own clusters."""
    drawn = [KEY, *(for_part(KEY, k) for k in range(1, kinds))]
    phi = [tiny.float64(TASK.init(key)) for key in drawn]
    omega, labels = np.full((8, kinds), 1 / kinds), np.full((kinds, 3), 1 / 3)
    at = np.full(8, NO_GROUP)
    for number in range(count):
        key = jax.random.fold_in(KEY, number)
        who, gamma = members(key, CLIENTS, cohort), {}
        for i in who:
            odds = [np.exp(-loss_of_each(model, ROWS[i])) for model in phi]
            joint = omega[i][:, None] * np.array(odds) / labels[:, Y[ROWS[i]]]
            gamma[i] = joint / joint.sum(axis=0)
        total = np.zeros((kinds, 3))
        for i in who:
            omega[i] = gamma[i].mean(axis=1)
            at[i] = np.argmax(omega[i])
            for y in range(3):
                total[:, y] += gamma[i][:, Y[ROWS[i]] == y].sum(axis=1)
        labels, loss = total / total.sum(axis=1, keepdims=True), np.full(8, np.nan)
        share = SIZES[who] / SIZES[who].sum()
        for k in range(kinds):
            made = {i: trained(key, phi[k], i, gamma[i][k]) for i in who}
            phi[k] = tiny.combine(*zip(share, [made[i][0] for i in who], strict=True))
            for i in who:
                loss[i] = made[i][1] if at[i] == k else loss[i]
        yield list(phi), omega.copy(), labels, at.copy(), loss, len(who)


@pytest.mark.parametrize("cohort", [None, 5])
def test_every_round_is_that_of_the_loop_over_clients_clusters_and_examples(cohort):
    algorithm = fedrc(LOCAL, clusters=2, cohort=cohort)
    for (_, models, info), (phi, omega, _, at, loss, count) in zip(
        rounds(algorithm, KEY, CLIENTS, 4), reference(cohort, 2, 4), strict=True
    ):
        np.testing.assert_allclose(info.omega, omega, rtol=2e-4, atol=1e-5)
        clusters_by_hand.hold(models, phi, at, SIZES)
        np.testing.assert_allclose(info.loss, loss, rtol=1e-4)
        # two models and two times three shares of labels, each way
        assert (info.bytes_up, info.bytes_down) == (count * (2 * ONE + 24),) * 2
    assert len(set(at.tolist()) - {NO_GROUP}) == 2


def test_one_cluster_is_federated_averaging():
    options = {"cohort": 5, "measure_at": "trained"}
    one = fedrc(LOCAL, clusters=1, **options)
    clusters_by_hand.same(one, fedavg(LOCAL, **options), KEY, CLIENTS)


def test_what_is_not_possible_is_told_in_a_sentence():
    failure(lambda: fedrc(LOCAL, clusters=0), "clusters", "0 was given")
    failure(lambda: fedrc(LOCAL, clusters=9).init(KEY, CLIENTS), "9 clusters", "8 clients")
    silent = local_training(tiny.task(), optax.sgd(0.1))
    failure(lambda: fedrc(silent), "FedRC", "predict and losses")
    targets = CLIENTS._replace(y=jnp.asarray(CLIENTS.y, jnp.float32))
    failure(lambda: fedrc(LOCAL).init(KEY, targets), "a label of each example", "float32")
