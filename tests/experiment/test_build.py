"""Names become what they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments import experiment
from idx_files import idx_bytes

from demjax.experiment import build
from demjax.registry import NORMALIZATIONS


@pytest.mark.parametrize("partition", ["iid", "labels", "dirichlet"])
@pytest.mark.parametrize("model", ["linear", "mlp", "cnn"])
def test_every_partition_and_model_can_be_built(partition, model):
    built = build.build(experiment(partition=partition, model=model, clients=8))
    assert built.clients.n_clients == 8
    params = built.task.init(jax.random.key(0))
    examples = built.clients.train[0, :4]
    score = built.task.score(params, built.clients.x[examples], built.clients.y[examples])
    assert score.shape == (4,)


def test_inputs_are_standardized_by_training_examples_only():
    clients = build.build(experiment(clients=8, partition="iid")).clients
    size = np.asarray(clients.train_size)
    rows = np.concatenate([np.asarray(clients.train)[n, : size[n]] for n in range(8)])
    x = np.asarray(clients.x)[rows]
    assert abs(x.mean()) < 1e-4
    assert abs(x.std() - 1) < 0.01
    unit = build.build(experiment(clients=8, partition="iid", normalization="unit")).clients
    assert float(unit.x.min()) == 0.0
    assert float(unit.x.max()) == 1.0


@pytest.fixture(scope="module")
def mnist_files(tmp_path_factory):
    """Forty images of 8×8 pixels in MNIST's files."""
    folder = tmp_path_factory.mktemp("mnist")
    rng = np.random.default_rng(0)
    for part, count in (("train", 30), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 8, 8), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return str(folder)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_bytes_are_scaled_in_the_step_as_floats_are_beforehand(normalization, mnist_files):
    options = {"dataset": "mnist", "data_dir": mnist_files, "clients": 4, "partition": "iid"}
    options["levels"] = 2
    built = {
        store: build.build(
            experiment(normalization=normalization, store=store, model="linear", **options)
        )
        for store in ("bytes", "floats")
    }
    types = {store: run.clients.x.dtype for store, run in built.items()}
    assert types == {"bytes": np.uint8, "floats": np.float32}
    params = built["floats"].task.init(jax.random.key(0))
    gradients = []
    for run in built.values():
        rows = run.clients.train[0, :6]
        x, y = run.clients.x[rows], run.clients.y[rows]
        gradient = jax.grad(run.task.loss)(params, x, y, jnp.ones(6), jax.random.key(0))
        gradients.append(np.concatenate([g.ravel() for g in jax.tree.leaves(gradient)]))
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-5)
    assert np.abs(gradients[0]).max() > 1e-3


def test_only_bytes_can_be_held_as_bytes():
    with pytest.raises(ValueError, match="float32; possible is --store floats"):
        build.build(experiment(store="bytes", clients=8))


def test_dropout_is_the_models():
    built = {
        rate: build.build(experiment(model="cnn", dropout=rate, clients=8)) for rate in (0.0, None)
    }
    for rate, run in built.items():
        params = run.task.init(jax.random.key(0))
        x, y = run.clients.x[:4], run.clients.y[:4]
        losses = [run.task.loss(params, x, y, jnp.ones(4), jax.random.key(seed)) for seed in (0, 1)]
        assert (losses[0] == losses[1]) == (rate == 0.0)


def test_more_clients_than_examples_and_more_labels_than_classes_are_sentences():
    with pytest.raises(ValueError, match=r"1,?797"):
        build.build(experiment(clients=2000, partition="iid"))
    with pytest.raises(ValueError, match="11"):
        build.build(experiment(labels_per_client=11))


def test_a_beta_selects_the_earlier_version_of_demlearn():
    options = {"model": "linear", "clients": 8, "levels": 1}
    later = build.build(experiment(**options))
    earlier = build.build(experiment(beta=1.0, **options))
    key = jax.random.key(0)
    ends = []
    for built in (later, earlier):
        state = built.algorithm.init(key, built.clients)
        state, _ = jax.jit(built.algorithm.round)(key, state, built.clients)
        ends.append(jax.tree.leaves(built.algorithm.models(state).client)[0])
    assert not jnp.allclose(ends[0], ends[1], atol=1e-3)


