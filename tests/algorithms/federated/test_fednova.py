"""FedNova against a loop over clients with the paper's coefficients, and against FedAvg."""

import jax
import numpy as np
import optax
import pytest
import server_loops
import tiny
from by_steps import batches

from demjax import fedavg, fednova, fedprox, local_training

CLIENTS = tiny.clients()
KEY = jax.random.key(31)
TASK = tiny.task(dropout=False)


def local(optimizer):
    return local_training(TASK, optimizer, epochs=tiny.EPOCHS, batch_size=tiny.BATCH)


LOCAL = local(optax.sgd(tiny.RATE))


def coefficients(steps, momentum, prox, rate=tiny.RATE):
    """``a``: what each step's gradient counts in the way of all, as the paper has it."""
    if momentum:
        return np.array([(1 - momentum ** (steps - k)) / (1 - momentum) for k in range(steps)])
    return np.array([(1 - rate * prox) ** (steps - 1 - k) for k in range(steps)])


def learned(key, start, client, momentum, prox):
    """The model of a client, and how many steps it made."""
    model, velocity, steps = start, None, 0
    for x, y, _ in batches(key, CLIENTS, client):
        slope = tiny.gradient(model, x, y)[1]
        slope = tiny.combine((1, slope), (prox, model), (-prox, start))
        velocity = tiny.combine((1, slope), *([(momentum, velocity)] if velocity else []))
        model, steps = tiny.combine((1, model), (-tiny.RATE, velocity)), steps + 1
    return model, steps


@pytest.mark.parametrize(
    ("momentum", "prox", "cohort"),
    [(0.0, 0.0, None), (0.0, 0.0, 3), (0.8, 0.0, None), (0.0, 0.7, 3), (0.0, 0.7, None)],
)
def test_every_round_is_that_of_the_loop_with_the_papers_coefficients(momentum, prox, cohort):
    own = local(optax.sgd(tiny.RATE, momentum=momentum or None))
    algorithm = fednova(own, prox=prox, cohort=cohort)
    model = tiny.float64(own.init(KEY))
    for key, models, _ in server_loops.rounds(algorithm, KEY, CLIENTS, 3):
        who = server_loops.members(key, CLIENTS, cohort)
        share = np.array(tiny.SIZES)[who] / np.array(tiny.SIZES)[who].sum()
        trained = [learned(key, model, n, momentum, prox) for n in who]
        lengths = [coefficients(steps, momentum, prox).sum() for _, steps in trained]
        together = share @ lengths
        ways = [
            (-together * p / length, tiny.combine((1, model), (-1, own)))
            for p, length, (own, _) in zip(share, lengths, trained, strict=True)
        ]
        model = tiny.combine((1, model), *ways)
        tiny.close(server_loops.global_model(models), model, 5e-5)


@pytest.mark.parametrize("momentum", [None, 0.7])
def test_where_all_make_as_many_steps_it_is_fedavg(momentum):
    clients = tiny.clients(sizes=(7, 5, 8, 6), test_sizes=(1, 1, 1, 1))  # two batches each
    own = local(optax.sgd(tiny.RATE, momentum=momentum))
    other = fedavg(own, measure_at="averaged", cohort=3)
    server_loops.same(fednova(own, cohort=3), other, KEY, clients)


def test_where_all_make_as_many_steps_near_the_global_model_it_is_fedprox():
    clients = tiny.clients(sizes=(7, 5, 8, 6), test_sizes=(1, 1, 1, 1))
    other = fedprox(LOCAL, prox=0.6, measure_at="averaged")
    server_loops.same(fednova(LOCAL, prox=0.6), other, KEY, clients)


def test_what_is_not_possible_is_told_in_a_sentence():
    with pytest.raises(ValueError, match="prox as 0 to 1000000"):
        fednova(LOCAL, prox=-1.0)
