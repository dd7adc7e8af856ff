"""Names of layers, against paths written by hand and the built-in models."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import demjax
from demjax.models import CNN, MLP, CifarCNN, Linear, chosen_layers, layer_paths
from demjax.models.adapters import network
from demjax.models.layers import selection_in_words

MODEL = {
    "params": {
        "Dense_0": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)},
        "Dense_1": {"Dense_0": {"kernel": np.ones((3, 4))}, "bias": np.ones(4)},
        "Dense_10": {"bias": np.full(5, 2.0)},
    }
}


def sizes(model, *names):
    pairs = zip(jax.tree.leaves(model), jax.tree.leaves(chosen_layers(model, names)), strict=True)
    return sorted(leaf.size for leaf, wanted in pairs if wanted)


def shapes(model, shape):
    net = network(model, jnp.zeros(shape))
    return jax.eval_shape(net.init, jax.random.key(0))


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["Dense_0"], [3, 6]),
        (["Dense_1"], [4, 12]),
        (["Dense_10"], [5]),
        (["Dense_1/Dense_0"], [12]),
        (["params/Dense_0/bias"], [3]),
        (["*/bias"], [3, 4, 5]),
        (["Dense_*/kernel", "Dense_10"], [5, 6]),
    ],
    ids=str,
)
def test_names_match_whole_parts_from_the_root(names, wanted):
    assert sizes(MODEL, *names) == wanted


@pytest.mark.parametrize(
    "name", ["Dense_2", "Dense", "ense_0", "Dense_0/Dense_1", "bias", "kernel", "", "Dense_0/"]
)
def test_an_unknown_layer_is_told_with_those_there_are(name):
    with pytest.raises(ValueError, match=rf"no layer '{name}'; .* Dense_0/kernel.*\.$"):
        chosen_layers(MODEL, ("Dense_0", name))


@pytest.mark.parametrize("names", [["params"], ["*"], ["Dense_0", "Dense_1", "Dense_10"]], ids=str)
def test_a_selection_of_everything_is_told(names):
    with pytest.raises(ValueError, match=r"all there are in the model; .* Dense_1/bias"):
        chosen_layers(MODEL, names)


def test_no_names_choose_every_leaf():
    assert all(jax.tree.leaves(chosen_layers(MODEL, ())))


@pytest.mark.parametrize(
    ("model", "shape", "paths", "first"),
    [
        (Linear(10), (8, 8, 1), {"Dense_0"}, [10, 640]),
        (MLP(10), (8, 8, 1), {"Dense_0", "Dense_1"}, [200, 12800]),
        (CNN(10), (8, 8, 1), {"Conv2D_0", "Conv2D_1", "Dense_0", "Dense_1"}, [10, 5120]),
        (
            CifarCNN(10),
            (32, 32, 3),
            {f"Conv2D_{i}" for i in range(3)} | {f"Dense_{i}" for i in range(3)},
            [512, 524288],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_built_in_models_show_their_layers_and_no_wrapper(model, shape, paths, first):
    params = shapes(model, shape)
    shown = jax.tree.leaves(layer_paths(params))
    assert set(shown) == {f"{layer}/{leaf}" for layer in paths for leaf in ("kernel", "bias")}
    if len(paths) > 1:
        assert sizes(params, "Dense_0") == first
    # The whole path, with the wrapper, names it too.
    assert sizes(params, "Dense_0/Dense_0/kernel") == first[1:]
    assert sizes(params, "Dense_0/kernel") == first[1:]


class Normalized(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x))
        return nn.Dense(3)(x)


def test_a_layer_is_meant_in_all_collections():
    model = shapes(Normalized(), (5,))
    assert sizes(model, "BatchNorm_0") == [4, 4, 4, 4]
    assert sizes(model, "batch_stats") == [4, 4]
    assert sizes(model, "params/BatchNorm_0") == [4, 4]
    assert "batch_stats/BatchNorm_0/mean" in jax.tree.leaves(layer_paths(model))


def test_the_selection_in_words():
    params = shapes(MLP(10), (8, 8, 1))
    told = "Dense_0 (2 of 4 arrays, 13,000 of 15,010 parameters)"
    assert selection_in_words(params, ["Dense_0"]) == told


def test_averaging_the_first_layer_only_leaves_the_clients_their_last():
    """By hand: after a round of FedAvg-like DemLearn the first layers agree, the last do not."""
    dataset = demjax.data.digits()
    clients = demjax.data.client_data(
        dataset.x, dataset.y, demjax.data.labels(dataset.y, clients=4, seed=0)
    )
    task = demjax.classification(MLP(10, hidden=(5,)), clients.x[0])
    local = demjax.local_training(task, optax.sgd(0.05), epochs=1, batch_size=50)
    algorithm = demjax.demlearn(local, levels=0, mix=1.0, prox=0.0, average_layers=("Dense_0",))
    state = algorithm.init(jax.random.key(0), clients)
    state, _ = jax.jit(algorithm.round)(jax.random.key(1), state, clients)
    client = algorithm.models(state).client.as_pytree()
    spread = {
        path: float(jnp.abs(leaf - leaf[:1]).max())
        for path, leaf in zip(
            jax.tree.leaves(layer_paths(client)), jax.tree.leaves(client), strict=True
        )
    }
    assert spread["Dense_0/kernel"] == spread["Dense_0/bias"] == 0
    assert spread["Dense_1/kernel"] > 1e-3
    assert spread["Dense_1/bias"] > 1e-3
