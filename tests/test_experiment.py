"""Options: every one checked in a sentence."""

import dataclasses

import pytest

from demjax.experiment import CHOICES, DEFAULTS, Experiment, nearest, resolve, unused_options


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
        ({"partition": "published"}, ["published", "'digits'", "mnist"]),
        ({"partition": "published", "dataset": "mnist", "clients": 49}, ["49", "50"]),
        ({"rounds": "ten"}, ["--rounds", "int", "'ten'"]),
        ({"rounds": True}, ["--rounds", "True"]),
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
    assert unused_options(Experiment(algorithm="fedavg", levels=2, mix=0.5)) == ["levels"]
    assert unused_options(Experiment(levels=2)) == []


def test_nothing_near_is_not_guessed():
    assert nearest("zzz", ["cnn", "mlp"]) == "possible are cnn, mlp"


def test_every_option_explains_itself():
    for field in dataclasses.fields(Experiment):
        assert len(field.metadata["help"]) > 4
