"""Layers in the order in which inputs meet them, whatever they are called."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from demjax import classification
from demjax.backend.policy import compiling_for
from demjax.models import CNN, MLP, CifarCNN, Linear
from demjax.models.depth import layers_in_order

IMAGE = jnp.zeros((8, 8, 1))


def order(model, example=IMAGE, platform="cpu"):
    with compiling_for(platform):
        task = classification(model, example)
        params = jax.eval_shape(task.init, jax.random.key(0))
        found = layers_in_order(task.predict, params, example[None])
    leaves = sorted(leaf for own in found.values() for leaf in own)
    assert leaves == list(range(len(jax.tree.leaves(params))))
    return ["/".join(layer) for layer in found]


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_the_networks_layers_come_in_the_order_that_their_docstrings_say(platform):
    small = {"classes": 3, "filters": (2, 2), "hidden": 4}
    # `Dense_0` is the output layer, for it is made before the hidden one
    wanted = ["Conv2D_0", "Conv2D_1", "Dense_1/Dense_0", "Dense_0/Dense_0"]
    assert order(CNN(**small), platform=platform) == wanted
    wanted = [*(f"Conv2D_{n}" for n in range(2)), *(f"Dense_{n}/Dense_0" for n in range(3))]
    assert order(CifarCNN(3, (2, 2), (4, 4)), platform=platform) == wanted
    assert order(MLP(3, (4, 5))) == [f"Dense_{n}/Dense_0" for n in range(3)]
    assert order(Linear(3)) == ["Dense_0/Dense_0"]


class Block(nn.Module):
    """Layers that repeat under one name, a normalization, a layer applied twice, one unused."""

    @nn.compact
    def __call__(self, x, *, train):
        x = x.reshape(x.shape[0], -1)
        last, again = nn.Dense(3, name="a_last"), nn.Dense(64, name="z_twice")
        self.param("unused", nn.initializers.zeros, (2,))
        x = nn.BatchNorm(use_running_average=not train, name="norm")(again(x))
        return last(jax.nn.gelu(again(x)))


def test_statistics_are_of_their_layer_and_a_layer_stands_where_it_is_first_met():
    task = classification(Block(), IMAGE)
    params = jax.eval_shape(task.init, jax.random.key(0))
    found = layers_in_order(task.predict, params, IMAGE[None])
    assert list(found) == [(), ("z_twice",), ("norm",), ("a_last",)]
    assert len(found["norm",]) == 4  # mean and variance, scale and bias


def test_a_layer_inside_of_a_loop_or_a_compiled_function_is_met_there():
    def predict(model, x):
        first = jax.jit(lambda w, x: x @ w)(model["z"]["w"], x)
        looped, _ = jax.lax.scan(lambda x, _: (x @ model["m"]["w"], None), first, length=2)
        kernel = jax.jit(lambda w: 2 * w.T)(model["a"]["w"])  # nothing has met it yet
        return looped @ kernel

    params = {name: {"w": jnp.eye(3)} for name in "amz"}
    assert list(layers_in_order(predict, params, jnp.ones((1, 3)))) == [("z",), ("m",), ("a",)]


def test_modules_of_nnx_and_pairs_of_functions_have_layers_as_well():
    class Net(nnx.Module):
        """Two layers, the first of which is named last."""

        def __init__(self, rngs):
            self.b_first = nnx.Linear(64, 5, rngs=rngs)
            self.a_second = nnx.Linear(5, 3, rngs=rngs)

        def __call__(self, x):
            return self.a_second(jax.nn.relu(self.b_first(x.reshape(x.shape[0], -1))))

    assert order(lambda rngs: Net(rngs)) == ["b_first", "a_second"]

    def init(key, example):
        return [(jnp.ones((64, 4)), jnp.zeros(4)), (jnp.ones((4, 3)),)]

    def apply(params, x):
        (w, b), (v,) = params
        return (x.reshape(x.shape[0], -1) @ w + b) @ v

    assert order((init, apply)) == ["0", "1"]