def test_the_published_experiment_is_the_default_one_dealt_as_published():
    resolved = experiment(dataset="mnist", partition="published")
    assert (resolved.clients, resolved.normalization, resolved.model) == (50, "published", "cnn")
    assert (resolved.levels, resolved.mix, resolved.prox, resolved.period) == (3, 0.6, 0.002, 1)
    assert (resolved.epochs, resolved.batch_size, resolved.lr) == (2, 10, 0.05)
    assert resolved.rounds == 100


def test_server_options_select_a_server_optimizer():
    key = jax.random.key(0)
    ends = []
    for options in ({}, {"server_lr": 1.0}, {"server_lr": 0.5}, {"server_momentum": 0.9}):
        built = build.build(experiment(algorithm="fedavg", model="linear", clients=8, **options))
        state = built.algorithm.init(key, built.clients)
        first = jax.tree.leaves(state.server)[0]
        for _ in range(2):
            state, _ = jax.jit(built.algorithm.round)(key, state, built.clients)
        ends.append(jax.tree.leaves(state.server)[0] - first)
    assert jnp.allclose(ends[0], ends[1], atol=1e-5)
    assert not jnp.allclose(ends[0], ends[2], atol=1e-3)
    assert not jnp.allclose(ends[0], ends[3], atol=1e-3)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"groups": (6, 3), "min_size": 2}, (3, 6)),
        ({"heights": (0.5, 1.0, 2.0), "slots": 7}, (4, 7)),
        ({"levels": 2, "features": "gradients", "feature_layers": ("*/bias",)}, (3, 4)),
        ({"levels": 2, "features": "updates", "sketch": 5, "period": 2}, (3, 4)),
    ],
    ids=str,
)
def test_the_options_of_self_organization_reach_it(options, shape):
    built = build.build(experiment(model="linear", clients=8, **options))
    state = jax.eval_shape(built.algorithm.init, jax.random.key(0), built.clients)
    after, _ = jax.eval_shape(built.algorithm.round, jax.random.key(0), state, built.clients)
    assert after.hierarchy.size.shape == shape
    remembered = [leaf.shape for leaf in jax.tree.leaves(after.memory)]
    # the sketch of each client's update, and whether it has trained since the last regrouping
    assert remembered == ([(8, 5), (8,)] if "sketch" in options else [])


@pytest.mark.parametrize("name", ["average_layers", "feature_layers"])
def test_an_unknown_layer_is_told_before_a_run(name):
    with pytest.raises(ValueError, match=r"no layer 'Conv_9'; possible are .*kernel"):
        build.build(experiment(model="linear", clients=8, **{name: ("Conv_9",)}))


@pytest.mark.parametrize("algorithm", ["fixed_tree", "hierfavg"])
def test_groups_may_be_the_true_clusters_of_the_data(algorithm):
    options = {"algorithm": algorithm, "placement": "true_clusters", "model": "linear"}
    built = build.build(experiment(partition="planted", true_clusters=3, clients=9, **options))
    state = jax.eval_shape(built.algorithm.init, jax.random.key(0), built.clients)
    assert state.hierarchy.size.shape == (2, 3)
    state = built.algorithm.init(jax.random.key(0), built.clients)
    np.testing.assert_array_equal(state.hierarchy.groups[0], np.repeat([0, 1, 2], 3))
    with pytest.raises(ValueError, match=r"true clusters .* these data have none"):
        build.build(experiment(partition="iid", clients=9, **options))


def test_the_file_of_edges_is_kept_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "edges.csv").write_text("client,edge\n0,a\n1,b\n2,a\n")
    monkeypatch.chdir(tmp_path)
    asked = experiment(algorithm="hierfavg", edges_file="edges.csv", clients=3, model="linear")
    assert asked.edges_file == str(tmp_path / "edges.csv")
    built = build.build(asked)
    found = built.algorithm.init(jax.random.key(0), built.clients).hierarchy.groups
    np.testing.assert_array_equal(found, [[0, 1, 0], [0, 0, 0]])
