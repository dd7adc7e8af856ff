"""FedALA against a loop over clients in double precision, and where it is federated averaging."""

import jax
import numpy as np
import optax
import pytest
import tiny
from by_steps import global_model, members, orders, rounds

from demjax import classification, fedala, fedavg, keys, local_training
from demjax.models import MLP, Linear

TASK = tiny.task(dropout=False)
LOCAL = local_training(
    TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH, chunk=3
)
CLIENTS = tiny.clients()
KEY = jax.random.key(8)
COUNT = len(tiny.SIZES)
X, Y = np.asarray(CLIENTS.x, np.float64), np.asarray(CLIENTS.y)


def learned(key, server, own, weights, client, *, rate, epochs, sampled, name):
    """A client's weights, and what it starts to train from, by the paper's equations."""
    way = server[name] - own[name]
    for order in orders(keys.for_second_stage(key), CLIENTS, client, epochs=epochs):
        some = order[: int(sampled * len(order) / 100)]
        for start in range(0, len(some), tiny.BATCH):
            rows = some[start : start + tiny.BATCH]
            mixture = server | {name: own[name] + weights * way}
            _, slope = tiny.gradient(mixture, X[rows], Y[rows])
            weights = np.clip(weights - rate * slope[name] * way, 0, 1)
    return weights, server | {name: own[name] + weights * way}


@pytest.mark.parametrize("cohort", [None, 3])
@pytest.mark.parametrize(
    ("name", "epochs", "sampled", "weighting"),
    [("w", 1, 80, "examples"), ("b", 3, 50, "clients")],
)
def test_every_round_is_that_of_the_loop_over_clients(cohort, name, epochs, sampled, weighting):
    asked = {"weight_lr": 6.0, "weight_epochs": epochs, "sampled": float(sampled)}
    algorithm = fedala(LOCAL, head_layers=(name,), weighting=weighting, cohort=cohort, **asked)
    server = tiny.float64(LOCAL.init(KEY))
    own, weights = [server] * COUNT, [np.ones_like(server[name])] * COUNT
    options = {"rate": 6.0, "epochs": epochs, "sampled": sampled, "name": name}
    for key, models, info in rounds(algorithm, KEY, CLIENTS, 4):
        who, losses = members(key, CLIENTS, cohort), np.full(COUNT, np.nan)
        for n in who:
            weights[n], start = learned(key, server, own[n], weights[n], n, **options)
            own[n], losses[n] = tiny.learn(key, start, CLIENTS, n, dropout=False)
        count = [tiny.SIZES[n] if weighting == "examples" else 1 for n in who]
        server = tiny.combine(*[(v / sum(count), own[n]) for v, n in zip(count, who, strict=True)])
        np.testing.assert_allclose(info.loss, losses, rtol=1e-4, atol=1e-4)
        tiny.close(tiny.unstack(models.client), own, 1e-4)
        tiny.close(global_model(models), server, 1e-4)
    moved = [one for one in weights if one.min() < 0.95]
    assert len(moved) > 2
    assert any(((one > 0) & (one < 1)).any() for one in moved)


@pytest.mark.parametrize("option", [{"weight_lr": 0.0}, {"sampled": 0.0}])
def test_with_weights_of_1_it_is_federated_averaging(option):
    local = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=2, batch_size=4)
    one, other = (
        list(rounds(algorithm, KEY, CLIENTS, 3))[-1]
        for algorithm in (fedala(local, head_layers=("w",), **option), fedavg(local))
    )
    tiny.close(one[1:], other[1:], 1e-6)


@pytest.mark.parametrize(
    ("model", "options", "sentence"),
    [
        (Linear(3), {}, "FedALA needs a model of at least 2 layers, the last 1 of them its head"),
        (MLP(3, (5,)), {"adaptive_layers": 2}, "at least 3 layers, .* this one has 2 .Dense_0"),
        (MLP(3, (5,)), {"head_layers": ("Dense_0", "Dense_1")}, "are all there are in the model"),
    ],
)
def test_a_model_without_other_layers_is_refused(model, options, sentence):
    local = local_training(classification(model, CLIENTS.x[0]), optax.sgd(0.1))
    with pytest.raises(ValueError, match=sentence):
        fedala(local, **options).init(KEY, CLIENTS)


@pytest.mark.parametrize(
    ("name", "value", "possible"),
    [
        ("sampled", 101.0, "0 to 100"),
        ("weight_lr", -1.0, "0 to 1000"),
        ("adaptive_layers", 0, "1 or more"),
    ],
)
def test_a_number_out_of_its_range_is_said(name, value, possible):
    with pytest.raises(ValueError, match=f"fedala needs {name} as {possible}, but {value} was"):
        fedala(LOCAL, **{name: value})
