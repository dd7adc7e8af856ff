"""FedRep against a loop over clients in double precision; its head, and what it cannot take."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from by_steps import batches, global_model, members, rounds

from demjax import classification, fedper, fedrep, keys, local_training
from demjax.clients.own_layers import head_of
from demjax.models import CNN, MLP, Linear
from demjax.pytrees import stack_copies

TASK = tiny.task(dropout=False)
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(7)
COUNT = len(tiny.SIZES)


def descended(key, model, client, name, epochs):
    """A client's model with one of its two arrays trained, and the loss of the last epoch."""
    total = 0.0
    for x, y, last in batches(key, CLIENTS, client, epochs=epochs):
        loss, slope = tiny.gradient(model, x, y)
        model = model | {name: model[name] - tiny.RATE * slope[name]}
        total += loss * len(y) * last
    return model, total / tiny.SIZES[client]


@pytest.mark.parametrize("cohort", [None, 3])
@pytest.mark.parametrize("weighting", ["clients", "examples"])
@pytest.mark.parametrize("moment", ["personal", "trained"])
def test_every_round_is_that_of_the_loop_over_clients(cohort, weighting, moment):
    algorithm = fedrep(
        LOCAL,
        head_layers=("b",),
        head_epochs=3,
        weighting=weighting,
        cohort=cohort,
        measure_at=moment,
    )
    server = tiny.float64(LOCAL.init(KEY))
    own = [server] * COUNT
    for key, models, info in rounds(algorithm, KEY, CLIENTS, 3):
        who, losses = members(key, CLIENTS, cohort), np.full(COUNT, np.nan)
        for n in who:
            model, _ = descended(key, server | {"b": own[n]["b"]}, n, "b", 3)
            second = keys.for_second_stage(key)
            own[n], losses[n] = descended(second, model, n, "w", tiny.EPOCHS)
        weight = [tiny.SIZES[n] if weighting == "examples" else 1 for n in who]
        server = tiny.combine(
            *[(v / sum(weight), own[n]) for v, n in zip(weight, who, strict=True)]
        )
        wanted = own if moment == "trained" else [server | {"b": one["b"]} for one in own]
        np.testing.assert_allclose(info.loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), wanted)
        tiny.close(global_model(models), server)
        one_way = 4 * tiny.FEATURES * tiny.CLASSES * len(who)
        assert float(info.bytes_up) == float(info.bytes_down) == one_way


def flat_images(model, **options):
    task = classification(model, jnp.zeros(tiny.FEATURES))
    return local_training(task, optax.sgd(0.1), epochs=1, batch_size=tiny.BATCH, **options)


def test_the_head_is_by_default_the_output_layer_whatever_it_is_called():
    task = classification(CNN(classes=3, filters=(2, 2), hidden=4), jnp.zeros((8, 8, 1)))
    local = local_training(task, optax.sgd(0.1))
    models = stack_copies(task.init(KEY), COUNT)
    clients = CLIENTS._replace(x=jnp.zeros((len(CLIENTS.x), 8, 8, 1)))
    head = head_of("FedRep", local, models, clients, ())
    assert head["Dense_0"]["Dense_0"] == {"kernel": True, "bias": True}  # made before the hidden
    assert sum(jax.tree.leaves(head)) == 2
    assert head == head_of("FedRep", local, models, clients, ("Dense_0",))


def test_clients_share_the_body_and_nothing_of_the_head():
    local = flat_images(MLP(classes=3, hidden=(5,)))
    *_, (_, models, _) = rounds(fedrep(local, head_epochs=1), KEY, CLIENTS, 2)
    for name, shared in (("Dense_0", True), ("Dense_1", False)):
        kernel = tiny.plain(models.client)[name]["Dense_0"]["kernel"]
        assert bool((kernel == kernel[:1]).all()) is shared


@pytest.mark.parametrize("make", [fedrep, fedper])
@pytest.mark.parametrize(
    ("model", "options", "sentence"),
    [
        (Linear(3), {}, "needs a model of at least 2 layers.* this one has 1 .Dense_0"),
        (MLP(3, (5,)), {"head_layers": ("Dense_0", "Dense_1")}, "are all there are in the model"),
        (MLP(3, (5,)), {"head_layers": ("Dense_7",)}, "no layer 'Dense_7'; possible are Dense_0/"),
    ],
)
def test_a_head_that_is_everything_or_nothing_is_refused(make, model, options, sentence):
    algorithm = make(flat_images(model), **options)
    with pytest.raises(ValueError, match=sentence):
        algorithm.init(KEY, CLIENTS)


@pytest.mark.parametrize("make", [fedrep, fedper])
def test_arrays_in_no_layer_need_a_name(make):
    sentence = "cannot tell the last layer of this model, for there are arrays in no layer; .* b, w"
    with pytest.raises(ValueError, match=sentence):
        make(LOCAL).init(KEY, CLIENTS)


def test_a_number_out_of_its_range_is_said():
    with pytest.raises(ValueError, match="fedrep needs head_epochs as 1 or more, but 0 was given"):
        fedrep(LOCAL, head_epochs=0)
