"""FedAdam against a loop over clients with the paper's rule for the server."""

import jax
import numpy as np
import optax
import pytest
import server_loops
import tiny

from demjax import fedadam, local_training
from demjax.hierarchy.server_rounds import server_rounds

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(22)


def adam(rate, b1, b2, tau):
    """The paper's: no bias correction, and squares that begin at ``τ²``."""
    mean, square = {"b": 0.0, "w": 0.0}, {"b": tau**2, "w": tau**2}

    def step(model, trained):
        new = {}
        for name, leaf in model.items():
            way = trained[name] - leaf
            mean[name] = b1 * mean[name] + (1 - b1) * way
            square[name] = b2 * square[name] + (1 - b2) * way**2
            new[name] = leaf + rate * mean[name] / (np.sqrt(square[name]) + tau)
        return new

    return step


@pytest.mark.parametrize("cohort", [None, 3])
def test_every_round_is_that_of_the_loop_over_clients(cohort):
    algorithm = fedadam(
        LOCAL, server_lr=0.05, server_b1=0.8, server_b2=0.95, adaptivity=0.01, cohort=cohort
    )
    rule = adam(0.05, 0.8, 0.95, 0.01)
    server_loops.hold(algorithm, KEY, CLIENTS, LOCAL.init(KEY), rule, cohort=cohort)


def test_the_defaults_are_the_papers_by_the_loop():
    rule = adam(0.1, 0.9, 0.99, 0.001)
    server_loops.hold(fedadam(LOCAL), KEY, CLIENTS, LOCAL.init(KEY), rule, count=2)


def test_once_the_start_is_corrected_it_is_optaxs_adam_over_many_rounds():
    """Both corrections vanish in time, and with them what Optax's Adam has more."""
    options = {"cohort": None, "average": None, "measure_at": "averaged", "fine_tune_epochs": None}
    other = server_rounds("A server", LOCAL, optax.adam(0.01, b1=0.5, b2=0.6, eps=0.01), **options)
    one = fedadam(LOCAL, server_lr=0.01, server_b1=0.5, server_b2=0.6, adaptivity=0.01)
    seen = []
    for algorithm in (one, other):
        *_, before, last = (
            server_loops.global_model(models)
            for _, models, _ in server_loops.rounds(algorithm, KEY, CLIENTS, 20)
        )
        seen.append(tiny.combine((1, last), (-1, before)))
    assert np.corrcoef(*map(tiny.vector, seen))[0, 1] > 0.99


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"server_b1": 1.5}, "server_b1 as .*0 to 1"),
        ({"server_b2": -0.1}, "server_b2 as .*0 to 1"),
        ({"adaptivity": 0.0}, "adaptivity as "),
    ],
)
def test_what_is_not_possible_is_told_in_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        fedadam(LOCAL, **options)
