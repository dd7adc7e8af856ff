"""FedDyn against a loop over clients with the paper's letters, and its limit without a term."""

import jax
import numpy as np
import optax
import pytest
import server_loops
import tiny
from by_steps import batches

from demjax import feddyn, local_training

CLIENTS = tiny.clients()
KEY = jax.random.key(35)
LOCAL = local_training(
    tiny.task(dropout=False), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH
)
COUNT = len(tiny.SIZES)


def learned(key, start, client, linear, alpha):
    """Steps on ``F(w) − ⟨g, w⟩ + α/2 ‖w − θ‖²``."""
    model = start
    for x, y, _ in batches(key, CLIENTS, client):
        slope = tiny.gradient(model, x, y)[1]
        slope = tiny.combine((1, slope), (-1, linear), (alpha, model), (-alpha, start))
        model = tiny.combine((1, model), (-tiny.RATE, slope))
    return model


@pytest.mark.parametrize(("alpha", "cohort"), [(0.1, None), (0.7, 3)])
def test_every_round_is_that_of_the_loop_with_the_papers_letters(alpha, cohort):
    algorithm = feddyn(LOCAL, prox=alpha, cohort=cohort)
    theta = tiny.float64(LOCAL.init(KEY))
    nothing = tiny.combine((0, theta))
    known, h = [nothing] * COUNT, nothing
    for key, models, _ in server_loops.rounds(algorithm, KEY, CLIENTS, 4):
        who = server_loops.members(key, CLIENTS, cohort)
        own = {n: learned(key, theta, n, known[n], alpha) for n in who}
        for n, model in own.items():
            known[n] = tiny.combine((1, known[n]), (-alpha, model), (alpha, theta))
        ways = [tiny.combine((1, model), (-1, theta)) for model in own.values()]
        h = tiny.combine((1, h), *[(-alpha / COUNT, way) for way in ways])
        mean = tiny.combine(*[(1 / len(who), model) for model in own.values()])
        theta = tiny.combine((1, mean), (-1 / alpha, h))
        tiny.close(server_loops.global_model(models), theta, 1e-4)


def test_the_default_is_the_papers_tenth():
    server_loops.same(feddyn(LOCAL), feddyn(LOCAL, prox=0.1), KEY, CLIENTS, tolerance=0)


@pytest.mark.parametrize("alpha", [0.0, 1e-6])
def test_without_a_term_clients_train_freely_and_the_server_adds_all_earlier_ways(alpha):
    theta, earlier = tiny.float64(LOCAL.init(KEY)), None
    for key, models, _ in server_loops.rounds(feddyn(LOCAL, prox=alpha), KEY, CLIENTS, 3):
        own = [tiny.learn(key, theta, CLIENTS, n, dropout=False)[0] for n in range(COUNT)]
        mean = tiny.combine(*[(1 / COUNT, model) for model in own])
        way = tiny.combine((1, mean), (-1, theta))
        earlier = way if earlier is None else tiny.combine((1, earlier), (1, way))
        theta = tiny.combine((1, mean), (1, earlier))
        tiny.close(server_loops.global_model(models), theta, 2e-4)


def test_the_servers_drift_is_the_mean_of_all_clients():
    algorithm = feddyn(LOCAL, cohort=3)
    state = algorithm.init(KEY, CLIENTS)
    for number in range(4):
        state, _ = jax.jit(algorithm.round)(jax.random.fold_in(KEY, number), state, CLIENTS)
    drifts = tiny.unstack(state.drift)
    mean = tiny.combine(*[(1 / COUNT, tiny.float64(drift)) for drift in drifts])
    tiny.close(state.drift_of_all, mean, 1e-5)
    assert sum(np.any(tiny.vector(drift) != 0) for drift in drifts) > 3


def test_what_is_not_possible_is_told_in_a_sentence():
    with pytest.raises(ValueError, match="prox as "):
        feddyn(LOCAL, prox=-0.1)
