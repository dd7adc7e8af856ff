"""Options: every one checked in a sentence."""

import pytest

from demjax.experiment.config import read_toml, to_toml
from demjax.experiment.defaults import CHOICES, CONFLICTS, DEALING, DEFAULTS, PARTITIONS
from demjax.experiment.experiment import Experiment
from demjax.experiment.validation import nearest, resolve, unused_options


def _sentence(**options):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is what is checked
        resolve(Experiment(**options))
    message = str(error.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"algorithm": "demlern"}, ["'demlern'", "perhaps 'demlearn' was meant"]),
        ({"dataset": "minst"}, ["'minst'", "perhaps 'mnist' was meant", "digits"]),
        ({"model": "cn"}, ["perhaps 'cnn' was meant", "linear", "mlp"]),
        ({"partition": "dirichelt"}, ["perhaps 'dirichlet' was meant", "published"]),
        ({"metric": "euclid"}, ["perhaps 'euclidean' was meant", "cosine"]),
        ({"linkage": "wart"}, ["perhaps 'ward' was meant", "average"]),
        ({"rounds": 0}, ["--rounds", "0", "1 to 1000000"]),
        ({"batch_size": 0}, ["--batch-size", "1 or more"]),
        ({"epochs": -3}, ["--epochs", "-3"]),
        ({"clients": 0}, ["--clients", "1 or more"]),
        ({"mix": 1.5}, ["--mix", "1.5", "0.0 to 1.0"]),
        ({"lr": -1.0}, ["--lr", "-1.0"]),
        ({"lr": float("nan")}, ["--lr", "nan"]),
        ({"prox": float("inf")}, ["--prox", "inf"]),
        ({"seed": -1}, ["--seed", "-1"]),
        ({"eval_every": 0}, ["--eval-every"]),
        ({"levels": -1}, ["--levels", "-1"]),
        ({"levels": 6}, ["6 levels", "64", "50", "0 to 5"]),
        ({"levels": 3, "clients": 7}, ["3 levels", "8", "7", "0 to 2"]),
        ({"period": 0}, ["--period"]),
        ({"groups": (60, 4)}, ["--groups", "60,4", "50 clients", "up to 50"]),
        ({"min_size": 26}, ["--min-size", "26", "50 clients", "1 to 25"]),
        ({"partition": "published"}, ["published", "'digits'", "mnist"]),
        ({"partition": "published", "dataset": "mnist", "clients": 49}, ["49", "50"]),
        ({"partition": "file"}, ["--partition-file", "none was named"]),
        ({"partition": "planted", "kinds": 51}, ["--kinds", "51", "1 to 50"]),
        ({"conflict": "rotatd"}, ["perhaps 'rotated' was meant", "noisy", "permuted"]),
        ({"label_sigma": -1.0}, ["--label-sigma", "-1.0"]),
        ({"min_examples": 1}, ["--min-examples", "1", "2 or more"]),
        ({"noise": -0.1, "conflict": "noisy"}, ["--noise", "-0.1", "0.0 to 100.0"]),
        ({"kinds": 0}, ["--kinds", "1 or more"]),
        ({"cohort": 51}, ["--cohort", "51", "50 clients", "1 to 50"]),
        ({"cohort": 0}, ["--cohort", "1 or more"]),
        ({"precision": "bf61"}, ["perhaps 'bf16' was meant", "float32"]),
        ({"rounds": "ten"}, ["--rounds", "int", "'ten'"]),
        ({"mix": (0.6, 0.4)}, ["--mix", "2 values", "0.6,0.4", "one value, or 4"]),
        ({"mix": (0.6, 0.4, 2.0, 0.1)}, ["--mix", "2.0", "0.0 to 1.0"]),
        ({"mix": (0.6,) * 4, "algorithm": "fedavg"}, ["--mix", "one value"]),
        ({"weigh": ("clients",) * 3}, ["--weigh", "3 values", "one value, or 4"]),
        ({"weigh": "models"}, ["'models'", "clients, examples"]),
        ({"groups": (3, 6)}, ["--groups", "3,6", "6,3"]),
        ({"groups": (6, 3.5)}, ["--groups", "int", "3.5"]),
        ({"groups": ()}, ["--groups", "parted by commas"]),
        ({"groups": (6, 3), "heights": (1.0, 2.0)}, ["--groups", "--heights", "one of them"]),
        ({"groups": (6, 3), "levels": 3}, ["2 levels", "3", "--levels 2"]),
        ({"heights": (2.0, 1.0)}, ["--heights", "2.0,1.0", "1.0,2.0"]),
        ({"heights": (1.0, 2.0), "levels": 1}, ["--heights", "--levels 2"]),
        ({"heights": (-1.0, 2.0)}, ["--heights", "-1.0"]),
        ({"groups": (6, 3), "mix": (0.5,) * 4}, ["4 values", "one value, or 3"]),
        ({"features": "weight"}, ["perhaps 'weights' was meant", "gradients"]),
        ({"start": "roots"}, ["perhaps 'root' was meant", "own"]),
        ({"linkage_backend": "host"}, ["'host'", "xla, scipy"]),
        ({"feature_layers": "Dense_0"}, ["--feature-layers", "parted by commas", "'Dense_0'"]),
        ({"sketch": 0}, ["--sketch", "1 or more"]),
        ({"min_size": 0}, ["--min-size", "1 or more"]),
        ({"rounds": True}, ["--rounds", "True"]),
        ({"dropout": 1.0}, ["--dropout", "1.0", "0.0 to 0.99"]),
        ({"dropout": 0.1, "model": "mlp"}, ["--dropout", "0.1", "'mlp'", "cifar_cnn, cnn"]),
        ({"pixels": "centered"}, ["perhaps 'centred' was meant", "per_pixel"]),
        ({"pixels": "published"}, ["published scale", "'digits'", "cifar10", "leaf", "mnist"]),
        ({"store": "byte"}, ["perhaps 'bytes' was meant", "floats"]),
    ],
)
def test_a_wrong_option_is_one_sentence_that_says_what_is_possible(options, words):
    message = _sentence(**options)
    for word in words:
        assert word in message


