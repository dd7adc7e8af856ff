"""Faults by flags: what becomes of them, and sentences for those that cannot be."""

import csv

import jax
import numpy as np
import pytest
from experiments import experiment

from demjax import simulate
from demjax.cli.main import main
from demjax.clients.dropouts import read_trace
from demjax.experiment import build
from demjax.experiment.config import read_toml, to_toml
from demjax.experiment.experiment import resolve
from demjax.experiment.faults import liars
from demjax.registry import MEANS

KEY = jax.random.key(0)
SMALL = ["--clients", "8", "--model", "linear", "--rounds", "2", "--levels", "1", "--epochs", "1"]


def rows(path):
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_dropouts_and_broken_clients_are_counted_in_the_metrics(tmp_path):
    out = tmp_path / "run"
    faults = ["--dropout-rate", "0.3", "--straggler-rate", "0.5", "--leave-out-nonfinite"]
    faults += ["--attack", "nan", "--attacker-clients", "1,5"]
    assert main(["run", *SMALL, *faults, "--out", str(out)]) == 0
    table = rows(out / "metrics.csv")
    for row in table[1:]:
        assert 0 <= float(row["dropped"]) <= 8
        assert 0 <= float(row["left_out"]) <= 2
        assert float(row["global"]) > 0
    trained = {
        row["client"] for row in rows(out / "clients.csv") if row["round"] == "2" and row["loss"]
    }
    gone = float(table[-1]["dropped"]) + float(table[-1]["left_out"])
    assert len(trained) == 8 - gone
    assert not trained & {"1", "5"}
    kept = read_toml(out / "config.toml")
    assert kept["attacker_clients"] == (1, 5)
    assert kept["straggler_rate"] == 0.5


def test_what_does_not_go_wrong_is_not_written():
    assert "[faults]" not in to_toml(experiment())
    assert "attack_std" in to_toml(experiment(attack="gaussian", attackers=0.2))


def test_liars_labels_are_flipped_and_tests_are_not():
    options = {"clients": 10, "model": "linear", "algorithm": "fedavg", "partition": "iid"}
    lying = experiment(**options, attack="label_flip", attackers=0.3)
    honest, built = (build.build(one) for one in (experiment(**options), lying))
    who = liars(lying.values, 10)
    assert who.sum() == 3
    for client in range(10):
        for part in ("train", "test"):
            was, now = (
                np.asarray(one.clients.y)[np.asarray(getattr(one.clients, part))[client]][:5]
                for one in (honest, built)
            )
            flipped = who[client] and part == "train"
            np.testing.assert_array_equal(now, 9 - was if flipped else was)


def test_a_trace_is_read_from_a_file(tmp_path):
    file = tmp_path / "trace.csv"
    file.write_text("client,first,last\n0,2,3\n0,5,5\n\n2,1,1\n")
    there = read_trace(str(file), 3)
    now = [there(jax.random.key(0), np.int32(number), 3).tolist() for number in range(5)]
    assert [one[0] for one in now] == [False, True, True, False, True]
    assert all(one[1] for one in now)
    assert [one[2] for one in now] == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("client,first\n", "begins with 'client,first'; possible is the line"),
        (
            "client,first,last\n3,1,2\n",
            "'3,1,2' in line 2; possible are a client from 0 to 2",
        ),
        ("client,first,last\n0,3,2\n", "the last not before the first"),
        ("client,first,last\n0,0,2\n", "a last round from 1"),
        ("client,first,last\n0,x,2\n", "'0,x,2' in line 2"),
        (f"client,first,last\n0,1,{'9' * 5000}\n", "999' in line 2"),
        (b"\xff\xfe\x00", "is not a text file"),
    ],
)
def test_a_trace_that_is_none_is_said(content, words, tmp_path):
    file = tmp_path / "trace.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=words):
        read_trace(str(file), 3)
    with pytest.raises(ValueError, match=r"cannot be read: No such file"):
        read_trace(str(tmp_path / "none.csv"), 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dropout_rate": 1.5}, "--dropout-rate needs a number from 0 to 1|0 to 1"),
        ({"straggler_rate": -0.1}, "--straggler-rate"),
        ({"attack": "sign_flip"}, "nobody lies; possible is --attackers"),
        ({"attackers": 0.2}, "not what they do; possible is --attack with one of"),
        ({"attack": "sing_flip", "attackers": 0.2}, "perhaps 'sign_flip' was meant"),
        ({"attack": "nan", "attackers": 0.2, "attack_z": 2.0}, "takes no --attack-z"),
        ({"attack": "gaussian", "attackers": 0.2, "attack_std": -1.0}, "--attack-std"),
        ({"attack": "nan", "attacker_clients": (50,)}, "holds 50, but there are 50 clients"),
        ({"algorithm": "centralized", "dropout_rate": 0.2}, "'centralized' takes no argument"),
        (
            {"algorithm": "centralized", "attack": "nan", "attackers": 0.2},
            "--attack was given, but the algorithm 'centralized'",
        ),
    ],
)
def test_faults_that_cannot_be_are_said(options, words):
    with pytest.raises(ValueError, match=words):
        resolve(options)


def test_every_mean_by_name_holds_off_liars_and_the_plain_one_does_not():
    options = {"clients": 10, "model": "linear", "partition": "iid", "algorithm": "fedavg"}
    lies = {"attack": "gaussian", "attack_std": 30.0, "attackers": 0.2}
    scores = {}
    for mean in (None, *MEANS):
        built = build.build(experiment(**options, **lies, mean=mean))
        history = simulate(
            built.algorithm, built.task, built.clients, rounds=2, key=KEY, eval_every=2
        )
        scores[mean] = float(history.measures.global_score[-1])
    assert scores.pop(None) < 0.5 < min(scores.values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mean": "medain"}, "perhaps 'median' was meant"),
        ({"mean": "krum", "mean_liars": 0.5}, "krum bears 23 liars of 50 clients at most, .*2 f"),
        ({"mean": "krum", "cohort": 4, "mean_liars": 0.25}, "bears 0 liars of 4 clients"),
        ({"mean": "trimmed_mean", "mean_liars": 0.6}, "--mean-liars"),
        ({"mean": "median", "mean_liars": 0.2}, "takes no --mean-liars, which is for trimmed"),
        ({"mean": "median", "algorithm": "local_only"}, "takes no argument 'average'"),
        ({"mean": "median", "amplification": 1.15}, "possible is --amplification 1"),
    ],
)
def test_means_that_cannot_be_are_said(options, words):
    with pytest.raises(ValueError, match=words):
        resolve(options)


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (["--algorithm", "scaffold", "--example-clip", "1"], "cannot be private by example"),
        (["--algorithm", "demlearn_rep", "--leave-out-nonfinite"], "train in a branch"),
        (["--algorithm", "power_of_choice", "--dropout-rate", "0.2"], "chooses among them itself"),
        (["--algorithm", "fedbn", "--model", "cnn", "--batch-norm", "--client-clip", "1"], "batch"),
    ],
)
def test_what_an_algorithm_cannot_have_is_said_before_anything_is_written(
    faults, words, tmp_path, capsys
):
    small = ["--clients", "8", "--rounds", "1"]
    assert main(["run", *small, "--model", "mlp", *faults, "--out", str(tmp_path / "run")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
