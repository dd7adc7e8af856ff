"""FedYogi against a loop over clients with the paper's rule for the server."""

import jax
import numpy as np
import optax
import pytest
import server_loops
import tiny

from demjax import fedyogi, local_training
from demjax.hierarchy.server_rounds import server_rounds

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(23)


def yogi(rate, b1, b2, tau):
    """The paper's: no bias correction, and squares that begin at ``τ²``."""
    mean, square = {"b": 0.0, "w": 0.0}, {"b": tau**2, "w": tau**2}

    def step(model, trained):
        new = {}
        for name, leaf in model.items():
            way = trained[name] - leaf
            mean[name] = b1 * mean[name] + (1 - b1) * way
            sign = np.sign(square[name] - way**2)
            square[name] = square[name] - (1 - b2) * way**2 * sign
            new[name] = leaf + rate * mean[name] / (np.sqrt(square[name]) + tau)
        return new

    return step


@pytest.mark.parametrize("cohort", [None, 3])
def test_every_round_is_that_of_the_loop_over_clients(cohort):
    algorithm = fedyogi(
        LOCAL, server_lr=0.05, server_b1=0.8, server_b2=0.95, adaptivity=0.1, cohort=cohort
    )
    rule = yogi(0.05, 0.8, 0.95, 0.1)
    server_loops.hold(algorithm, KEY, CLIENTS, LOCAL.init(KEY), rule, cohort=cohort)


def test_the_defaults_are_the_papers_by_the_loop():
    rule = yogi(0.1, 0.9, 0.99, 0.001)
    server_loops.hold(fedyogi(LOCAL), KEY, CLIENTS, LOCAL.init(KEY), rule, count=2)


def test_where_nothing_is_remembered_of_squares_only_their_rule_differs_from_sgd():
    """With ``β₂ = 1`` squares stay ``τ²``, and a step is ``η m / 2τ``."""
    options = {"cohort": None, "average": None, "measure_at": "averaged", "fine_tune_epochs": None}
    plain = server_rounds("A server", LOCAL, optax.sgd(0.5), **options)
    one = fedyogi(LOCAL, server_lr=0.5, server_b1=0.0, server_b2=1.0, adaptivity=0.5)
    server_loops.same(one, plain, KEY, CLIENTS)


def test_what_is_not_possible_is_told_in_a_sentence():
    with pytest.raises(ValueError, match="adaptivity as "):
        fedyogi(LOCAL, adaptivity=0.0)
