"""Options: every one checked in a sentence."""

import pytest
from experiments import experiment

from demjax.experiment.config import read_toml, to_toml
from demjax.experiment.experiment import resolve
from demjax.registry import ALGORITHMS, CONFLICTS, PARTITIONS, expand


def _sentence(**options):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is what is checked
        experiment(**options)
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
        ({"mix": 1.5}, ["--mix", "1.5", "0 to 1"]),
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
        ({"partition": "published", "dataset": "mnist", "clients": 49}, ["49", "--clients 50"]),
        ({"partition": "file"}, ["--partition-file is needed", "or a run wrote"]),
        ({"partition": "planted", "true_clusters": 51}, ["--true-clusters", "51", "1 to 50"]),
        ({"conflict": "rotatd"}, ["perhaps 'rotated' was meant", "noisy", "permuted"]),
        ({"label_sigma": -1.0, "partition": "labels"}, ["--label-sigma", "-1.0"]),
        ({"min_examples": 1, "partition": "quantity"}, ["--min-examples", "1", "2 or more"]),
        ({"noise": -0.1, "conflict": "noisy"}, ["--noise", "-0.1", "0 to 100"]),
        ({"true_clusters": 0, "conflict": "rotated"}, ["--true-clusters", "1 or more"]),
        ({"cohort": 51}, ["--cohort", "51", "50 clients", "1 to 50"]),
        ({"cohort": 0}, ["--cohort", "1 or more"]),
        ({"precision": "bf61"}, ["perhaps 'bf16' was meant", "float32"]),
        ({"rounds": "ten"}, ["--rounds", "a whole number", "'ten'"]),
        ({"mix": (0.6, 0.4)}, ["--mix", "2 values", "0.6,0.4", "one value, or 4"]),
        ({"mix": (0.6, 0.4, 2.0, 0.1)}, ["--mix", "2.0", "0 to 1"]),
        ({"mix": (0.6,) * 4, "algorithm": "fedavg"}, ["--mix", "a number", "(0.6, 0.6, 0.6, 0.6)"]),
        ({"weighting": ("clients",) * 3}, ["--weighting", "3 values", "one value, or 4"]),
        ({"weighting": "models"}, ["'models'", "clients, examples"]),
        ({"groups": (3, 6)}, ["--groups", "3,6", "6,3"]),
        ({"groups": (6, 3.5)}, ["--groups", "a whole number", "3.5"]),
        ({"groups": ()}, ["--groups", "parted by commas"]),
        (
            {"groups": (6, 3), "heights": (1.0, 2.0)},
            ["--groups", "--heights", "together", "counts with --groups"],
        ),
        ({"groups": (6, 3), "levels": 3}, ["--groups", "--levels", "depth with --levels"]),
        ({"heights": (2.0, 1.0)}, ["--heights", "2.0,1.0", "1.0,2.0"]),
        ({"heights": (1.0, 2.0), "levels": 1}, ["--heights", "--levels", "heights with --heights"]),
        (
            {"cut": "depth", "groups": (6, 3)},
            ["'depth'", "--groups, which is for counts", "--levels"],
        ),
        ({"cut": "counts"}, ["--groups is needed"]),
        ({"heights": (-1.0, 2.0)}, ["--heights", "-1.0"]),
        ({"groups": (6, 3), "mix": (0.5,) * 4}, ["4 values", "one value, or 3"]),
        ({"features": "weight"}, ["perhaps 'weights' was meant", "gradients"]),
        ({"start": "roots"}, ["perhaps 'root' was meant", "own"]),
        ({"linkage_backend": "host"}, ["'host'", "xla, scipy"]),
        ({"feature_layers": "Dense_0"}, ["--feature-layers", "parted by commas", "'Dense_0'"]),
        ({"sketch": 0}, ["--sketch", "1 or more"]),
        ({"min_size": 0}, ["--min-size", "1 or more"]),
        ({"rounds": True}, ["--rounds", "True"]),
        ({"dropout": 1.0}, ["--dropout", "1.0", "0 to 0.99"]),
        ({"dropout": 0.1, "model": "mlp"}, ["--dropout", "'mlp'", "cnn, cifar_cnn"]),
        ({"normalization": "centered"}, ["perhaps 'centred' was meant", "per_pixel"]),
        (
            {"normalization": "published"},
            ["published scale", "'digits'", "cifar10", "leaf", "mnist"],
        ),
        ({"store": "byte"}, ["perhaps 'bytes' was meant", "floats"]),
        ({"algorithm": "hierfavg", "edges": 51}, ["--edges was given as 51", "50 clients"]),
        ({"algorithm": "fixed_tree", "groups": (60, 2)}, ["--groups was given as 60,2", "50"]),
        (
            {"algorithm": "hierfavg", "kappa2": 8, "rounds": 100},
            ["--kappa2 was given as 8", "4 rounds old", "--rounds 96 or 104"],
        ),
        ({"algorithm": "hierfavg", "kappa2": 5, "rounds": 3}, ["3 rounds old", "--rounds 5."]),
        ({"store_models": "bf61"}, ["store models", "perhaps 'bf16' was meant", "float32"]),
        ({"ronds": 3}, ["--ronds", "perhaps '--rounds' was meant"]),
    ],
)
def test_a_wrong_option_is_one_sentence_that_says_what_is_possible(options, words):
    message = _sentence(**options)
    for word in words:
        assert word in message


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_resolving_fills_in_the_algorithms_own_options_and_no_others(algorithm):
    resolved = experiment(algorithm=algorithm)
    own = expand(ALGORITHMS[algorithm].make, {}, given=ALGORITHMS.given)
    for name in {name for other in ALGORITHMS.choices() for name in _own(other)}:
        assert (name in resolved.values) == (name in own)
        if name in own:
            assert resolved.values[name] == own[name].default
    assert resolve(resolved.values) == resolved


