"""An algorithm, a model and a data set of one's own file, from the shell to the rerun."""

import csv
import json
import tomllib

import pytest

from demjax.cli import main
from demjax.plots.settings import settings

MINE = '''
from typing import Annotated

import flax.linen as nn
import numpy as np

from demjax import data, fedprox
from demjax.registry import Range


def mine(local, *, prox: Annotated[float, Range(0, 10)] = 1.0):
    """FedProx once more.

    Args:
        prox: how near clients stay, μ
    """
    return fedprox(local, prox=prox)


def no_algorithm(local):
    return local


class Net(nn.Module):
    """One hidden layer.

    Attributes:
        classes: Number of labels.
        width: Units of the hidden layer.
    """

    classes: int
    width: Annotated[int, Range(1, 100)] = 8

    @nn.compact
    def __call__(self, x, *, train):
        x = x.reshape(x.shape[0], -1)
        return nn.Dense(self.classes)(nn.tanh(nn.Dense(self.width)(x)))


def no_model(classes):
    return classes


def pair(*, spread: Annotated[float, Range(0, 9)] = 1.0, seed=0):
    """Two clouds.

    Args:
        spread: how far apart they are
    """
    y = np.arange(160) % 2
    x = np.random.default_rng(seed).normal(size=(160, 3)) + spread * y[:, None]
    return x, y


def whole(clients):
    x, y = pair()
    owner = np.arange(len(y)) % clients
    return data.Dataset(x, y, 2, 100, "clouds", owner)


def hurried(local, *, epochs: int = 9):
    return fedprox(local)


class Heavy(Net):
    momentum: float = 0.99


def laid_out(*, layout: str = "x"):
    return pair()


def kept_in(*, cache_dir: str = "here"):
    return pair()


def no_data():
    return "nothing"


def bad_labels():
    return np.zeros((4, 2)), np.array([0, 1, -1, 0])


def bad_lengths():
    return np.zeros((4, 2)), np.array([0, 1])
'''
SMALL = ["--model", "linear", "--clients", 8, "--rounds", 2, "--epochs", 1, "--devices", 1]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("mine") / "mine.py"
    path.write_text(MINE)
    return path


def demjax(*words):
    return main.main([str(word) for word in words])


def run(*words, out):
    return demjax("run", *words, "--out", out)


def without_seconds(out):
    rows = csv.DictReader((out / "metrics.csv").read_text().splitlines())
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def config(out):
    return tomllib.loads((out / "config.toml").read_text())


