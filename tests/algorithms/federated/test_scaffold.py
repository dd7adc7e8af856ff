"""SCAFFOLD against a loop over clients with option II, and against FedAvg where they agree."""

import jax
import numpy as np
import optax
import pytest
import server_loops
import tiny
from by_steps import batches

from demjax import fedavg, local_training, scaffold

CLIENTS = tiny.clients()
KEY = jax.random.key(36)
TASK = tiny.task(dropout=False)
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
COUNT = len(tiny.SIZES)


def by_option_two(key, x, own, variate, client):
    """A client's model and its new variate, ``c_n − c + (x − y) / (K η)``, by plain SGD."""
    y, steps = x, 0
    for inputs, labels, _ in batches(key, CLIENTS, client):
        slope = tiny.gradient(y, inputs, labels)[1]
        step = tiny.combine((1, slope), (-1, own), (1, variate))
        y, steps = tiny.combine((1, y), (-tiny.RATE, step)), steps + 1
    per = 1 / (steps * tiny.RATE)
    return y, tiny.combine((1, own), (-1, variate), (per, x), (-per, y))


@pytest.mark.parametrize(
    ("rate", "weighting", "cohort"),
    [(1.0, "clients", None), (0.6, "clients", 3), (1.0, "examples", 3)],
)
def test_every_round_is_that_of_the_loop_by_option_two(rate, weighting, cohort):
    algorithm = scaffold(LOCAL, server_lr=rate, weighting=weighting, cohort=cohort)
    x = tiny.float64(LOCAL.init(KEY))
    variate = tiny.combine((0, x))
    variates = [variate] * COUNT
    every = np.ones(COUNT) if weighting == "clients" else np.array(tiny.SIZES, float)
    for key, models, _ in server_loops.rounds(algorithm, KEY, CLIENTS, 4):
        who = server_loops.members(key, CLIENTS, cohort)
        found = {n: by_option_two(key, x, variates[n], variate, n) for n in who}
        share = {n: every[n] / every[who].sum() for n in who}
        mean = tiny.combine(*[(share[n], found[n][0]) for n in who])
        change = [
            (every[n] / every.sum(), tiny.combine((1, found[n][1]), (-1, variates[n]))) for n in who
        ]
        variate = tiny.combine((1, variate), *change)
        for n in who:
            variates[n] = found[n][1]
        x = tiny.combine((1 - rate, x), (rate, mean))
        tiny.close(server_loops.global_model(models), x, 1e-4)


def states(algorithm, clients=CLIENTS, count=3):
    state, one_round = algorithm.init(KEY, clients), jax.jit(algorithm.round)
    for number in range(count):
        state, info = one_round(jax.random.fold_in(KEY, number), state, clients)
    return state, info


def test_variates_are_the_mean_gradients_met_whatever_the_optimizer():
    """With momentum the way of a client says something else, but not the gradients."""
    own = local_training(TASK, optax.sgd(0.1, momentum=0.9), epochs=2, batch_size=tiny.BATCH)
    state, _ = states(scaffold(own), count=1)
    start, key = tiny.float64(own.init(KEY)), jax.random.fold_in(KEY, 0)
    wanted = []
    for client in range(COUNT):
        model, velocity, slopes = start, tiny.combine((0, start)), []
        for x, y, _ in batches(key, CLIENTS, client):
            slopes.append(tiny.gradient(model, x, y)[1])
            velocity = tiny.combine((0.9, velocity), (1, slopes[-1]))
            model = tiny.combine((1, model), (-0.1, velocity))
        wanted.append(tiny.combine(*[(1 / len(slopes), slope) for slope in slopes]))
    tiny.close(tiny.unstack(state.variates), wanted, 5e-5)
    tiny.close(state.variate, tiny.combine(*[(1 / COUNT, one) for one in wanted]), 5e-5)


def test_the_servers_variate_stays_the_mean_of_all():
    state, _ = states(scaffold(LOCAL, cohort=3), count=4)
    variates = [(1 / COUNT, tiny.float64(one)) for one in tiny.unstack(state.variates)]
    tiny.close(state.variate, tiny.combine(*variates), 1e-5)


def test_with_one_step_and_no_variates_yet_it_is_fedavg():
    once = local_training(TASK, optax.sgd(0.2), epochs=1, batch_size=max(tiny.SIZES))
    one = scaffold(once, weighting="examples", measure_at="trained")
    server_loops.same(one, fedavg(once), KEY, CLIENTS, count=1)
    # and with everyone ever after: a mean of g_n − c_n + c is one of g_n
    averaged = scaffold(once, weighting="examples"), fedavg(once, measure_at="averaged")
    server_loops.same(*averaged, KEY, CLIENTS, count=4)


def test_twice_as_much_travels():
    _, info = states(scaffold(LOCAL, cohort=3), count=1)
    assert info.bytes_up == info.bytes_down == 3 * 2 * 60


def test_what_is_not_possible_is_told_in_a_sentence():
    with pytest.raises(ValueError, match="server_lr as "):
        scaffold(LOCAL, server_lr=-1.0)
