import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demjax.models import (
    CNN,
    MLP,
    CifarCNN,
    Linear,
    PFLlibCNN,
    conv_direct,
    conv_product,
    conv_tiles,
    networks,
)
from demjax.models.networks import Conv2D, Dense, dropout, max_pool, uniform_fan_in

FORMS = pytest.mark.parametrize(
    "conv", [conv_direct, conv_tiles, conv_product], ids=["direct", "tiles", "product"]
)


def fresh(model, shape, seed=0):
    x = jnp.zeros((1, *shape))
    return jax.jit(lambda key: model.init(key, x, train=False)["params"])(jax.random.key(seed))


def random_like(tree, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), tree)


def matrices(params):
    """The kernels and biases of a model of dense layers, by layer."""
    layers = [params[name]["Dense_0"] for name in sorted(params)]
    return [(np.asarray(one["kernel"], np.float64), np.asarray(one["bias"])) for one in layers]


@pytest.mark.parametrize(
    ("model", "shape", "count"),
    [
        (CNN(10), (28, 28, 1), 834_922),
        (CNN(62), (28, 28, 1), 834_922 + 52 * 513),
        (CNN(10, batch_norm=True), (28, 28, 1), 834_922 + 2 * 2 * 32),  # scale and shift
        (CifarCNN(10), (32, 32, 3), 581_866),
        (PFLlibCNN(10), (28, 28, 1), 582_026),
        (PFLlibCNN(10), (32, 32, 3), 878_538),
        (Linear(10), (28, 28, 1), 7850),
        (MLP(10), (28, 28, 1), 784 * 200 + 200 + 200 * 10 + 10),
        (MLP(3, hidden=(5, 4)), (6,), 35 + 24 + 15),
        (MLP(3, hidden=()), (6,), 21),
    ],
)
def test_number_of_parameters(model, shape, count):
    drawn = jax.eval_shape(
        lambda key: model.init(key, jnp.zeros((1, *shape)), train=False), jax.random.key(0)
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(drawn["params"])) == count
    assert {leaf.dtype for leaf in jax.tree.leaves(drawn["params"])} == {jnp.dtype("float32")}


def assert_uniform(values, bound):
    """Within the bound, reaching for it, and spread and centred as a uniform draw is."""
    values = np.asarray(values, np.float64).ravel()
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert np.abs(values).max() > bound * (1 - 10 / values.size)
    deviation = bound / np.sqrt(3)
    assert abs(values.mean()) < 5 * deviation / np.sqrt(values.size)
    # The fourth moment of a uniform draw gives its variance the variance 4/45 bound⁴.
    spread = 5 * np.sqrt(4 / 45 / values.size) * bound**2
    assert abs(np.mean(values**2) - deviation**2) < spread


def test_initial_weights_and_biases_of_the_published_network_are_uniform_by_fan_in():
    params = fresh(CNN(10), (28, 28, 1))
    layers = [
        (params["Conv2D_0"], (5, 5, 1, 32), 25),
        (params["Conv2D_1"], (5, 5, 32, 32), 800),
        (params["Dense_0"]["Dense_0"], (512, 10), 512),
        (params["Dense_1"]["Dense_0"], (1568, 512), 1568),
    ]
    for layer, shape, fan_in in layers:
        assert layer["kernel"].shape == shape
        assert layer["bias"].shape == shape[-1:]
        assert_uniform(layer["kernel"], fan_in**-0.5)
        if layer["bias"].size > 20:
            assert_uniform(layer["bias"], fan_in**-0.5)
        assert np.abs(layer["bias"]).max() <= fan_in**-0.5
        assert len(np.unique(layer["bias"])) == layer["bias"].size


