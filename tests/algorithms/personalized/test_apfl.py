"""APFL against a loop over clients in double precision, and at the ends of its mixture."""

import jax
import numpy as np
import optax
import pytest
import tiny
from by_steps import batches, global_model, members, rounds

from demjax import apfl, fedavg, local_only, local_training

TASK = tiny.task(dropout=False)
LOCAL = local_training(
    TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH, chunk=3
)
CLIENTS = tiny.clients()
KEY = jax.random.key(6)
COUNT = len(tiny.SIZES)


def trained(key, own, shared, alpha, client, rate):
    """A client's two models, its share, and the mixture's loss, by the paper's equations."""
    total = 0.0
    for x, y, last in batches(key, CLIENTS, client):
        mixture = tiny.combine((alpha, own), (1 - alpha, shared))
        loss, slope = tiny.gradient(mixture, x, y)
        _, of_shared = tiny.gradient(shared, x, y)
        along = tiny.vector(slope) @ (tiny.vector(own) - tiny.vector(shared))
        own = tiny.combine((1, own), (-tiny.RATE * alpha, slope))
        shared = tiny.combine((1, shared), (-tiny.RATE, of_shared))
        alpha = min(1.0, max(0.0, alpha - rate * along))
        total += loss * len(y) * last
    return own, shared, alpha, total / tiny.SIZES[client]


@pytest.mark.parametrize("cohort", [None, 3])
@pytest.mark.parametrize(("rate", "weighting"), [(0.0, "examples"), (0.6, "clients")])
def test_every_round_is_that_of_the_loop_over_clients(cohort, rate, weighting):
    algorithm = apfl(LOCAL, alpha=0.4, alpha_lr=rate, weighting=weighting, cohort=cohort)
    server = tiny.float64(LOCAL.init(KEY))
    own, alpha = [server] * COUNT, [0.4] * COUNT
    for key, models, info in rounds(algorithm, KEY, CLIENTS, 4):
        who, losses, sent = members(key, CLIENTS, cohort), np.full(COUNT, np.nan), []
        for n in who:
            own[n], shared, alpha[n], losses[n] = trained(key, own[n], server, alpha[n], n, rate)
            sent.append((tiny.SIZES[n] if weighting == "examples" else 1, shared))
        total = sum(weight for weight, _ in sent)
        server = tiny.combine(*[(weight / total, shared) for weight, shared in sent])
        personal = [tiny.combine((a, v), (1 - a, server)) for a, v in zip(alpha, own, strict=True)]
        np.testing.assert_allclose(info.loss, losses, rtol=5e-5, atol=5e-5)
        tiny.close(tiny.unstack(models.client), personal, 5e-5)
        tiny.close(global_model(models), server, 5e-5)
    if rate:
        assert np.ptp(alpha) > 0.05  # it did adapt


def test_with_a_share_of_0_it_is_federated_averaging_and_with_1_local_training():
    local = local_training(tiny.task(), optax.sgd(0.2, momentum=0.5), epochs=2, batch_size=4)
    runs = (
        apfl(local, alpha=0.0, weighting="examples"),
        fedavg(local, measure_at="averaged"),
        apfl(local, alpha=1.0),
        local_only(local),
    )
    none, averaged, all_, alone = (
        [tiny.unstack(models.client) for _, models, _ in rounds(one, KEY, CLIENTS, 3)][-1]
        for one in runs
    )
    tiny.close(none, averaged, 1e-6)
    tiny.close(all_, alone, 1e-6)


@pytest.mark.parametrize(("name", "value"), [("alpha", 1.5), ("alpha_lr", -0.1)])
def test_what_is_not_possible_is_said(name, value):
    with pytest.raises(ValueError, match=f"apfl needs {name} as 0 to .*, but {value} was given"):
        apfl(LOCAL, **{name: value})
