"""The paper's figures redrawn: from what folders, and what is said without them."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_folders import made_run

from demjax import plots
from demjax.cli import main
from demjax.runs import folder as run_folder
from demjax.runs.environment import environment

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
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
    import matplotlib.pyplot as plt
    import published_figures

    yield published_figures
    plt.close("all")


def finished(folder, **options):
    """A made-up run's folder, whose summary says where it ran."""
    summary = made_run(folder, **options) / run_folder.SUMMARY
    summary.write_text(json.dumps(json.loads(summary.read_text()) | environment()))


def drawn(figures, monkeypatch, out, *words):
    monkeypatch.setattr(sys, "argv", ["published_figures.py", "--out", str(out), *words])
    return figures.main()


def test_every_figure_is_drawn_of_runs_that_are_there(figures, monkeypatch, tmp_path):
    for name in figures.RUNS:
        finished(tmp_path / "runs" / name, seed=len(name), **OPTIONS.get(name, {}))
    assert drawn(figures, monkeypatch, tmp_path, "--rounds", "6") == 0
    for name in ("algorithms", *figures.FIGURES):
        assert (tmp_path / f"{name}.svg").read_text().startswith("<?xml")
    folders = {name: tmp_path / "runs" / name for name in figures.RUNS}
    for name in ("levels", "period", "fixed", "mix", "prox"):
        needed, draw = figures.FIGURES[name]
        panel = next(ax for ax in draw(folders).axes if ax.get_title() == "C-GEN")
        for line, run in zip(panel.get_lines(), needed, strict=True):
            np.testing.assert_array_equal(
                line.get_ydata(), plots.read(folders[run]).measures["c_gen"]
            )
    for ax, run in zip(figures.draw_metric(folders).axes, ("published", "cosine"), strict=True):
        drawn_too = np.stack([line.get_ydata() for line in ax.get_lines()[:12]], axis=1)
        np.testing.assert_array_equal(drawn_too, plots.read(folders[run]).client_gen)
    rows = [line for line in (tmp_path / "results.md").read_text().splitlines() if "| --" in line]
    assert len(rows) == len(figures.RUNS) - 1
    for row, name in zip(rows, list(figures.RUNS)[1:], strict=True):
        last = plots.read(tmp_path / "runs" / name).measures["c_gen"][-1]
        assert row.startswith(f"| {' '.join(figures.RUNS[name])} | 6 |".format(rounds=6))
        assert f"| {last:.3f} |" in row


def test_a_run_that_is_not_there_is_named(figures, monkeypatch, tmp_path, capsys):
    finished(tmp_path / "runs" / "published")
    assert (
        drawn(figures, monkeypatch, tmp_path, "--rounds", "6", "--figures", "metric", "dendrograms")
        == 1
    )
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
        assert main.main(words) == 2
        assert "train-images-idx3-ubyte" in capsys.readouterr().err


def test_a_run_is_kept_when_it_is_done_and_without_the_place_of_its_data(
    figures, monkeypatch, tmp_path
):
    def pretend(commands, *, after, **_):
        for place, command in enumerate(commands[:1]):
            partial = Path(command[command.index("--out") + 1])
            finished(partial, data_dir="/some/where", rounds=30)
            after(place)
        return len(commands) - 1

    monkeypatch.setattr(figures, "run_each", pretend)
    words = ["--figures", "levels", "dendrograms", "--data-dir", str(tmp_path)]
    assert drawn(figures, monkeypatch, tmp_path, *words) > 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["published"]
    assert 'data_dir = "."' in (tmp_path / "runs" / "published" / run_folder.CONFIG).read_text()
    assert [path.name for path in tmp_path.glob("*.svg")] == ["dendrograms.svg"]


def test_what_cannot_be_is_one_sentence(figures, monkeypatch, tmp_path, capsys):
    finished(tmp_path / "runs" / "published")
    for words, said in (
        (["--data-dir", str(tmp_path / "none")], "is no folder"),
        (["--figures", "dendrograms", "--rounds", "7"], "is of 6 rounds, but 7 were asked for"),
    ):
        with pytest.raises(SystemExit) as stop:
            drawn(figures, monkeypatch, tmp_path, *words)
        assert stop.value.code == 2
        assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("*.svg"))


def test_published_curves_are_drawn_thin_over_ours(figures):
    figure = figures.draw_algorithms({"fedavg": {"c_gen": ([0, 50, 100], [0.1, 0.6, 0.7])}})
    assert [ax.get_title() for ax in figure.axes] == list(figures.SIDES.values())
    *ours, thin = figure.axes[1].get_lines()
    assert list(thin.get_ydata()) == [0.1, 0.6, 0.7]
    assert thin.get_linewidth() < min(line.get_linewidth() for line in ours)
    assert len(figure.axes[0].get_lines()) == len(figures.MEASURES)


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
