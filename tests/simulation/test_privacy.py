"""What privacy is spent: uses counted by hand, and dp-accounting's own numbers to the digit."""

import csv
import json

import dp_accounting
import jax
import numpy as np
import pytest
import tiny
from dp_accounting import rdp

from demjax import demlearn, ditto, fedavg, fedrep, local_training, simulate
from demjax.cli.main import main
from demjax.clients.private_steps import private
from demjax.experiment.experiment import resolve
from demjax.hierarchy.private_mean import private_mean
from demjax.simulation import privacy
from demjax.simulation.privacy import accounted, epsilon, epsilons

CLIENTS, TASK, KEY = tiny.clients(), tiny.task(), jax.random.key(3)
LOCAL = local_training(TASK, "sgd", epochs=3, private=private(1.0, 1.1))


def of_package(noise, uses, delta=1e-5):
    accountant = rdp.RdpAccountant()
    for _ in range(uses):
        accountant.compose(dp_accounting.GaussianDpEvent(noise))
    return accountant.get_epsilon(delta)


def run(algorithm, rounds=3):
    return simulate(algorithm, TASK, CLIENTS, rounds=rounds, key=KEY, eval_every=1)


def test_epsilon_is_dp_accountings_to_the_digit():
    for noise, uses in ((1.1, 9), (4.0, 1), (0.7, 30)):
        assert epsilon(noise, uses, 1e-5) == pytest.approx(of_package(noise, uses), rel=1e-12)
    assert epsilon(1.0, 0, 1e-5) == 0
    assert epsilon(0.0, 3, 1e-5) == np.inf
    assert epsilon(1.0, 10, 1e-5) < 10 * epsilon(1.0, 1, 1e-5)  # composed, not summed


@pytest.mark.parametrize(
    ("make", "passes"),
    [
        (fedavg, 3),
        (ditto, 6),  # a global model and a personal one
        (lambda **parts: fedrep(**parts, head_layers=("b",), head_epochs=4), 7),
    ],
)
def test_examples_are_used_once_in_each_epoch_of_each_local_training(make, passes):
    told = run(accounted(make, LOCAL, cohort=3)).info
    trained = np.cumsum(~np.isnan(np.asarray(told.loss)[1:]), axis=0)
    np.testing.assert_array_equal(np.asarray(told.privacy.example_uses)[1:], passes * trained)
    last = jax.tree.map(lambda leaf: leaf[-1], told.privacy)
    wanted = {uses: of_package(1.1, int(uses)) for uses in set(passes * trained[-1]) - {0}}
    found = epsilons(last)
    assert list(found) == ["example_epsilon"]
    for uses, spent in zip(passes * trained[-1], found["example_epsilon"], strict=True):
        assert spent == pytest.approx(wanted.get(uses, 0), rel=1e-12)


def test_a_client_is_used_once_on_each_level():
    how, local = private(0.5, 2.0), local_training(TASK, "sgd")

    def tree(**parts):
        return demlearn(**parts, levels=2, average=private_mean(how))

    told = run(accounted(tree, local, client=how, delta=1e-6), 2).info.privacy
    assert told.example_uses is None
    assert np.asarray(told.client_uses)[-1].tolist() == [2 * 3] * 8
    spent = epsilons(jax.tree.map(lambda leaf: leaf[-1], told))["client_epsilon"]
    assert spent.tolist() == [pytest.approx(of_package(2.0, 6, 1e-6), rel=1e-12)] * 8


def test_what_is_spent_stands_in_the_metrics(tmp_path):
    words = ["--algorithm", "fedavg", "--clients", "6", "--model", "linear", "--rounds", "2"]
    words += ["--cohort", "3", "--epochs", "1", "--example-clip", "1", "--client-clip", "2"]
    assert main(["run", *words, "--client-noise", "3", "--out", str(tmp_path / "run")]) == 0
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        first, *_, last = csv.DictReader(file)
    assert first["example_epsilon"] == ""
    with (tmp_path / "run" / "clients.csv").open(newline="") as file:
        each = [row for row in csv.DictReader(file) if row["round"] == "2"]
    for name, noise in (("example_epsilon", 1.0), ("client_epsilon", 3.0)):
        possible = [0, *(round(of_package(noise, uses), 6) for uses in (1, 2))]
        assert {float(row[name]) for row in each} <= set(possible)
        assert float(last[name]) == max(float(row[name]) for row in each)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["final"]


def test_privacy_that_nobody_can_tell_is_refused(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dp_accounting", None)
    with pytest.raises(ValueError, match=r"pip install 'demjax\[privacy\]'"):
        privacy.check_accountant()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"example_noise": 2.0}, "nothing is clipped.*--example-clip"),
        ({"client_noise": 2.0}, "--client-clip beside it"),
        ({"client_clip": 1.0, "client_noise": -1.0}, "--client-noise"),
        ({"example_clip": 0.0}, "--example-clip"),
        ({"example_clip": 1.0, "delta": 0.0}, "--delta"),
        ({"client_clip": 1.0, "algorithm": "scaffold"}, "control variates, without noise"),
        ({"client_clip": 1.0, "algorithm": "local_only"}, "takes no argument 'average'"),
        ({"client_clip": 1.0, "mean": "median"}, "possible is one of them"),
        ({"client_clip": 1.0, "amplification": 1.15}, "--amplification 1"),
    ],
)
def test_privacy_that_cannot_be_is_said(options, words):
    with pytest.raises(ValueError, match=words):
        resolve(options)
