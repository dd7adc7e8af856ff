"""FedAdagrad against a loop over clients with the paper's rule for the server."""

import jax
import numpy as np
import optax
import pytest
import server_loops
import tiny

from demjax import fedadagrad, local_training
from demjax.hierarchy.server_rounds import server_rounds

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(24)


def adagrad(rate, b1, tau):
    """The paper's: squares begin at ``τ²``, and ``τ`` is added to their root."""
    mean, square = {"b": 0.0, "w": 0.0}, {"b": tau**2, "w": tau**2}

    def step(model, trained):
        new = {}
        for name, leaf in model.items():
            way = trained[name] - leaf
            mean[name] = b1 * mean[name] + (1 - b1) * way
            square[name] = square[name] + way**2
            new[name] = leaf + rate * mean[name] / (np.sqrt(square[name]) + tau)
        return new

    return step


@pytest.mark.parametrize("cohort", [None, 3])
def test_every_round_is_that_of_the_loop_over_clients(cohort):
    algorithm = fedadagrad(LOCAL, server_lr=0.05, server_b1=0.8, adaptivity=0.1, cohort=cohort)
    rule = adagrad(0.05, 0.8, 0.1)
    server_loops.hold(algorithm, KEY, CLIENTS, LOCAL.init(KEY), rule, cohort=cohort)


def test_the_defaults_are_the_papers_by_the_loop():
    rule = adagrad(0.1, 0.0, 0.001)
    server_loops.hold(fedadagrad(LOCAL), KEY, CLIENTS, LOCAL.init(KEY), rule, count=2)


def test_it_is_optaxs_sum_of_squares_where_neither_has_a_constant():
    options = {"cohort": None, "average": None, "measure_at": "averaged", "fine_tune_epochs": None}
    sums = optax.adagrad(0.05, initial_accumulator_value=1e-18, eps=0.0)
    one = fedadagrad(LOCAL, server_lr=0.05, adaptivity=1e-9)
    server_loops.same(one, server_rounds("A server", LOCAL, sums, **options), KEY, CLIENTS)


def test_what_is_not_possible_is_told_in_a_sentence():
    with pytest.raises(ValueError, match=r"server_b1 as .*0 to 1"):
        fedadagrad(LOCAL, server_b1=2.0)
