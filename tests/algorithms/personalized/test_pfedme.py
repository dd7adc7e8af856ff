"""pFedMe against a loop over clients in double precision, and where it is another system."""

import jax
import numpy as np
import optax
import pytest
import tiny
from by_steps import batches, global_model, members, rounds

from demjax import local_training, pfedme

TASK = tiny.task(dropout=False)
RATE = 0.1
LOCAL = local_training(TASK, optax.sgd(RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH, chunk=3)
CLIENTS = tiny.clients()
KEY = jax.random.key(7)
COUNT = len(tiny.SIZES)


def trained(key, model, client, *, prox, rate, steps):
    """A client's personal model, its local one, and the loss, by the paper's algorithm 1."""
    theta = own = model
    total = 0.0
    for x, y, last in batches(key, CLIENTS, client):
        for _ in range(steps):
            loss, slope = tiny.gradient(theta, x, y)
            theta = tiny.combine(
                (1, theta), (-rate, slope), (-rate * prox, theta), (rate * prox, own)
            )
        own = tiny.combine((1 - RATE * prox, own), (RATE * prox, theta))
        total += loss * len(y) * last
    return theta, own, total / tiny.SIZES[client]


@pytest.mark.parametrize("cohort", [None, 3])
@pytest.mark.parametrize(
    ("beta", "weighting"), [(1.0, "clients"), (2.0, "clients"), (0.5, "examples")]
)
def test_every_round_is_that_of_the_loop_over_clients(cohort, beta, weighting):
    inner = {"prox": 2.0, "rate": 0.3, "steps": 3}
    algorithm = pfedme(
        LOCAL,
        prox=2.0,
        personal_lr=0.3,
        personal_steps=3,
        server_optimizer="sgd",
        server_lr=beta,
        weighting=weighting,
        cohort=cohort,
    )
    server = tiny.float64(LOCAL.init(KEY))
    personal = [server] * COUNT
    for key, models, info in rounds(algorithm, KEY, CLIENTS, 3):
        who, losses, sent = members(key, CLIENTS, cohort), np.full(COUNT, np.nan), []
        for n in who:
            personal[n], own, losses[n] = trained(key, server, n, **inner)
            sent.append((tiny.SIZES[n] if weighting == "examples" else 1, own))
        total = sum(weight for weight, _ in sent)
        shares = [(beta * weight / total, own) for weight, own in sent]
        server = tiny.combine((1 - beta, server), *shares)
        np.testing.assert_allclose(info.loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), personal)
        tiny.close(global_model(models), server)


def test_a_personal_model_at_the_least_of_its_envelope_is_the_one_that_a_solver_finds():
    """Many steps on one batch of all examples: ``∇f(θ) + λ (θ − w) = 0``."""
    local = local_training(TASK, optax.sgd(0.0), epochs=1, batch_size=max(tiny.SIZES))
    algorithm = pfedme(local, prox=1.5, personal_lr=0.2, personal_steps=400)
    _, models, _ = next(rounds(algorithm, KEY, CLIENTS, 1))
    start = tiny.float64(local.init(KEY))
    x, y = np.asarray(CLIENTS.x, np.float64), np.asarray(CLIENTS.y)
    for n, theta in enumerate(map(tiny.float64, tiny.unstack(models.client))):
        own = np.asarray(CLIENTS.train)[n, : tiny.SIZES[n]]
        _, slope = tiny.gradient(theta, x[own], y[own])
        at_least = tiny.combine((1, slope), (1.5, theta), (-1.5, start))
        np.testing.assert_allclose(tiny.vector(at_least), 0, atol=2e-5)


def test_without_the_term_nobody_moves_the_global_model_and_personal_steps_are_plain_descent():
    algorithm = pfedme(LOCAL, prox=0.0, personal_lr=tiny.RATE, personal_steps=1)
    start = tiny.float64(LOCAL.init(KEY))
    for key, models, _ in rounds(algorithm, KEY, CLIENTS, 2):
        tiny.close(global_model(models), start)
        learned = [tiny.learn(key, start, CLIENTS, n, dropout=False)[0] for n in range(COUNT)]
        tiny.close(tiny.unstack(models.client), learned)


def test_every_step_towards_the_least_draws_its_own_dropout():
    local = local_training(tiny.task(), optax.sgd(0.0), epochs=1, batch_size=max(tiny.SIZES))

    def model(steps):
        algorithm = pfedme(local, prox=0.0, personal_lr=0.3, personal_steps=steps)
        return tiny.unstack(next(rounds(algorithm, KEY, CLIENTS, 1))[1].client)[0]

    start, once, twice = tiny.float64(local.init(KEY)), model(1), model(2)
    seen = [
        tiny.combine((1, after), (-1, before))["w"].any(axis=1)
        for before, after in ((start, once), (once, twice))
    ]
    assert not np.array_equal(*seen)  # features that were dropped have no gradient


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prox": -1.0}, "pfedme needs prox as 0 to 1000000, but -1.0 was given"),
        ({"personal_lr": -0.1}, "pfedme needs personal_lr as 0 to 1000, but -0.1 was given"),
        ({"personal_steps": 0}, "pfedme needs personal_steps as 1 or more, but 0 was given"),
        ({"weighting": "size"}, "The weighting 'size' is unknown; .*clients, examples"),
        ({"measure_at": "trained"}, "The measure at 'trained' is unknown; .*personal, averaged"),
    ],
)
def test_what_is_not_possible_is_said(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        pfedme(LOCAL, **options)
