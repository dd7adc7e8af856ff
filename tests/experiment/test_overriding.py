"""Options of a file with others in their place."""

from demjax.experiment.config import read_preset
from demjax.experiment.overriding import override


def test_options_given_by_hand_win_and_another_algorithm_inherits_nothing():
    options = {"algorithm": "demlearn", "mix": 0.6, "lr": 0.1, "normalization": "standardized"}
    assert override(options, {"mix": 0.5}) == {**options, "mix": 0.5}
    other = override(options, {"algorithm": "fedavg"})
    assert other == {"algorithm": "fedavg", "lr": 0.1, "normalization": "standardized"}
    assert "normalization" not in override(options, {"partition": "published"})


def test_another_partition_drops_the_options_of_the_one_before():
    filed = {"partition": "labels", "labels_per_client": 3, "label_sigma": 1.0, "clients": 9}
    filed |= {"test_fraction": 0.3, "conflict": "rotated", "true_clusters": 2}
    kept = override(filed, {"partition": "dirichlet"})
    assert kept == {
        "partition": "dirichlet",
        "clients": 9,
        "test_fraction": 0.3,
        "conflict": "rotated",
        "true_clusters": 2,
    }
    planted = override(filed, {"partition": "planted"})
    assert planted["true_clusters"] == 2
    assert "label_sigma" not in planted  # whose default is another one there
    assert override(filed, {"conflict": None}) == {
        **{name: value for name, value in filed.items() if name != "true_clusters"},
        "conflict": None,
    }
    assert "test_fraction" not in override(filed, {"partition": "published"})
    assert override(filed, {"seed": 1}) == filed | {"seed": 1}


def test_other_data_keep_a_partition_that_was_asked_for_and_drop_one_that_follows():
    preset = read_preset("published_cifar10")
    other = override(preset, {"dataset": "cifar10_jpeg"})
    assert other == {**preset, "dataset": "cifar10_jpeg"}
    filed = {"dataset": "digits", "partition": "dirichlet", "dirichlet_alpha": 0.1, "lr": 0.1}
    assert override(filed, {"dataset": "leaf"}) == {**filed, "dataset": "leaf"}
    filed = {"dataset": "digits", "partition": "labels", "labels_per_client": 2, "lr": 0.1}
    assert override(filed, {"dataset": "leaf"}) == {"dataset": "leaf", "lr": 0.1}
    asked = {**filed, "labels_per_client": 3}
    assert override(asked, {"dataset": "leaf"}) == {**asked, "dataset": "leaf"}


def test_what_followed_from_the_data_follows_from_other_data():
    owned = {"dataset": "npz", "partition": "natural", "data_dir": "own.npz", "clients": 6}
    assert override(owned, {"dataset": "digits"}) == {
        "dataset": "digits",
        "clients": 6,
    }
    assert override(owned, {"dataset": "mnist"})["data_dir"] == "own.npz"
    filed = {"dataset": "digits", "partition": "labels", "clients": 50}  # as by default
    for flags in ({"dataset": "npz"}, {"partition": "natural"}, {"partition": "file"}):
        assert "clients" not in override(filed, flags)
    assert override({**filed, "clients": 49}, {"dataset": "npz"})["clients"] == 49


def test_another_optimizer_or_cut_drops_what_the_one_before_took():
    filed = {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "cut": "depth", "levels": 2}
    other = override(filed, {"optimizer": "adam"})
    assert other == {"optimizer": "adam", "cut": "depth", "levels": 2}
    cut = override(filed, {"groups": (6, 3)})
    assert cut == {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "groups": (6, 3)}


def test_the_scale_is_kept_with_the_same_data_and_dropout_goes_with_its_model():
    options = {"dataset": "digits", "normalization": "unit", "model": "cnn", "dropout": 0.0}
    same = override(options, {"dataset": "digits", "partition": "labels"})
    assert same == {**options, "partition": "labels"}
    other = override(options, {"model": "mlp"})
    assert other == {"dataset": "digits", "normalization": "unit", "model": "mlp"}
