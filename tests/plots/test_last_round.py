"""Many systems are drawn in their last round: a row each, seeds as a line, the best on top."""

import numpy as np
import pytest
import run_folders

import demjax

NAMES = ("fedavg", "demlearn", "ditto", "apfl", "ifca", "cfl", "fedprox", "moon", "fedrep")
NAMES += ("fedper", "scaffold", "fednova")


@pytest.fixture
def runs(tmp_path):
    """Twelve systems under two seeds, of which the first end at .1 and .2, the next at .2 and .3"""
    found = []
    for place, name in enumerate(NAMES):
        for seed in range(2):
            out = run_folders.small(tmp_path / f"{name}-{seed}", algorithm=name, seed=seed)
            metrics = (out / "metrics.csv").read_text()
            end = f"{(place + seed + 1) / 20:.3f}"
            (out / "metrics.csv").write_text(metrics.replace("0.91239", end))
            found.append(out)
    return found


def test_a_row_for_each_system_with_its_seeds(runs):
    axes = demjax.plots.systems(runs)
    labels = [text.get_text() for text in axes[0].get_yticklabels()]
    assert len(labels) == len(NAMES)
    assert labels[0] == "FedNova"
    assert labels[-1] == "FedAvg"
    assert axes[0].get_ylim()[0] > axes[0].get_ylim()[1]  # the first row is on top
    band, dot = axes[0].lines[:2]
    np.testing.assert_allclose(band.get_xdata(), [12 / 20, 13 / 20])
    np.testing.assert_allclose(dot.get_xdata(), [12.5 / 20])
    assert "mean of 2 seeds" in axes[0].get_figure().get_supxlabel()


def test_few_systems_are_lines_over_rounds(runs):
    axes = demjax.plots.systems(runs[:20])
    assert axes[0].get_figure().get_supxlabel() == ""
    assert len(axes[0].lines) == 10


def test_a_system_without_a_measure_has_no_dot_and_is_last(runs):
    lacking = runs[-1].with_name("lacking")
    run_folders.small(lacking, algorithm="local_only")
    text = (lacking / "metrics.csv").read_text().replace("0.91239", "").replace("0.8,", ",")
    (lacking / "metrics.csv").write_text(text.replace("0.1,0.1,0.1", ",0.1,0.1"))
    axes = demjax.plots.systems([*runs, lacking])
    assert axes[0].get_yticklabels()[-1].get_text() == "local only"
    assert len(axes[0].lines) == 2 * len(NAMES)
    assert len(axes[1].lines) == 2 * (len(NAMES) + 1)
