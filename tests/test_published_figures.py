"""The paper's figures redrawn: from what folders, and what is said without them."""

import csv
import json
import sys
from pathlib import Path

import pytest
from drawn_folders import made_run

from demjax import cli, plots, runs

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
OPTIONS = {
    "levels-1": {"cut": (5,)},
    "period-5": {"period": 5},
    "fixed": {"period": 100},
    "cosine": {"metric": "cosine"},
    **{f"mix-{value}": {"mix": value} for value in (0.5, 0.7, 0.8)},
    **{f"prox-{value}": {"prox": value} for value in (0.0005, 0.005)},
}


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import published_figures

    return published_figures


def finished(folder, **options):
    """A made-up run's folder, whose summary says where it ran."""
    summary = made_run(folder, **options) / runs.SUMMARY
    summary.write_text(json.dumps(json.loads(summary.read_text()) | runs.environment()))


def drawn(figures, monkeypatch, out, *words):
    monkeypatch.setattr(sys, "argv", ["published_figures.py", "--out", str(out), *words])
    return figures.main()


def test_every_figure_is_drawn_of_runs_that_are_there(figures, monkeypatch, tmp_path):
    for name in figures.RUNS:
        finished(tmp_path / "runs" / name, seed=len(name), **OPTIONS.get(name, {}))
    assert drawn(figures, monkeypatch, tmp_path) == 0
    for name in ("algorithms", *figures.FIGURES):
        assert (tmp_path / f"{name}.svg").read_text().startswith("<?xml")
    rows = [line for line in (tmp_path / "results.md").read_text().splitlines() if "| --" in line]
    assert len(rows) == len(figures.RUNS) - 1
    for row, name in zip(rows, list(figures.RUNS)[1:], strict=True):
        last = plots.read(tmp_path / "runs" / name).measures["c_gen"][-1]
        assert row.startswith(f"| {' '.join(figures.RUNS[name])} | 6 |".format(rounds=6))
        assert f"| {last:.3f} |" in row


def test_a_run_that_is_not_there_is_named(figures, monkeypatch, tmp_path, capsys):
    finished(tmp_path / "runs" / "published")
    assert drawn(figures, monkeypatch, tmp_path, "--figures", "metric", "dendrograms") == 1
    assert "metric is not drawn: the run cosine is not there" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("*.svg")] == ["dendrograms.svg"]


def test_runs_are_asked_for_with_options_that_demjax_knows(figures, monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(figures, "run_each", lambda commands, **_: asked.extend(commands) or 0)
    assert drawn(figures, monkeypatch, tmp_path, "--data-dir", str(tmp_path)) == 1
    assert len(asked) == len(figures.RUNS)
    capsys.readouterr()
    for command in asked:  # all is well with them but that MNIST is not in this folder
        assert command[1:4] == ["-m", "demjax", "run"]
        words = [str(tmp_path) if word == "." else word for word in command[3:]]
        assert cli.main(words) == 2
        assert "train-images-idx3-ubyte" in capsys.readouterr().err


def test_published_curves_are_read_by_measure(figures, tmp_path):
    path = tmp_path / "curves.csv"
    with path.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["algorithm", "round", *figures.MEASURES])
        writer.writerow(["fedavg", 3, 0.5, 0.25, "", "", 0.75])
        writer.writerow(["fedavg", 4, 0.6, 0.35, "", "", 0.8])
    found = figures.read_published(path)["fedavg"]
    assert found == {
        "c_spe": ([3, 4], [0.5, 0.6]),
        "c_gen": ([3, 4], [0.25, 0.35]),
        "global": ([3, 4], [0.75, 0.8]),
    }
    assert figures.read_published(None) == {}
