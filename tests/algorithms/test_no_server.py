"""A system without a server: gossip in a ring, run, measured and written down like any other."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny

from demjax import Algorithm, local_training, simulate, watch
from demjax.hierarchy import no_server
from demjax.pytrees import combine, stack_copies
from demjax.runs.rows import clients_rows, metrics_row

CLIENTS, TASK = tiny.clients(), tiny.task()
COUNT = len(tiny.SIZES)
KEY = jax.random.key(6)
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
RING = (np.eye(COUNT) + np.roll(np.eye(COUNT), 1, axis=1) + np.roll(np.eye(COUNT), -1, axis=1)) / 3


def gossip(local):
    def init(key, clients):
        return stack_copies(local.init(key), clients.n_clients)

    def one_round(key, state, clients):
        client, loss = local.train(key, state, clients)
        return combine(client, jnp.asarray(RING, jnp.float32)), loss

    return Algorithm(init, one_round, no_server)


@cache
def moments():
    return [
        moment._replace(state=jax.tree.map(np.array, moment.state))
        for moment in watch(gossip(LOCAL), TASK, CLIENTS, rounds=3, key=KEY)
    ]


def test_rounds_are_those_of_a_loop_over_neighbours():
    start = tiny.float64(LOCAL.init(jax.random.fold_in(KEY, np.uint32(2**32 - 1))))
    own = [start] * COUNT
    for number, moment in enumerate(moments()):
        tiny.close(tiny.unstack(moment.state), own, 5e-5)
        key = jax.random.fold_in(KEY, number)
        own = [tiny.learn(key, model, CLIENTS, n)[0] for n, model in enumerate(own)]
        own = [tiny.combine(*zip(row, own, strict=True)) for row in RING]


def test_clients_are_measured_and_of_groups_and_a_server_there_is_nothing():
    tests, examples = tiny.test_rows(CLIENTS), np.concatenate(tiny.test_rows(CLIENTS))
    for moment in moments():
        measures, models = moment.measures, tiny.float64(tiny.unstack(moment.state))
        general = [tiny.answers(model, CLIENTS, examples) for model in models]
        np.testing.assert_allclose(measures.client_gen, general, atol=1e-6)
        right = sum(
            tiny.answers(model, CLIENTS, rows) * len(rows)
            for model, rows in zip(models, tests, strict=True)
            if len(rows)
        )
        np.testing.assert_allclose(measures.c_spe, right / len(examples), atol=1e-6)
        assert np.isnan(measures.global_score)
        assert measures.g_spe.shape == measures.g_gen.shape == (0,)
        assert measures.hierarchy.groups.shape == (0, COUNT)
        assert {leaf.shape for leaf in measures.structure} == {(0,)}
        assert int(measures.diverged) == 0


def test_a_whole_run_is_the_watched_one():
    history = simulate(gossip(LOCAL), TASK, CLIENTS, rounds=3, key=KEY)
    tiny.close(history.state, moments()[-1].state, 1e-6)
    assert np.isnan(history.measures.global_score).all()


def test_a_run_folder_leaves_the_columns_of_a_server_blank():
    measures = jax.device_get(moments()[-1].measures)
    row = metrics_row(3, measures, 1.5)
    assert set(row) == {"round", "c_spe", "c_gen", "global", "seconds", "c_spe_by_client"}
    assert row["global"] is None
    assert row["c_spe"] is not None
    rows = clients_rows(3, measures)
    assert len(rows) == COUNT
    assert set(rows[0]) == {"round", "client", "c_spe", "c_gen"}