def test_the_initializer_draws_from_its_bound():
    assert_uniform(uniform_fan_in(9)(jax.random.key(1), (200, 30)), 1 / 3)


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 7, 2), (2, 1, 4, 2)], ids=str)
def test_max_pool_and_its_gradient_are_those_of_a_windowed_maximum(shape):
    rng = np.random.default_rng(0)
    x = rng.permutation(np.prod(shape)).reshape(shape).astype(np.float32)  # no two are equal
    wanted = nn.max_pool(x, (2, 2), strides=(2, 2))
    np.testing.assert_array_equal(max_pool(x), wanted)
    cotangent = rng.normal(size=wanted.shape).astype(np.float32)
    gradient = np.zeros(shape, np.float32)
    for b, i, j, c in np.ndindex(wanted.shape):
        square = x[b, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        row, column = np.unravel_index(square.argmax(), (2, 2))
        gradient[b, 2 * i + row, 2 * j + column, c] = cotangent[b, i, j, c]
    got = jax.jit(jax.grad(lambda x: jnp.sum(max_pool(x) * cotangent)))(jnp.asarray(x))
    np.testing.assert_array_equal(got, gradient)


@settings(deadline=None, max_examples=25)
@given(rate=st.floats(0, 0.97), seed=st.integers(0, 2**31))
def test_dropout_zeroes_a_share_and_scales_the_rest(rate, seed):
    x = jnp.arange(1.0, 20_001.0).reshape(100, 200)
    y = np.asarray(dropout(x, jax.random.key(seed), rate))
    dropped = y == 0
    np.testing.assert_allclose(y[~dropped], np.asarray(x)[~dropped] / (1 - rate), rtol=1e-6)
    # Six standard deviations of a binomial share, and the sixteen bits that decide.
    assert abs(dropped.mean() - rate) <= 6 * np.sqrt(rate * (1 - rate) / x.size) + 2**-17


def test_dropout_draws_by_its_key_and_leaves_each_number_its_own_chance():
    x = jnp.ones((500, 400))
    one, same, other = (
        np.asarray(dropout(x, jax.random.key(seed), 0.4)) == 0 for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    tolerance = 6 * np.sqrt(0.16 * 0.84 / x.size)
    assert abs(np.mean(one & other) - 0.16) < tolerance
    assert abs(np.mean(one[1:] & one[:-1]) - 0.16) < 1.1 * tolerance
    assert abs(np.mean(one[:, 1:] & one[:, :-1]) - 0.16) < 1.1 * tolerance
    assert 0 < one.mean(axis=0).min() < 0.4 < one.mean(axis=0).max() < 1


def test_the_gradient_passes_where_nothing_was_dropped():
    x = jnp.linspace(-1, 1, 60)
    y, pull_back = jax.vjp(lambda x: dropout(x, jax.random.key(3), 0.25), x)
    (gradient,) = pull_back(jnp.ones(60))
    np.testing.assert_allclose(gradient, np.where(np.asarray(y) == 0, 0, 4 / 3), rtol=1e-6)


def test_linear_is_softmax_regression_on_the_flattened_input():
    model = Linear(3)
    params = random_like(fresh(model, (2, 5, 1)))
    x = np.random.default_rng(1).normal(size=(4, 2, 5, 1)).astype(np.float32)
    ((kernel, bias),) = matrices(params)
    got = model.apply({"params": params}, x, train=True)
    np.testing.assert_allclose(got, x.reshape(4, 10) @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_mlp_is_matrices_with_relu_between():
    model = MLP(3, hidden=(7, 5))
    params = random_like(fresh(model, (2, 3)))
    x = np.random.default_rng(1).normal(size=(4, 2, 3)).astype(np.float32)
    wanted = x.reshape(4, 6)
    for number, (kernel, bias) in enumerate(matrices(params)):
        wanted = wanted @ kernel + bias
        if number < 2:
            wanted = np.maximum(wanted, 0)
    got = jax.jit(lambda x: model.apply({"params": params}, x, train=False))(x)
    assert got.shape == (4, 3)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


class Plain(nn.Module):
    """The published network in Flax's own layers, in the order in which the paper has them."""

    classes: int
    filters: tuple
    hidden: int

    @nn.compact
    def __call__(self, x):
        for features in self.filters:
            x = nn.max_pool(nn.relu(nn.Conv(features, (5, 5))(x)), (2, 2), strides=(2, 2))
        x = nn.relu(nn.Dense(self.hidden)(x.reshape(x.shape[0], -1)))
        return nn.Dense(self.classes)(x)


def for_plain(params):
    return {
        "Conv_0": params["Conv2D_0"],
        "Conv_1": params["Conv2D_1"],
        "Dense_0": params["Dense_1"]["Dense_0"],
        "Dense_1": params["Dense_0"]["Dense_0"],
    }


SMALL = CNN(3, filters=(2, 3), hidden=4)
SHAPE = (11, 6, 3)  # pooled to 5 × 3, then to 2 × 1


def answers(apply, params):
    """Logits of some images, and their gradient."""
    rng = np.random.default_rng(2)
    x = jnp.asarray(rng.normal(size=(3, *SHAPE)), jnp.float32)
    logits, pull_back = jax.vjp(lambda params: apply(params, x), params)
    return logits, *pull_back(jnp.asarray(rng.normal(size=(3, 3)), jnp.float32))


@functools.cache
def plain_answers():
    params = jax.tree.map(lambda leaf: leaf / 2, random_like(fresh(SMALL, SHAPE)))
    plain = Plain(3, (2, 3), 4)

    def apply(params, x):
        return plain.apply({"params": for_plain(params)}, x)

    return params, jax.jit(functools.partial(answers, apply))(params)


@FORMS
def test_cnn_and_its_gradient_are_those_of_relu_before_pooling(conv):
    model = SMALL.clone(conv=conv)
    params, wanted = plain_answers()

    def apply(params, x):
        return model.apply({"params": params}, x, train=False)

    got = jax.jit(functools.partial(answers, apply))(params)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        largest = np.abs(other).max()
        assert largest > 0.01
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * largest)


def test_cnn_drops_only_while_training_and_by_its_key():
    model = CNN(3, filters=(2,), hidden=4)
    params = {"params": fresh(model, (6, 6, 1))}
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6, 6, 1)), jnp.float32)

    @jax.jit
    def logits(key):
        rngs = {"dropout": key}
        return (
            model.apply(params, x, train=True, rngs=rngs),
            model.clone(dropout=0.0).apply(params, x, train=True),
            model.apply(params, x, train=False, rngs=rngs),
            model.apply(params, x, train=False),
        )

    trained, undropped, evaluated, without_key = logits(jax.random.key(1))
    np.testing.assert_allclose(undropped, without_key, rtol=1e-6)
    np.testing.assert_allclose(evaluated, without_key, rtol=1e-6)
    assert np.abs(trained - evaluated).max() > 1e-3
    np.testing.assert_array_equal(trained, logits(jax.random.key(1))[0])
    assert np.abs(trained - logits(jax.random.key(2))[0]).max() > 1e-3


