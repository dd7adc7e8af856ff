"""Regression: squared errors by hand, and whole rounds against a loop in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from demjax import fedavg, local_training, regression, simulate
from demjax.data import Partition, client_data
from demjax.metrics import measure
from demjax.models import MLP
from demjax.tasks.regression import squared_errors

FEATURES, RATE, ROUNDS = 3, 0.1, 4
SIZES = (8, 5, 11)
KEY = jax.random.key(1)


def problem(outputs):
    """Inputs, targets with noise, and which examples each of three clients has."""
    rng = np.random.default_rng(5)
    total = sum(SIZES) + 6
    x = rng.normal(size=(total, FEATURES))
    y = x @ rng.normal(size=(FEATURES, outputs)) + 0.1 * rng.normal(size=(total, outputs))
    y = y[:, 0] if outputs == 1 else y
    parts = np.split(rng.permutation(total), np.cumsum([*SIZES, 2, 2]))
    return x.astype(np.float32), y.astype(np.float32), Partition(tuple(parts[:3]), tuple(parts[3:]))


def linear(outputs):
    """A pair of functions: the initial weights are all 0."""
    return (
        lambda key, example: {"w": jnp.zeros((FEATURES, outputs))},
        lambda params, x: x @ params["w"],
    )


@pytest.mark.parametrize("outputs", [1, 2])
def test_rounds_of_averaging_are_those_of_a_loop_in_float64(outputs):
    x, y, partition = problem(outputs)
    clients = client_data(x, y, partition)
    task = regression(linear(outputs), x[0])
    local = local_training(task, optax.sgd(RATE), epochs=2, batch_size=max(SIZES))
    history = simulate(fedavg(local), task, clients, rounds=ROUNDS, key=KEY)
    targets = y.astype(np.float64).reshape(len(y), -1)
    server, tests = np.zeros((FEATURES, outputs)), np.concatenate(partition.test)
    for number in range(ROUNDS + 1):
        error = np.mean((x[tests] @ server - targets[tests]) ** 2)
        np.testing.assert_allclose(history.measures.global_score[number], error, rtol=1e-4)
        trained = []
        for mine in partition.train:
            w = server
            for _ in range(2):  # one batch of everything, in two epochs
                wrong = x[mine] @ w - targets[mine]
                w = w - RATE * 2 * x[mine].T.astype(np.float64) @ wrong / wrong.size
            trained.append(w)
        if number < ROUNDS:
            server = np.average(trained, axis=0, weights=SIZES)
    np.testing.assert_allclose(history.state.server["w"], server, rtol=1e-4, atol=1e-5)
    assert history.measures.global_score[-1] < history.measures.global_score[0]
    assert history.measures.structure.rand_true.shape == (ROUNDS + 1, 0)


def test_many_steps_of_one_client_reach_the_normal_equations():
    x, y, _ = problem(2)
    everything = np.arange(len(x))
    clients = client_data(x, y, Partition((everything,), (everything,)))
    task = regression(linear(2), x[0])
    local = local_training(task, optax.sgd(0.3), epochs=300, batch_size=len(x))
    algorithm = fedavg(local)
    state, _ = jax.jit(algorithm.round)(KEY, jax.jit(algorithm.init)(KEY, clients), clients)
    wanted = np.linalg.lstsq(x.astype(np.float64), y.astype(np.float64), rcond=None)[0]
    np.testing.assert_allclose(state.server["w"], wanted, rtol=1e-3, atol=1e-3)
    measures = jax.jit(measure(task, clients))(algorithm.models(state))
    np.testing.assert_allclose(measures.c_spe, np.mean((x @ wanted - y) ** 2), rtol=1e-3, atol=1e-6)


def test_scores_are_squared_errors_and_padding_counts_for_nothing():
    outputs, y = np.float32([[1, 2], [3, 5]]), np.float32([[1, 0], [0, 1]])
    np.testing.assert_allclose(squared_errors(jnp.asarray(outputs), jnp.asarray(y)), [2, 12.5])
    np.testing.assert_allclose(squared_errors(jnp.float32([[1], [4]]), jnp.float32([3, 3])), [4, 1])
    task = regression(MLP(2, (4,)), np.zeros(3))
    assert task.score_name == "mean squared error"
    model, x = jax.jit(task.init)(KEY), np.ones((2, 3), np.float32)
    both = jax.jit(task.score)(model, x, y)
    one = jax.jit(task.loss)(model, x, y, np.float32([0, 1]), KEY)
    np.testing.assert_allclose(one, both[1], rtol=1e-6)


def test_outputs_that_do_not_fit_the_targets_are_told_in_a_sentence():
    task = regression(MLP(2, (4,)), np.zeros(3))
    model = jax.jit(task.init)(KEY)
    with pytest.raises(ValueError, match=r"outputs of shape \(5, 2\) .* shape \(5,\)\.$"):
        task.score(model, np.zeros((5, 3)), np.zeros(5))
