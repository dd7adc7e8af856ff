"""An experiment's options reach the rules they stand for."""

import numpy as np
import pytest
from experiments import experiment
from partitions_alike import failure, same

from demjax import data
from demjax.experiment import build, load_data

DIGITS = data.digits()


def given(source=DIGITS, /, **options):
    return load_data.partitioned(experiment(algorithm="local_only", **options), source)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"partition": "iid"}, lambda y: data.iid(y, clients=20, seed=5)),
        (
            {"partition": "labels", "labels_per_client": 3, "label_sigma": 0.5},
            lambda y: data.labels(y, clients=20, seed=5, labels_per_client=3, label_sigma=0.5),
        ),
        ({"partition": "labels"}, lambda y: data.labels(y, clients=20, seed=5)),
        (
            {"partition": "dirichlet", "dirichlet_alpha": 0.1, "min_examples": 7},
            lambda y: data.dirichlet(y, clients=20, seed=5, dirichlet_alpha=0.1, min_examples=7),
        ),
        (
            {"partition": "quantity", "dirichlet_alpha": 2.0, "test_fraction": 0.4},
            lambda y: data.quantity(y, clients=20, seed=5, dirichlet_alpha=2.0, test_fraction=0.4),
        ),
        (
            {
                "partition": "planted",
                "true_clusters": 3,
                "labels_per_client": 4,
                "label_sigma": 1.0,
            },
            lambda y: (
                data.planted(
                    y, clients=20, seed=5, true_clusters=3, labels_per_client=4, label_sigma=1.0
                ).partition
            ),
        ),
        (
            {"partition": "planted"},
            lambda y: (
                data.planted(y, clients=20, seed=5, true_clusters=4, labels_per_client=2).partition
            ),
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else value.__name__,
)
def test_the_options_of_a_rule_reach_it(options, wanted):
    found = given(clients=20, seed=5, **options)
    assert same(found.partition, wanted(DIGITS.y))
    assert found.y is DIGITS.y
    planted = options["partition"] == "planted"
    assert (found.true_clusters is not None) == planted
    if planted:
        assert found.true_clusters.max() + 1 == options.get("true_clusters", 4)


def test_natural_deals_the_owners_of_a_data_set():
    class Owned(data.Dataset):
        owner = np.arange(len(DIGITS.y)) % 90

    found = given(Owned(*DIGITS), partition="natural", clients=30, seed=2)
    options = {"train_count": len(DIGITS.y), "clients": 30, "seed": 2}
    assert same(found.partition, data.natural(DIGITS.y, Owned.owner, **options))
    failure(lambda: given(partition="natural"), "do not say whose")


@pytest.mark.parametrize(
    ("conflict", "wanted"),
    [
        ("rotated", lambda x, p: data.rotated(x, p, 4)),
        ("noisy", lambda x, p: data.noisy(x, p, 4, noise=0.5, seed=0)),
        ("permuted", lambda x, p: data.permuted(x, p, 4, seed=0)),
    ],
)
def test_conflicts_are_planted_in_the_inputs(conflict, wanted):
    before = DIGITS.x.copy()
    found = given(conflict=conflict, clients=10)
    np.testing.assert_array_equal(found.dataset.x, wanted(DIGITS.x, found.partition))
    np.testing.assert_array_equal(DIGITS.x, before)
    assert found.true_clusters.tolist() == data.planted_clusters(10, 4).tolist()
    assert found.dataset.y is DIGITS.y


def test_the_labels_that_were_dealt_are_kept_beside_those_that_conflict():
    found = given(conflict="relabelled", true_clusters=2, clients=10)
    np.testing.assert_array_equal(found.y, DIGITS.y)
    wanted = data.relabelled(DIGITS.y, found.partition, 2, classes=10)
    np.testing.assert_array_equal(found.dataset.y, wanted)


def test_a_file_is_dealt_to_as_many_clients_as_it_has(tmp_path):
    path = tmp_path / "p.npz"
    partition = data.iid(DIGITS.y, clients=12, seed=9)
    data.save_partition(partition, path, y=DIGITS.y)
    options = {"partition": "file", "partition_file": str(path)}
    assert same(given(clients=12, **options).partition, partition)
    failure(lambda: given(clients=13, **options), "12 clients", "13", "--clients 12")
    other = DIGITS._replace(y=DIGITS.y[::-1])
    failure(lambda: given(other, clients=12, **options), "not these 1797")


@pytest.mark.parametrize(
    ("name", "each", "examples"),
    [("fashion_mnist", 7000, 4766), ("cifar10", 6000, 55430), ("cifar10_jpeg", 6000, 55430)],
)
def test_each_data_set_is_dealt_as_its_own_experiment(name, each, examples):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(10), each))
    source = DIGITS._replace(y=y, train_count=len(y) - 10_000, name=name)
    found = given(source, dataset=name, partition="published", data_dir=".").partition
    assert sum(map(len, (*found.train, *found.test))) == pytest.approx(examples, abs=20)


def test_missing_data_are_told_in_a_sentence():
    failure(lambda: load_data.load(experiment(data_dir="/nowhere")), "/nowhere")


@pytest.mark.parametrize(
    ("shape", "model", "least"),
    [((2, 9, 1), "cnn", "4×4"), ((9, 3, 1), "cnn", "4×4"), ((7, 8, 1), "cifar_cnn", "8×8")],
)
def test_images_that_are_too_small_for_the_model_are_refused(shape, model, least, tmp_path):
    path = tmp_path / "small.npz"
    np.savez(path, x=np.zeros((40, *shape), np.uint8), y=np.arange(40) % 10)
    asked = experiment(dataset="npz", data_dir=str(path), model=model, clients=8)
    with pytest.raises(ValueError, match=least):
        load_data.load(asked)


@pytest.mark.parametrize("option", [{"normalization": "unit"}, {"conflict": "noisy"}])
def test_numbers_that_are_not_within_0_to_1_cannot_be_scaled_from_there(option, tmp_path):
    path = tmp_path / "large.npz"
    x = np.linspace(-1, 255, 400, dtype=np.float32).reshape(40, 10)
    np.savez(path, x=x, y=np.arange(40) % 10)
    asked = experiment(dataset="npz", data_dir=str(path), model="linear", clients=8, **option)
    with pytest.raises(ValueError, match="they are -1 to 255"):
        build.build(asked)


@pytest.mark.parametrize("shape", [(9, 8), (8, 8)])
def test_images_without_a_channel_axis_serve_a_model_of_images(shape, tmp_path):
    path = tmp_path / "grey.npz"
    np.savez(path, x=np.ones((40, *shape), np.float32), y=np.arange(40) % 10)
    options = {"dataset": "npz", "data_dir": str(path), "model": "cnn", "clients": 8}
    assert load_data.load(experiment(**options)).x.shape == (40, *shape, 1)
    failure(lambda: load_data.load(experiment(**options, layout="as_is")), f"{shape}", "cnn")


def test_rows_of_pixels_are_answered_with_their_layout(tmp_path):
    path = tmp_path / "rows.npz"
    np.savez(path, x=np.ones((40, 64), np.float32), y=np.arange(40) % 10)
    options = {"dataset": "npz", "data_dir": str(path), "model": "cnn", "clients": 8}
    failure(lambda: load_data.load(experiment(**options)), "--layout hw", "8×8×1")
    assert load_data.load(experiment(**options, layout="hw")).x.shape == (40, 8, 8, 1)
