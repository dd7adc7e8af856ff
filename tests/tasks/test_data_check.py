"""Data that a model cannot answer: one sentence before a run, whoever asks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from partitions_alike import failure

from demjax import fedavg, local_training, simulate, watch
from demjax.data import Partition, client_data
from demjax.metrics import measure
from demjax.models import Linear
from demjax.tasks import classification, regression

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2, 4, 3])
PARTITION = Partition(([0, 1, 2], [4, 5, 6]), ([3], [7]))


def clients(x=X, y=Y):
    return client_data(x, y, PARTITION)


def check(model, x=X, y=Y, *, task=classification, example=X[0]):
    return task(model, example).check(clients(x, y))


@pytest.mark.parametrize("classes", [5, 6, 50])
def test_as_many_outputs_as_labels_or_more_are_right(classes):
    check(Linear(classes))


@pytest.mark.parametrize("classes", [1, 3, 4])
def test_a_label_without_an_output_is_named_with_its_example(classes):
    at = int(np.argmax(classes <= Y))
    failure(
        lambda: check(Linear(classes)),
        f"has {classes} outputs",
        f"the label of example {at} of the clients' data is {Y[at]};",
        "a model of 5 outputs",
    )


def test_a_label_below_0_is_refused_in_data_made_by_hand():
    by_hand = clients()._replace(y=jnp.asarray(Y - 1))
    task = classification(Linear(5), X[0])
    failure(lambda: task.check(by_hand), "example 0 of the clients' data is -1", "from 0 on")


def test_every_way_to_a_run_asks():
    data, task = clients(), classification(Linear(4), X[0])
    algorithm = fedavg(local_training(task, optax.sgd(0.1), epochs=1, batch_size=2))
    run = {"rounds": 1, "key": jax.random.key(0)}
    said = "the label of example 6 of the clients' data is 4"
    failure(lambda: measure(task, data), said)
    for take in (None, lambda models, data: None):
        failure(lambda take=take: simulate(algorithm, task, data, **run, take_measures=take), said)
        watched = watch(algorithm, task, data, **run, take_measures=take)
        failure(lambda watched=watched: next(watched), said)


def test_inputs_of_another_shape_or_kind_than_the_models_are_refused():
    failure(lambda: check(Linear(5), x=X[:, :2]), "of shape (3,)", "of shape (2,)")

    class Words(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(5)(nn.Embed(10, 2)(x).reshape(x.shape[0], -1))

    whole = np.abs(X * 3).astype(int)
    check(Words(), x=whole, example=whole[0])
    failure(lambda: check(Words(), example=whole[0]), "type float32")


def test_outputs_that_are_no_logits_of_the_labels_are_refused():
    def logits(rank):
        return (
            lambda key, x: jnp.zeros(()),
            lambda p, x: jnp.zeros((x.shape[0],) + (5,) * rank) + p,
        )

    check(logits(1))
    for rank in (0, 2):
        failure(lambda rank=rank: check(logits(rank)), "[B, classes]")
    failure(lambda: check(Linear(5), y=Y / 2), "whole numbers, but float32")


def test_a_regression_needs_as_many_outputs_as_targets_and_no_labels():
    check(Linear(1), y=Y - 0.5, task=regression)
    check(Linear(1), y=Y, task=regression)
    failure(lambda: check(Linear(2), y=Y / 2, task=regression), "as many outputs")


def test_traced_data_are_looked_at_as_far_as_they_can_be():
    @jax.jit
    def program(data):
        classification(Linear(2), X[0]).check(data)
        failure(lambda: classification(Linear(2), X[0, :2]).check(data), "cannot take")
        return data.y

    program(clients())
