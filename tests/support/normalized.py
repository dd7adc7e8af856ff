"""``tiny`` with batch normalization of its inputs: a model with state, worked out on paper."""

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from demjax.base import Task

KEEP, EPSILON = 0.9, 1e-3


def _forward(params, x, mean, var):
    norm, linear = params["norm"], params["linear"]
    seen = (x - mean) / jnp.sqrt(var + EPSILON)
    return (seen * norm["scale"] + norm["shift"]) @ linear["w"] + linear["b"]


def task():
    """Cross-entropy of softmax regression on inputs that each batch normalizes."""

    def init(key):
        ones, zeros = jnp.ones(tiny.FEATURES), jnp.zeros(tiny.FEATURES)
        return {
            "batch_stats": {"norm": {"mean": zeros, "var": ones}},
            "params": {"linear": tiny.task().init(key), "norm": {"scale": ones, "shift": zeros}},
        }

    def loss_with_state(model, x, y, weight, key):
        mean, var = jnp.mean(x, axis=0), jnp.var(x, axis=0)
        logits = _forward(model["params"], x, mean, var)
        each = jax.nn.logsumexp(logits, axis=1) - jnp.take_along_axis(logits, y[:, None], 1)[:, 0]
        old = model["batch_stats"]["norm"]
        new = {
            "mean": KEEP * old["mean"] + (1 - KEEP) * mean,
            "var": KEEP * old["var"] + (1 - KEEP) * var,
        }
        loss = jnp.sum(weight * each) / jnp.maximum(jnp.sum(weight), 1)
        return loss, {**model, "batch_stats": {"norm": new}}

    def loss(*arguments):
        return loss_with_state(*arguments)[0]

    def predict(model, x):
        return _forward(model["params"], x, *model["batch_stats"]["norm"].values())

    def score(model, x, y):
        return (jnp.argmax(predict(model, x), axis=1) == y).astype(jnp.float32)

    def state(model):
        return {k: jax.tree.map(lambda _, k=k: k != "params", part) for k, part in model.items()}

    return Task(init, loss, score, state=state, loss_with_state=loss_with_state, predict=predict)


def step(model, x, y, count, rate):
    """One step in float64 of a batch whose first ``count`` examples are its own; and the loss."""
    params, old = model["params"], model["batch_stats"]["norm"]
    norm, linear = params["norm"], params["linear"]
    mean, var = x.mean(axis=0), x.var(axis=0)
    seen = ((x - mean) / np.sqrt(var + EPSILON))[:count]
    inputs = seen * norm["scale"] + norm["shift"]
    loss, slope = tiny.gradient(linear, inputs, y[:count])
    odds = np.exp(inputs @ linear["w"] + linear["b"])
    wrong = (odds / odds.sum(axis=1, keepdims=True) - np.eye(tiny.CLASSES)[y[:count]]) / count
    of_inputs = wrong @ linear["w"].T
    slopes = {
        "linear": slope,
        "norm": {"scale": (of_inputs * seen).sum(axis=0), "shift": of_inputs.sum(axis=0)},
    }
    new = {
        "mean": KEEP * old["mean"] + (1 - KEEP) * mean,
        "var": KEEP * old["var"] + (1 - KEEP) * var,
    }
    params = jax.tree.map(lambda w, g: w - rate * g, params, slopes)
    return {"batch_stats": {"norm": new}, "params": params}, loss