def test_an_algorithm_of_ones_own_is_run_written_down_and_rerun(
    file, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(file.parent)  # a path may be relative, and is kept absolute
    mine = ["--algorithm", "mine.py:mine", "--prox", 0.2]
    assert run(*SMALL, *mine, out=tmp_path / "mine") == 0
    assert config(tmp_path / "mine")["algorithm"] == {"algorithm": f"{file}:mine", "prox": 0.2}
    built_in = ["--algorithm", "fedprox", "--prox", 0.2]
    assert run(*SMALL, *built_in, out=tmp_path / "fedprox") == 0
    assert without_seconds(tmp_path / "mine") == without_seconds(tmp_path / "fedprox")
    monkeypatch.chdir(tmp_path)
    again = ["--config", tmp_path / "mine" / "config.toml", "--devices", 1]
    capsys.readouterr()
    assert run(*again, out=tmp_path / "again") == 0
    said = capsys.readouterr().err
    assert f"config.toml names {file}:mine, whose code is run.\n" in said
    assert without_seconds(tmp_path / "again") == without_seconds(tmp_path / "mine")
    assert json.loads((tmp_path / "mine" / "summary.json").read_text())["status"] == "done"
    assert demjax("compare", tmp_path / "mine", tmp_path / "fedprox") == 0
    labels = [one.label for one in settings([tmp_path / "mine", tmp_path / "fedprox"])]
    assert labels == ["mine", "FedProx"]


def test_another_algorithm_inherits_nothing_of_ones_own(file, tmp_path, capsys):
    first = tmp_path / "config.toml"
    first.write_text(f'[algorithm]\nalgorithm = "{file}:mine"\nprox = 0.2\n')
    words = ["--config", first, "--algorithm", "fedavg", *SMALL]
    assert run(*words, out=tmp_path / "run") == 0
    assert config(tmp_path / "run")["algorithm"]["algorithm"] == "fedavg"
    assert "prox" not in config(tmp_path / "run")["algorithm"]
    assert "whose code is run" not in capsys.readouterr().err


def test_code_that_a_config_names_in_a_list_is_told(tmp_path, capsys):
    (tmp_path / "c.toml").write_text('extra = ["gone.py:one", "also/gone.py:two"]\nrounds = 1\n')
    assert run("--config", tmp_path / "c.toml", *SMALL, out=tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert "c.toml names gone.py:one, whose code is run.\n" in said
    assert "c.toml names also/gone.py:two, whose code is run.\n" in said


def test_a_model_and_a_data_set_of_ones_own(file, tmp_path):
    model = ["--model", f"{file}:Net", "--width", 5]
    dataset = ["--dataset", f"{file}:pair", "--spread", 3.0]
    some = ["--algorithm", "fedavg", *SMALL[2:]]
    assert run(*model, *dataset, *some, out=tmp_path / "run") == 0
    assert config(tmp_path / "run")["model"] == {"model": f"{file}:Net", "width": 5}
    assert config(tmp_path / "run")["data"]["dataset"] == f"{file}:pair"
    assert config(tmp_path / "run")["data"]["spread"] == 3.0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["parameters"] == 3 * 5 + 5 + 5 * 2 + 2
    again = ["--config", tmp_path / "run" / "config.toml", "--devices", 1]
    assert run(*again, out=tmp_path / "again") == 0
    assert without_seconds(tmp_path / "again") == without_seconds(tmp_path / "run")


def test_a_whole_data_set_of_ones_own_keeps_its_owners(file, tmp_path, capsys):
    words = ["--dataset", f"{file}:whole", "--partition", "natural", "--clients", 8]
    assert demjax("partition", *words, "--out", tmp_path / "p.npz") == 0
    assert "8 clients have 160 of 160 examples, 60 of them for tests" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "name", "own"),
    [
        ("--algorithm", "mine", "--prox X how near clients stay, μ [1.0]"),
        ("--model", "Net", "--width N units of the hidden layer [8]"),
        ("--dataset", "pair", "--spread X how far apart they are [1.0]"),
    ],
)
def test_help_shows_ones_own_options(flag, name, own, file, capsys):
    assert demjax("run", flag, f"{file}:{name}", "--help") == 0
    assert own in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--algorithm", "F:mien"], "perhaps 'mine' was meant"),
        (["--algorithm", "/nowhere/mine.py:mine"], "which does not exist"),
        (["--algorithm", "F:mine", "--prox", 11], "--prox needs 0 to 10, but 11.0 was given"),
        (
            ["--algorithm", "F:mine", "--levels", 2],
            "takes no --levels, which is for demlearn",
        ),
        (
            ["--algorithm", "F:mine", "--cohort", 2],
            "algorithm 'mine' takes no argument 'cohort'",
        ),
        (["--algorithm", "F:no_model"], "takes no argument 'local'"),
        (
            ["--algorithm", "F:no_algorithm"],
            "made LocalTraining; possible is demjax.base",
        ),
        (["--model", "F:mine"], "takes no argument 'classes'"),
        (["--model", "F:no_model"], "A model needs to be a Flax Linen module"),
        (
            ["--dataset", "F:no_data"],
            "was made as str; possible is a demjax.data.Dataset",
        ),
        (["--dataset", "F:bad_labels"], "holds the label -1 at position 2"),
        (["--dataset", "F:bad_lengths"], "holds 4 inputs, 2 labels"),
        (["--algorithm", "F:hurried"], "argument 'epochs', which is another option of this run"),
        (["--model", "F:Heavy"], "argument 'momentum', which is another option of this run"),
        (["--dataset", "F:laid_out"], "argument 'layout', which is another option of this run"),
        (["--dataset", "F:kept_in"], "argument 'cache_dir', which demjax.data.load has too"),
        (["--dataset", "F:mine"], "needs the argument 'local', which nobody gives"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence_exit_2_and_nothing_written(words, said, file, tmp_path, capsys):
    words = [str(word).replace("F:", f"{file}:") for word in words]
    small = SMALL[2:] if "--model" in words else SMALL
    assert run(*words, "--partition", "iid", *small, out=tmp_path / "out") == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert said in line
    assert line.startswith("demjax: ")
    assert line.endswith(".")
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []
