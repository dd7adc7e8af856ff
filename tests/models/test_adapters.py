"""Models of every kind against the same computed by hand with Flax, and what is no model."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from demjax.models.adapters import network

KEY = jax.random.key(3)
X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)), jnp.float32)


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.8)(nn.Dense(5)(x))
        return nn.Dense(3)(nn.Dropout(0.5, deterministic=not train)(x))


class Plain(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x)


class Net(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(4, 5, rngs=rngs)
        self.norm = nnx.BatchNorm(5, momentum=0.8, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(self.norm(self.first(x))))


def close(one, other):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), one, other)


def test_a_linen_module_with_batch_statistics_is_as_flax_applies_it():
    net, module = network(Normed(), X[0]), Normed()
    model = net.init(KEY)
    close(model, module.init(KEY, X[:1], train=False))
    outputs, after = net.train(model, X, KEY)
    wanted, new = module.apply(model, X, train=True, mutable=["batch_stats"], rngs={"dropout": KEY})
    close((outputs, after), (wanted, {"params": model["params"], **new}))
    close(net.predict(after, X), module.apply(after, X, train=False))
    mask = net.state(model)
    assert set(jax.tree.leaves(mask["params"])) == {False}
    assert set(jax.tree.leaves(mask["batch_stats"])) == {True}


def test_a_linen_module_without_state_is_its_parameters_even_if_it_knows_no_training():
    net = network(Plain(), X[0])
    params = net.init(KEY)
    close(params, Plain().init(KEY, X[:1])["params"])
    assert net.state is None
    outputs, after = net.train(params, X, KEY)
    assert after is params
    close(outputs, Plain().apply({"params": params}, X))
    close(net.predict(params, X), outputs)


def in_numpy(model, normed):
    """The prediction of ``Net`` by hand, from what is normalised by ``(mean, var)``."""
    params = jax.tree.map(np.asarray, model["params"])
    x = np.asarray(X) @ params["first"]["kernel"] + params["first"]["bias"]
    mean, var = normed if normed else (x.mean(axis=0), x.var(axis=0))
    normal = (x - mean) / np.sqrt(var + 1e-5) * params["norm"]["scale"] + params["norm"]["bias"]
    return x, normal @ params["last"]["kernel"] + params["last"]["bias"]


@pytest.mark.parametrize("form", ["instance", "of nothing", "of rngs"])
def test_an_nnx_module_keeps_its_running_statistics_as_state(form):
    model = {
        "instance": Net(nnx.Rngs(0)),
        "of nothing": lambda: Net(nnx.Rngs(0)),
        "of rngs": lambda rngs: Net(rngs),
    }[form]
    net = network(model, X[0])
    start = net.init(KEY)
    again = net.init(jax.random.key(4))
    same = bool((start["params"]["last"]["kernel"] == again["params"]["last"]["kernel"]).all())
    assert same is (form != "of rngs")
    stats = start["batch_stats"]["norm"]
    hidden, predicted = in_numpy(start, (np.asarray(stats["mean"]), np.asarray(stats["var"])))
    close(jax.jit(net.predict)(start, X), predicted)
    outputs, after = jax.jit(net.train)(start, X, KEY)
    close(after["params"], start["params"])
    close(after["batch_stats"]["norm"]["mean"], 0.2 * hidden.mean(axis=0))
    close(after["batch_stats"]["norm"]["var"], 0.8 + 0.2 * hidden.var(axis=0))
    other, _ = net.train(start, X, jax.random.key(9))
    assert np.abs(np.asarray(outputs - other)).max() > 1e-3, "dropout follows the key"
    assert set(jax.tree.leaves(net.state(start)["batch_stats"])) == {True}


def test_a_pair_of_functions_is_given_what_it_takes():
    def init(key, example):
        return {"w": jax.random.normal(key, (example.shape[1], 2))}

    def noisy(params, x, *, train, key):
        return x @ params["w"] + (jax.random.normal(key, (2,)) if train else 0)

    net = network((init, noisy), X[0])
    params = net.init(KEY)
    close(params, init(KEY, X[:1]))
    close(net.train(params, X, KEY)[0], X @ params["w"] + jax.random.normal(KEY, (2,)))
    close(net.predict(params, X), X @ params["w"])
    bare = network((init, lambda params, x: x @ params["w"]), X[0])
    close(bare.train(params, X, KEY)[0], bare.predict(params, X))
    assert net.state is bare.state is None


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (Normed, "the class Normed"),
        ("cnn", "str"),
        (lambda: 3, "function"),
        (lambda x, train: x, "function"),
        ((1, 2), "tuple"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_model_is_told_in_a_sentence(wrong, named):
    with pytest.raises(ValueError, match=rf"^A model needs to be .* but {named} was given\.$"):
        network(wrong, X[0])


class Modeless(nn.Module):
    """A model that knows no difference between training and evaluation."""

    layer: nn.Module

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(self.layer(x))


class Training(nn.Module):
    @nn.compact
    def __call__(self, x, training):
        return nn.Dense(3)(x)


@pytest.mark.parametrize(
    "model",
    [
        Modeless(nn.BatchNorm(use_running_average=False)),
        Modeless(nn.BatchNorm()),
        Modeless(nn.Dropout(0.5, deterministic=False)),
        Training(),
    ],
    ids=["statistics", "unset", "dropout", "training"],
)
def test_a_model_without_modes_is_told_how_they_are_written(model):
    words = r"^The model \w+ cannot be evaluated .*possible is __call__\(self, x, \*, train\)"

    def predicted():
        found = network(model, X[0])
        return found.predict(found.init(KEY), X)

    with pytest.raises(ValueError, match=words):
        predicted()


def test_other_errors_of_a_model_are_its_own():
    with pytest.raises(ValueError, match="broadcast"):
        network(Modeless(nn.Conv(4, (3, 3))), X[0])


def test_a_class_of_nnx_is_made():
    found = network(Net, X[0])
    assert found.predict(found.init(KEY), X).shape == (6, 3)
