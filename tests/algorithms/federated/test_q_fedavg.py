"""q-FedAvg against a loop over clients, its limit of no fairness, and what fairness does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import server_loops
import tiny

from demjax import fedavg, local_training, q_fedavg

CLIENTS = tiny.clients()
KEY = jax.random.key(32)
LOCAL = local_training(
    tiny.task(dropout=False), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH
)


def loss_at(model, client):
    rows = np.asarray(CLIENTS.train)[client, : tiny.SIZES[client]]
    return tiny.gradient(
        model, np.asarray(CLIENTS.x, np.float64)[rows], np.asarray(CLIENTS.y)[rows]
    )[0]


@pytest.mark.parametrize(
    ("q", "lipschitz", "cohort"), [(1.0, None, None), (2.5, None, 3), (0.3, 7.0, None)]
)
def test_every_round_is_that_of_the_loop_over_clients(q, lipschitz, cohort):
    algorithm = q_fedavg(LOCAL, q=q, lipschitz=lipschitz, cohort=cohort)
    steep, model = lipschitz or 1 / tiny.RATE, tiny.float64(LOCAL.init(KEY))
    for key, models, info in server_loops.rounds(algorithm, KEY, CLIENTS, 4):
        step, total = tiny.combine((0, model)), 0.0
        who = server_loops.members(key, CLIENTS, cohort)
        for n in who:
            own, loss = tiny.learn(key, model, CLIENTS, n, dropout=False)
            np.testing.assert_allclose(info.loss[n], loss, rtol=5e-5)
            before = loss_at(model, n)
            way = tiny.combine((steep, model), (-steep, own))
            step = tiny.combine((1, step), (before**q, way))
            squares = np.sum(tiny.vector(way) ** 2)
            total += q * before ** (q - 1) * squares + steep * before**q
        model = tiny.combine((1, model), (-1 / total, step))
        tiny.close(server_loops.global_model(models), model, 5e-5)


@pytest.mark.parametrize("lipschitz", [None, 0.5])
def test_without_fairness_it_is_fedavg_of_clients_that_count_alike(lipschitz):
    clients = tiny.clients(sizes=(5,) * 6, test_sizes=(1,) * 6)
    one = q_fedavg(LOCAL, q=0.0, lipschitz=lipschitz, cohort=4, measure_at="trained")
    server_loops.same(one, fedavg(LOCAL, cohort=4), KEY, clients)


def test_with_one_step_of_all_examples_it_is_a_step_of_q_ffls_gradient():
    """``w − Σ F^q ∇F / Σ (q F^(q−1) ‖∇F‖² + F^q / η)``, as of q-FedSGD."""
    own = local_training(
        tiny.task(dropout=False), optax.sgd(0.1), epochs=1, batch_size=max(tiny.SIZES)
    )
    ((_, models, _),) = server_loops.rounds(q_fedavg(own, q=2.0), KEY, CLIENTS, 1)
    start = tiny.float64(own.init(KEY))
    x, y = np.asarray(CLIENTS.x, np.float64), np.asarray(CLIENTS.y)
    found = [
        tiny.gradient(start, x[rows[:size]], y[rows[:size]])
        for rows, size in zip(np.asarray(CLIENTS.train), tiny.SIZES, strict=True)
    ]
    total = sum(2 * f * np.sum(tiny.vector(g) ** 2) + f**2 / 0.1 for f, g in found)
    wanted = tiny.combine((1, start), *[(-(f**2) / total, g) for f, g in found])
    tiny.close(server_loops.global_model(models), wanted, 2e-5)


def test_the_fairer_the_more_the_clients_with_a_high_loss_gain():
    def outcome(q):
        for _, models, _ in server_loops.rounds(q_fedavg(LOCAL, q=q), KEY, CLIENTS, 6):
            model = tiny.float64(server_loops.global_model(models))
        return np.std([loss_at(model, n) for n in range(8)])

    assert outcome(5.0) < outcome(0.0)


def test_nobody_in_a_cohort_changes_nothing():
    def nobody_beside(key, count):
        return jnp.array([1, 4, count, 6, count])

    def those(key, count):
        return jnp.array([1, 4, 6])

    one, other = (
        [
            server_loops.global_model(models)
            for _, models, _ in server_loops.rounds(
                q_fedavg.__wrapped__(LOCAL, cohort=who), KEY, CLIENTS, 2
            )
        ]
        for who in (nobody_beside, those)
    )
    tiny.close(one, other, 1e-6)


@pytest.mark.parametrize(
    ("options", "words"), [({"q": -1.0}, "q as "), ({"lipschitz": 0.0}, "lipschitz as ")]
)
def test_what_is_not_possible_is_told_in_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        q_fedavg(LOCAL, **options)
