"""FedBN against a loop over clients in double precision; which layers stay, and of which models."""

import jax
import jax.numpy as jnp
import normalized
import numpy as np
import optax
import pytest
import tiny
from by_steps import global_model, members, orders, rounds

from demjax import classification, fedavg, fedbn, local_training
from demjax.clients.own_layers import normalization_of
from demjax.models import CNN, MLP
from demjax.pytrees import stack_copies

LOCAL = local_training(
    normalized.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH
)
CLIENTS = tiny.clients()
KEY = jax.random.key(4)
COUNT = len(tiny.SIZES)


def trained(key, model, client):
    """A client's model and loss; a short batch is filled up with the epoch's first examples."""
    x, y = np.asarray(CLIENTS.x, np.float64), np.asarray(CLIENTS.y)
    for order in orders(key, CLIENTS, client):
        total = 0.0
        for start in range(0, len(order), tiny.BATCH):
            count = min(tiny.BATCH, len(order) - start)
            rows = order[np.arange(start, start + tiny.BATCH) % len(order)]
            model, loss = normalized.step(model, x[rows], y[rows], count, tiny.RATE)
            total += loss * count
    return model, total / tiny.SIZES[client]


def with_norm_of(model, other):
    """Everything of the first but its normalization, which is the other's."""
    params = model["params"] | {"norm": other["params"]["norm"]}
    return {"batch_stats": other["batch_stats"], "params": params}


@pytest.mark.parametrize("cohort", [None, 3])
@pytest.mark.parametrize("weighting", ["clients", "examples"])
@pytest.mark.parametrize("moment", ["personal", "trained"])
def test_every_round_is_that_of_the_loop_over_clients(cohort, weighting, moment):
    algorithm = fedbn(LOCAL, weighting=weighting, cohort=cohort, measure_at=moment)
    server = tiny.float64(LOCAL.init(KEY))
    own = [server] * COUNT
    for key, models, info in rounds(algorithm, KEY, CLIENTS, 3):
        who, losses = members(key, CLIENTS, cohort), np.full(COUNT, np.nan)
        for n in who:
            own[n], losses[n] = trained(key, with_norm_of(server, own[n]), n)
        weight = [tiny.SIZES[n] if weighting == "examples" else 1 for n in who]
        server = tiny.combine(
            *[(v / sum(weight), own[n]) for v, n in zip(weight, who, strict=True)]
        )
        wanted = own if moment == "trained" else [with_norm_of(server, one) for one in own]
        np.testing.assert_allclose(info.loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), wanted)
        tiny.close(global_model(models), server)
        shared = 4 * (tiny.FEATURES + 1) * tiny.CLASSES * len(who)
        assert float(info.bytes_up) == float(info.bytes_down) == shared


def test_the_first_round_trains_as_fedavg_and_only_normalization_differs_between_clients():
    (_, own, _), (_, averaged, _) = (
        next(rounds(algorithm, KEY, CLIENTS, 1))
        for algorithm in (fedbn(LOCAL, weighting="examples"), fedavg(LOCAL))
    )
    tiny.close(global_model(own), global_model(averaged), 1e-6)
    client = tiny.plain(own.client)
    same = jax.tree.map(lambda leaf: bool((leaf == leaf[:1]).all()), client)
    assert same == with_norm_of(
        jax.tree.map(lambda _: True, client), jax.tree.map(lambda _: False, client)
    )


def test_the_layers_of_a_network_that_stay_are_its_batch_normalization():
    model = CNN(classes=3, filters=(2, 2), hidden=4, batch_norm=True)
    task = classification(model, jnp.zeros((8, 8, 1)))
    local = local_training(task, optax.sgd(0.1))
    kept = normalization_of("FedBN", local, stack_copies(task.init(KEY), COUNT))
    norms = {"BatchNorm_0", "BatchNorm_1"}
    assert set(kept["batch_stats"]) == norms
    assert all(jax.tree.leaves(kept["batch_stats"]))
    for name, layer in kept["params"].items():
        assert set(jax.tree.leaves(layer)) == {name in norms}


def test_a_model_without_batch_normalization_is_refused():
    task = classification(MLP(3, (5,)), CLIENTS.x[0])
    algorithm = fedbn(local_training(task, optax.sgd(0.1)))
    sentence = "FedBN needs a model of layers with batch normalization .* has none .Dense_0"
    with pytest.raises(ValueError, match=sentence):
        algorithm.init(KEY, CLIENTS)