@pytest.mark.parametrize("algorithm", CHOICES["ALGORITHMS"])
def test_resolving_fills_in_the_algorithms_own_options_and_no_others(algorithm):
    special = {name for options in DEFAULTS.values() for name in options}
    resolved = resolve(Experiment(algorithm=algorithm))
    for name in special:
        assert getattr(resolved, name) == DEFAULTS[algorithm].get(name)
    assert resolve(resolved) == resolved


def test_given_options_win_over_the_algorithms_defaults():
    assert resolve(Experiment(mix=0.0, prox=0.0)).mix == 0.0
    assert resolve(Experiment(algorithm="fedavg", mix=0.6)).mix == 0.6


def test_options_the_algorithm_does_not_use_are_told():
    assert unused_options(Experiment(algorithm="fedavg", levels=2, mix=0.5)) == [
        ("fedavg", "levels")
    ]
    assert unused_options(Experiment(levels=2)) == []


@pytest.mark.parametrize("partition", CHOICES["PARTITIONS"])
@pytest.mark.parametrize("conflict", CHOICES["CONFLICTS"])
def test_resolving_fills_in_what_a_partition_and_a_conflict_use_and_no_more(partition, conflict):
    asked = Experiment(
        partition=partition, conflict=conflict, dataset="mnist", partition_file="x", noise=0.1
    )
    resolved = resolve(asked)
    used = {**PARTITIONS[partition], **CONFLICTS[conflict]}
    for name in DEALING - {"partition_file", "noise"}:
        assert getattr(resolved, name) == used.get(name)
    assert (resolved.partition_file is not None) == (partition == "file")
    assert resolved.noise == (0.1 if conflict == "noisy" else None)
    assert resolve(resolved) == resolved
    assert unused_options(resolved) == []


def test_options_that_who_deals_does_not_use_are_told():
    asked = Experiment(partition="iid", labels_per_client=2, conflict="rotated", kinds=2, noise=1.0)
    user = "the partition iid with the conflict rotated"
    assert unused_options(asked) == [(user, "labels_per_client"), (user, "noise")]
    alone = Experiment(partition="published", test_fraction=0.3)
    assert unused_options(alone) == [("the partition published", "test_fraction")]


def test_nothing_near_is_not_guessed():
    assert nearest("zzz", ["cnn", "mlp"]) == "possible are cnn, mlp"


def test_levels_follow_from_the_cut():
    assert resolve(Experiment(groups=(12, 6, 3, 2))).levels == 4
    assert resolve(Experiment(groups=(6, 3), levels=2)).levels == 2
    assert resolve(Experiment(heights=(1.0,))).levels == 1
    assert resolve(Experiment(groups=(6, 3), mix=(0.5, 0.4, 0.3))).mix == (0.5, 0.4, 0.3)


@pytest.mark.parametrize(
    "options",
    [
        {"mix": (0.6, 0.5, 0.4, 0.2), "weigh": ("clients",) * 3 + ("examples",)},
        {"groups": (12, 6), "min_size": 2, "features": "updates", "sketch": 64},
        {"heights": (0.5, 1.5, 2.0), "slots": 9, "feature_layers": ("Dense_0", "Dense_1")},
        {"average_layers": ("Dense_0",), "start": "root", "linkage_backend": "scipy"},
    ],
    ids=str,
)
def test_lists_come_back_from_toml_as_they_were(options, tmp_path):
    resolved = resolve(Experiment(**options))
    path = tmp_path / "config.toml"
    path.write_text(to_toml(resolved), encoding="utf-8")
    assert Experiment(**read_toml(path)) == resolved


@pytest.mark.parametrize(
    ("dataset", "partition"),
    [("digits", "labels"), ("synthetic", "natural"), ("leaf", "natural"), ("mnist", "labels")],
)
def test_clients_are_the_owners_of_data_that_have_some(dataset, partition):
    asked = Experiment(dataset=dataset, data_dir="x", test_fraction=0.3)
    assert resolve(asked).partition == partition
    assert unused_options(asked) == []
    assert resolve(Experiment(dataset=dataset, partition="iid")).partition == "iid"
