"""Gradients label by label against loops in float64, with a sketch, layers, strata and cohorts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import classification, local_training, models, regression
from demjax.clients.label_gradients import label_gradients_at, sketched

CLIENTS = tiny.clients()
KEY = jax.random.key(0)


def local_of(task):
    return local_training(task, optax.sgd(0.1), epochs=1, batch_size=4)


def by_hand(model, examples):
    """Softmax regression: ``(p − e_y) ⊗ x`` and ``p − e_y`` of each example."""
    x, y = np.asarray(CLIENTS.x, float)[examples], np.asarray(CLIENTS.y)[examples]
    kernel, bias = np.asarray(model["kernel"], float), np.asarray(model["bias"], float)
    logits = x @ kernel + bias
    error = np.exp(logits - logits.max(1, keepdims=True))
    error = error / error.sum(1, keepdims=True) - np.eye(3)[y]
    weights = np.einsum("bi,bo->bio", x, error).reshape(len(x), -1)
    return np.concatenate([error, weights], axis=1), y


def linear():
    task = classification(models.Linear(classes=3), CLIENTS.x[0])
    model = jax.tree.map(lambda leaf: leaf + 0.3, task.init(KEY))
    return local_of(task), model, model["Dense_0"]["Dense_0"]


@pytest.mark.parametrize("cohort", [None, [1, 4, 8]])
def test_they_are_those_of_a_loop_over_clients_and_labels(cohort):
    local, model, layer = linear()
    chosen = None if cohort is None else jnp.asarray(cohort, jnp.int32)  # 8 is nobody
    seen = jax.jit(
        lambda model: label_gradients_at(local, KEY, model, CLIENTS, chosen, buckets=1000, strata=4)
    )(model)
    for n in range(CLIENTS.n_clients):
        rows = np.asarray(CLIENTS.train[n, : CLIENTS.train_size[n]])
        if cohort is not None and n not in cohort:
            rows = rows[:0]
        slopes, y = by_hand(layer, rows) if len(rows) else (np.zeros((0, 15)), rows)
        for c in range(3):
            own = slopes[y == c]
            assert seen.counts[n, c] == len(own)
            wanted = own.mean(0) if len(own) else np.zeros(15)
            np.testing.assert_allclose(seen.mean[n, c], wanted, atol=1e-5)
            np.testing.assert_allclose(seen.square[n, c], np.sum(own**2), rtol=1e-4, atol=1e-5)


def test_a_sketch_adds_parameters_up_with_signs_in_turn():
    rng = np.random.default_rng(0)
    gradient, signs = rng.normal(size=23), rng.choice([-1.0, 1.0], 23)
    wanted = [sum(signs[p] * gradient[p] for p in range(b, 23, 5)) for b in range(5)]
    found = sketched(jnp.asarray(gradient, jnp.float32), jnp.asarray(signs, jnp.float32), 5)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    local, model, _ = linear()
    seen = label_gradients_at(local, KEY, model, CLIENTS, buckets=7, strata=4)
    assert seen.mean.shape == (8, 3, 7)


def test_layers_are_the_last_one_or_those_of_a_name():
    task = classification(models.MLP(classes=3, hidden=(6,)), CLIENTS.x[0])
    local, model = local_of(task), task.init(KEY)
    widths = {
        every: label_gradients_at(
            local, KEY, model, CLIENTS, all_layers=every, buckets=1000, strata=4
        ).mean.shape[2]
        for every in (False, True)
    }
    total = sum(leaf.size for leaf in jax.tree.leaves(model))
    assert widths == {False: 6 * 3 + 3, True: total}


def test_targets_that_are_no_labels_are_ordered_into_strata():
    y = jnp.asarray(np.random.default_rng(0).normal(size=(len(CLIENTS.y), 2)), jnp.float32)
    clients = CLIENTS._replace(y=y)
    task = regression(models.Linear(classes=2), clients.x[0])
    local, model = local_of(task), task.init(KEY)
    seen = label_gradients_at(local, KEY, model, clients, buckets=1000, strata=4)
    number = np.asarray(y).mean(axis=1)
    edges = np.quantile(number, [0.25, 0.5, 0.75])
    for n in range(clients.n_clients):
        rows = np.asarray(clients.train[n, : clients.train_size[n]])
        wanted = np.bincount(np.searchsorted(edges, number[rows], side="right"), minlength=4)
        np.testing.assert_array_equal(seen.counts[n], wanted)


def test_a_task_without_predictions_is_refused_in_a_sentence():
    local = local_of(tiny.task())
    with pytest.raises(ValueError, match="possible are the features updates or weights"):
        label_gradients_at(local, KEY, tiny.task().init(KEY), CLIENTS, buckets=9, strata=4)