def test_cnn_drops_after_each_block_with_keys_of_their_own(monkeypatch):
    met = []

    def spy(x, key, rate):
        met.append((x.shape, rate, key))
        return x

    monkeypatch.setattr(networks, "dropout", spy)
    model = CNN(4, filters=(3, 5), hidden=6)

    def trace(key):
        x = jnp.ones((2, 8, 12, 1))
        variables = model.init(key, x, train=False)
        assert not met
        return model.apply(variables, x, train=True, rngs={"dropout": key})

    assert jax.eval_shape(trace, jax.random.key(0)).shape == (2, 4)
    assert [shape for shape, _, _ in met] == [(2, 4, 6, 3), (2, 2, 3, 5)]
    assert [rate for _, rate, _ in met] == [0.4, 0.4]
    assert met[0][2] is not met[1][2]


@pytest.mark.parametrize("layer", [Conv2D(4, size=3), Dense(4)], ids=["conv", "dense"])
def test_layers_add_their_bias(layer):
    x = jnp.zeros((2, 3, 3, 1) if isinstance(layer, Conv2D) else (2, 3))

    @jax.jit
    def both(key):
        params = layer.init(key, x)["params"]
        return params, layer.apply({"params": params}, x)

    params, got = both(jax.random.key(0))
    (bias,) = (leaf for leaf in jax.tree.leaves(params) if leaf.shape == (4,))
    assert np.abs(bias).max() > 0.1
    np.testing.assert_array_equal(got, np.broadcast_to(bias, got.shape))


@FORMS
def test_cnn_learns_from_images_of_bytes_as_from_the_same_numbers(conv):
    model = CNN(2, filters=(1,), hidden=2, conv=conv)
    params = jax.tree.map(lambda leaf: leaf / 50, random_like(fresh(model, (4, 4, 1))))
    x = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 4, 4, 1), np.uint8))

    def squares(params, x):
        return jnp.sum(model.apply({"params": params}, x, train=False) ** 2)

    learn = jax.value_and_grad(squares)
    got, wanted = jax.jit(lambda x: (learn(params, x), learn(params, x.astype(float))))(x)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


