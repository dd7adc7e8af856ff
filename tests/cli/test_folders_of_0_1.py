"""Folders that demjax 0.1 wrote are still read, compared, drawn, reported and rerun."""

import csv
import shutil
import tomllib
from pathlib import Path

import pytest

from demjax.cli import main
from demjax.experiment import resolve
from demjax.experiment.config import read_toml
from demjax.plots.record import read

RUNS = Path(__file__).parents[2] / "benchmarks" / "results" / "published_figures" / "runs"
CONFIGS = Path(__file__).parents[1] / "support" / "configs_of_0.1"
NAMES = ("published", "cosine", "levels-1")


@pytest.fixture
def folders(tmp_path):
    """Copies of three real folders, with the flat configurations that 0.1 wrote."""
    for name in NAMES:
        shutil.copytree(RUNS / name, tmp_path / name)
        assert "dataset" in tomllib.loads((tmp_path / name / "config.toml").read_text())
    return [tmp_path / name for name in NAMES]


def demjax(*words):
    return main.main([str(word) for word in words])


def test_they_are_compared(folders, capsys):
    assert demjax("compare", *folders) == 0
    lines = capsys.readouterr().out.splitlines()
    for folder, line in zip(folders, lines[1:], strict=True):
        *_, last = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
        assert f"{float(last['c_gen']):.4f}" in line


def test_they_are_read_with_todays_names(folders):
    options = [read(folder).options for folder in folders]
    assert [one["normalization"] for one in options] == ["published"] * 3
    assert [one["weighting"] for one in options] == ["clients"] * 3
    assert not {"pixels", "weigh", "synthetic_alpha"} & set(options[0])


def test_they_are_drawn_and_called_by_what_differs(folders, tmp_path):
    pytest.importorskip("matplotlib")
    from demjax.plots.settings import settings

    assert demjax("plot", *folders, "--out", tmp_path / "plots", "--only", "comparison") == 0
    assert (tmp_path / "plots" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    labels = [one.label for one in settings(folders)]
    told = ("K = 3, euclidean", "K = 3, cosine", "K = 1, euclidean")
    assert labels == [f"DemLearn, {words}" for words in told]
    assert demjax("plot", folders[0], "--only", "dendrograms", "membership") == 0


def test_they_are_reported(folders, tmp_path):
    assert demjax("report", *folders, "--no-figures", "--out", tmp_path / "page.html") == 0
    assert "cosine" in (tmp_path / "page.html").read_text()


def test_they_are_rerun_as_what_they_were(folders):
    given = {"eval_every": 3, "rounds": 30, "dataset": "mnist", "partition": "published"}
    for folder, own in zip(folders, ({}, {"metric": "cosine"}, {"levels": 1}), strict=True):
        asked = read_toml(folder / "config.toml")
        assert resolve(asked) == resolve(given | own | {"data_dir": "."})


@pytest.mark.parametrize("name", ["groups", "fedavg", "earlier"])
def test_a_configuration_of_0_1_is_run_and_gives_the_same_as_the_one_written_of_it(name, tmp_path):
    less = ["--rounds", 1, "--clients", 16, "--epochs", 1, "--devices", 1]
    old = CONFIGS / f"{name}.toml"
    assert demjax("run", "--config", old, *less, "--out", tmp_path / "old") == 0
    new = tmp_path / "old" / "config.toml"
    assert set(tomllib.loads(new.read_text())) >= {"run", "data", "model", "training", "algorithm"}
    assert demjax("run", "--config", new, "--devices", 1, "--out", tmp_path / "new") == 0
    for file in ("clients.csv", "config.toml"):
        assert (tmp_path / "old" / file).read_text() == (tmp_path / "new" / file).read_text()
