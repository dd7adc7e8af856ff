"""What the last dense layer of a model is given."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from demjax.models import CNN, MLP, CifarCNN, Linear
from demjax.models.adapters import network

KEY = jax.random.key(0)


def outputs_of(layer, features):
    return features @ layer["kernel"] + layer["bias"]


@pytest.mark.parametrize(
    ("model", "example", "last"),
    [
        (MLP(classes=3, hidden=(6, 5)), jnp.ones((4,)), "Dense_2"),
        (CNN(classes=3, filters=(2, 3), hidden=4), jnp.ones((8, 8, 1)), "Dense_0"),
        (CifarCNN(classes=3, filters=(2, 3), hidden=(6, 5)), jnp.ones((8, 8, 3)), "Dense_2"),
    ],
    ids=["mlp", "cnn", "cifar_cnn"],
)
def test_outputs_in_training_mode_are_what_the_last_layer_makes_of_them(model, example, last):
    net = network(model, example)
    params = net.init(KEY)
    x = jax.random.normal(KEY, (5, *example.shape))
    outputs, after, features = jax.jit(net.train_with_features)(params, x, jax.random.key(1))
    wanted, _ = net.train(params, x, jax.random.key(1))  # with the same dropout
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        outputs, outputs_of(params[last]["Dense_0"], features), rtol=1e-5, atol=1e-6
    )
    assert jax.tree.structure(after) == jax.tree.structure(params)


def test_state_after_the_batch_comes_along():
    class Normalized(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            x = nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x))
            return nn.Dense(2)(nn.relu(x))

    net = network(Normalized(), jnp.ones(3))
    model, x = net.init(KEY), jax.random.normal(KEY, (6, 3))
    outputs, after, features = net.train_with_features(model, x, KEY)
    wanted, wanted_after = net.train(model, x, KEY)
    np.testing.assert_allclose(outputs, wanted, rtol=1e-6)
    np.testing.assert_allclose(outputs, outputs_of(model["params"]["Dense_1"], features), rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, after, wanted_after)


def test_models_of_one_layer_and_of_other_kinds_tell_none():
    pair = (lambda key, x: {"w": jnp.ones((4, 2))}), (lambda params, x: x @ params["w"])
    for model in (Linear(classes=3), pair, nnx.Linear(4, 2, rngs=nnx.Rngs(0))):
        assert network(model, jnp.ones(4)).train_with_features is None