class PlainCifar(nn.Module):
    """The published network for CIFAR-10 in Flax's own layers."""

    classes: int
    filters: tuple
    hidden: tuple

    @nn.compact
    def __call__(self, x):
        for features in self.filters:
            x = nn.max_pool(nn.relu(nn.Conv(features, (3, 3))(x)), (2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        for width in self.hidden:
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.classes)(x)


@FORMS
def test_the_network_for_cifar_is_its_layers(conv):
    model = CifarCNN(3, filters=(2, 3), hidden=(5, 4), conv=conv)
    shape = (9, 8, 3)
    params = jax.tree.map(lambda leaf: leaf / 2, random_like(fresh(model, shape)))
    plain = {f"Conv_{i}": params[f"Conv2D_{i}"] for i in range(2)}
    plain |= {f"Dense_{i}": params[f"Dense_{i}"]["Dense_0"] for i in range(3)}
    x = jnp.asarray(np.random.default_rng(3).normal(size=(3, *shape)), jnp.float32)
    cotangent = jnp.asarray(np.random.default_rng(4).normal(size=(3, 3)), jnp.float32)

    def gradient(apply):
        return jax.jit(jax.value_and_grad(lambda params: jnp.sum(apply(params) * cotangent)))

    other = PlainCifar(3, (2, 3), (5, 4))
    got = gradient(lambda params: model.apply({"params": params}, x, train=False))(params)
    wanted = gradient(lambda params: other.apply({"params": params}, x))(plain)
    np.testing.assert_allclose(got[0], wanted[0], rtol=1e-4)
    for i in range(2):
        jax.tree.map(close, got[1][f"Conv2D_{i}"], wanted[1][f"Conv_{i}"])
    for i in range(3):
        jax.tree.map(close, got[1][f"Dense_{i}"]["Dense_0"], wanted[1][f"Dense_{i}"])


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_the_network_for_cifar_drops_out_of_its_hidden_layers_while_it_trains():
    model = CifarCNN(3, filters=(2,), hidden=(8, 6))
    params = fresh(model, (4, 4, 1))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 1)), jnp.float32)

    @jax.jit
    def seen(key):
        rngs = {"dropout": key}
        _, state = model.apply(
            {"params": params}, x, train=True, rngs=rngs, capture_intermediates=True
        )
        return state["intermediates"]

    one, other = seen(jax.random.key(0)), seen(jax.random.key(1))
    first = [each["Dense_0"]["__call__"][0] for each in (one, other)]
    np.testing.assert_array_equal(*first)  # nothing is dropped before the first hidden layer
    second = [each["Dense_1"]["__call__"][0] for each in (one, other)]
    assert np.abs(second[0] - second[1]).max() > 1e-3
    whole = CifarCNN(3, filters=(2,), hidden=(8, 6), dropout=0.0)
    kept = whole.apply({"params": params}, x, train=True)
    np.testing.assert_allclose(kept, model.apply({"params": params}, x, train=False), rtol=1e-5)


def test_batch_normalization_follows_each_convolution_in_training_and_stays_in_evaluation():
    x = jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
    options = {"classes": 3, "filters": (2, 3), "hidden": 4, "dropout": 0.0}
    plain, normed = CNN(**options), CNN(**options, batch_norm=True)
    model = normed.init(jax.random.key(0), x, train=False)
    statistics = model["batch_stats"]
    assert {name: layer["mean"].shape for name, layer in statistics.items()} == {
        "BatchNorm_0": (2,),
        "BatchNorm_1": (3,),
    }
    layers = {k: v for k, v in model["params"].items() if not k.startswith("BatchNorm")}
    as_it_begins = normed.apply(model, x, train=False)
    # A fresh one divides by sqrt(1 + 1e-5), whatever is in the batch.
    wanted = plain.apply({"params": layers}, x, train=False)
    np.testing.assert_allclose(as_it_begins, wanted, rtol=1e-3, atol=1e-4)
    _, after = normed.apply(model, x, train=True, mutable=["batch_stats"])
    seen = Conv2D(2, size=5).apply({"params": layers["Conv2D_0"]}, x)
    found = after["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(found["mean"], 0.1 * seen.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * seen.var((0, 1, 2)), rtol=1e-4)


class PlainPFLlib(nn.Module):
    """PFLlib's network in Flax's own layers."""

    @nn.compact
    def __call__(self, x):
        for features in (2, 3):
            x = nn.relu(nn.Conv(features, (5, 5), padding="VALID")(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.relu(nn.Dense(4)(x.reshape(x.shape[0], -1)))
        return nn.Dense(3)(x)


@FORMS
def test_pfllibs_network_has_convolutions_without_padding(conv):
    model = PFLlibCNN(3, filters=(2, 3), hidden=4, conv=conv)
    params = random_like(fresh(model, (17, 19, 2)))
    x = np.random.default_rng(4).normal(size=(3, 17, 19, 2)).astype(np.float32)

    def loss(apply):
        return jax.jit(jax.value_and_grad(lambda p: jnp.sum(jnp.sin(apply(p) / 30))))

    got = loss(lambda p: model.apply({"params": p}, x, train=True))(params)
    wanted = loss(lambda p: PlainPFLlib().apply({"params": for_plain(p)}, x))(params)
    np.testing.assert_allclose(got[0], wanted[0], rtol=1e-4)
    for one, other in zip(*map(jax.tree.leaves, (got[1], wanted[1])), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4)
