"""Per-FedAvg against a loop over clients in double precision; what batches are for."""

import jax
import numpy as np
import optax
import pytest
import tiny
from by_steps import batches, global_model, members, rounds

from demjax import local_training, per_fedavg

TASK = tiny.task(dropout=False)
LOCAL = local_training(
    TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH, chunk=3
)
CLIENTS = tiny.clients()
KEY = jax.random.key(2)
COUNT = len(tiny.SIZES)


def hessian_times(model, direction, x, y, small=1e-5):
    """The product of the loss's second derivatives with a direction, as exact as float64 has it."""
    ahead, behind = (
        tiny.gradient(tiny.combine((1, model), (sign * small, direction)), x, y)[1]
        for sign in (1, -1)
    )
    return tiny.combine((0.5 / small, ahead), (-0.5 / small, behind))


def trained(key, model, client, order, alpha):
    """A client's model: two or three batches a step, those that are left unused."""
    seen = [batch[:2] for batch in batches(key, CLIENTS, client)]
    width = 2 if order == "first" else 3
    for start in range(0, len(seen) - width + 1, width):
        _, slope = tiny.gradient(model, *seen[start])
        adapted = tiny.combine((1, model), (-alpha, slope))
        _, step = tiny.gradient(adapted, *seen[start + 1])
        if order == "hessian-free":
            step = tiny.combine((1, step), (-alpha, hessian_times(model, step, *seen[start + 2])))
        model = tiny.combine((1, model), (-tiny.RATE, step))
    return model


@pytest.mark.parametrize("cohort", [None, 3])
@pytest.mark.parametrize("order", ["first", "hessian-free"])
@pytest.mark.parametrize(("alpha", "weighting"), [(0.4, "clients"), (0.4, "examples")])
def test_every_round_is_that_of_the_loop_over_clients(cohort, order, alpha, weighting):
    algorithm = per_fedavg(
        LOCAL, order=order, personal_lr=alpha, weighting=weighting, cohort=cohort
    )
    server = tiny.float64(LOCAL.init(KEY))
    for key, models, info in rounds(algorithm, KEY, CLIENTS, 3):
        who = members(key, CLIENTS, cohort)
        sent = [trained(key, server, n, order, alpha) for n in who]
        weight = [tiny.SIZES[n] if weighting == "examples" else 1 for n in who]
        server = tiny.combine(
            *[(v / sum(weight), one) for v, one in zip(weight, sent, strict=True)]
        )
        tiny.close(global_model(models), server, 1e-4)
        tiny.close(tiny.unstack(models.client), [server] * COUNT, 1e-4)
        assert set(np.flatnonzero(~np.isnan(info.loss))) == set(who)


@pytest.mark.parametrize("steps", [1, 2])
def test_clients_adapt_by_some_steps_before_they_are_scored_and_forget_it(steps):
    algorithm = per_fedavg(LOCAL, personal_lr=0.4, personal_steps=steps)
    key, models, _ = next(rounds(algorithm, KEY, CLIENTS, 1))
    personal = jax.jit(algorithm.before_scoring)(key, models, CLIENTS)
    start, wanted = tiny.float64(global_model(models)), []
    for n in range(COUNT):
        model = start
        for x, y, _ in list(batches(key, CLIENTS, n, epochs=1))[:steps]:
            model = tiny.combine((1, model), (-0.4, tiny.gradient(model, x, y)[1]))
        wanted.append(model)
    tiny.close(tiny.unstack(personal.client), wanted)
    tiny.same_bits(personal.group, models.group)
    assert per_fedavg(LOCAL, measure_at="averaged").before_scoring is None


def test_without_adaptation_it_is_federated_averaging_on_every_second_batch():
    """Two epochs of one batch: the second alone counts, and so does a whole epoch's gradient."""
    whole = max(tiny.SIZES)
    local = local_training(TASK, optax.sgd(tiny.RATE), epochs=2, batch_size=whole)
    algorithm = per_fedavg(local, personal_lr=0.0, weighting="examples")
    server = tiny.float64(LOCAL.init(KEY))
    for key, models, _ in rounds(algorithm, KEY, CLIENTS, 2):
        options = {"dropout": False, "epochs": 1, "batch": whole}
        learned = [tiny.learn(key, server, CLIENTS, n, **options)[0] for n in range(COUNT)]
        shares = np.array(tiny.SIZES) / sum(tiny.SIZES)
        server = tiny.combine(*zip(shares, learned, strict=True))
        tiny.close(global_model(models), server)


def test_whoever_has_too_few_batches_sends_back_what_it_was_sent():
    local = local_training(TASK, optax.sgd(tiny.RATE), epochs=1, batch_size=max(tiny.SIZES))
    _, models, _ = next(rounds(per_fedavg(local), KEY, CLIENTS, 1))
    tiny.close(global_model(models), LOCAL.init(KEY), 1e-6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"order": "second"}, "The order 'second' is unknown; .*first, hessian-free"),
        ({"personal_lr": -1.0}, "per_fedavg needs personal_lr as 0 to 1000, but -1.0 was given"),
        ({"personal_steps": 0}, "per_fedavg needs personal_steps as 1 or more, but 0 was given"),
    ],
)
def test_what_is_not_possible_is_said(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        per_fedavg(LOCAL, **options)