def _own(choice):
    return expand(choice.make, {}, given=ALGORITHMS.given)


def test_given_options_win_over_the_algorithms_defaults():
    assert experiment(mix=0.0, prox=0.0).mix == 0.0
    assert experiment(algorithm="fedavg", mix=0.6).mix == 0.6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"algorithm": "fedavg", "levels": 2, "mix": 0.5},
            ["algorithm 'fedavg' takes no --levels", "for demlearn", "takes --mix"],
        ),
        (
            {"partition": "iid", "labels_per_client": 2},
            ["partition 'iid' takes no --labels-per-client", "labels, ", "--test-frac"],
        ),
        (
            {"conflict": "rotated", "true_clusters": 2, "noise": 1.0},
            ["conflict 'rotated' takes no --noise", "for noisy", "it takes --true-clusters"],
        ),
        (
            {"partition": "published", "dataset": "mnist", "test_fraction": 0.3},
            ["partition 'published' takes no --test-fraction", "it takes nothing of its own"],
        ),
        ({"noise": 1.0}, ["Without --conflict", "no --noise", "possible is one of noisy"]),
        ({"synthetic_alpha": 1.0}, ["data set 'digits' takes no --synthetic-alpha", "synthetic"]),
        ({"algorithm": "fedavg", "server_b1": 0.9, "server_momentum": 0.9}, ["--server-b1"]),
    ],
    ids=str,
)
def test_options_that_what_is_chosen_does_not_take_are_refused_with_those_it_takes(options, words):
    message = _sentence(**options)
    for word in words:
        assert word in message


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("conflict", [None, *CONFLICTS])
def test_resolving_fills_in_what_a_partition_and_a_conflict_use_and_no_more(partition, conflict):
    asked = {"partition": partition, "conflict": conflict, "dataset": "mnist"}
    asked |= {"partition_file": "x"} if partition == "file" else {}
    asked |= {"noise": 0.1} if conflict == "noisy" else {}
    resolved = resolve(asked)
    used = {
        name: option.default
        for registry, chosen in ((CONFLICTS, conflict), (PARTITIONS, partition))
        if chosen is not None
        for name, option in expand(registry[chosen].make, {}, given=registry.given).items()
    }
    all_names = {
        name
        for registry in (PARTITIONS, CONFLICTS)
        for choice in registry.choices()
        for name in expand(choice.make, {}, given=registry.given)
    }
    for name in all_names - {"partition_file", "noise"}:
        assert (name in resolved.values) == (name in used)
        assert resolved.values.get(name) == used.get(name)
    assert ("partition_file" in resolved.values) == (partition == "file")
    assert resolved.values.get("noise") == (0.1 if conflict == "noisy" else None)
    assert resolve(resolved.values) == resolved


def test_a_cut_follows_from_what_is_given():
    assert experiment().cut == "depth"
    resolved = experiment(groups=(12, 6, 3, 2))
    assert (resolved.cut, resolved.groups) == ("counts", (12, 6, 3, 2))
    assert "levels" not in resolved.values
    assert experiment(heights=(1.0,)).cut == "heights"
    assert experiment(groups=(6, 3), mix=(0.5, 0.4, 0.3)).mix == (0.5, 0.4, 0.3)
    assert experiment(min_size=2).cut == "depth"


@pytest.mark.parametrize(
    "options",
    [
        {"mix": (0.6, 0.5, 0.4, 0.2), "weighting": ("clients",) * 3 + ("examples",)},
        {"groups": (12, 6), "min_size": 2, "features": "updates", "sketch": 64},
        {"heights": (0.5, 1.5, 2.0), "slots": 9, "feature_layers": ("Dense_0", "Dense_1")},
        {"average_layers": ("Dense_0",), "start": "root", "linkage_backend": "scipy"},
    ],
    ids=str,
)
def test_lists_come_back_from_toml_as_they_were(options, tmp_path):
    resolved = experiment(**options)
    path = tmp_path / "config.toml"
    path.write_text(to_toml(resolved), encoding="utf-8")
    assert resolve(read_toml(path)) == resolved


@pytest.mark.parametrize(
    ("dataset", "partition"),
    [("digits", "labels"), ("synthetic", "natural"), ("leaf", "natural"), ("mnist", "labels")],
)
def test_clients_are_the_owners_of_data_that_have_some(dataset, partition):
    assert experiment(dataset=dataset, data_dir="x", test_fraction=0.3).partition == partition
    assert experiment(dataset=dataset, partition="iid").partition == "iid"


@pytest.mark.parametrize(
    ("partition", "clients"),
    [
        ("labels", 50),
        ("published", 50),
        ("pfllib_dir", 20),
        ("pfllib_pat", 20),
        ("niid_bench_labeldir", 10),
        ("fedprox_power_law", 1000),
        ("ifca", 2400),
        ("natural", None),
    ],
)
def test_a_partition_that_tables_stand_on_brings_its_number_of_clients(partition, clients):
    options = {"dataset": "mnist", "partition": partition, "data_dir": "x"}
    assert experiment(**options).clients == clients
    assert experiment(**options, clients=50).clients == 50
