"""Curves hold the numbers of the run's tables; seeds are a mean and a band."""

import csv

import numpy as np
import pytest
from drawn_folders import ROUNDS, made_history, made_run

pytest.importorskip("matplotlib")
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from demjax import plots
from demjax.plots import record
from demjax.plots.curves import MEASURES, title
from demjax.plots.settings import COLOURS
from demjax.plots.style import PAGE
from demjax.runs import folder as run_folder
from demjax.simulation.history import ScoreName


def column(folder, name):
    rows = list(csv.DictReader((folder / run_folder.METRICS).read_text().splitlines()))
    return [float(row[name]) for row in rows]


def axes():
    return Figure(layout="constrained").add_subplot()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """DemLearn with two seeds, FedAvg with one."""
    root = tmp_path_factory.mktemp("runs")
    return [
        made_run(root / "a", seed=0),
        made_run(root / "b", seed=1),
        made_run(root / "c", seed=2, algorithm="fedavg"),
    ]


def test_a_line_is_the_mean_of_its_seeds_and_the_band_reaches_from_least_to_most(folders):
    ax = plots.curve(folders, measure="global", ax=axes())
    demlearn, fedavg = ax.get_lines()
    seeds = np.array([column(folder, "global") for folder in folders[:2]])
    np.testing.assert_array_equal(demlearn.get_xdata(), ROUNDS)
    np.testing.assert_allclose(demlearn.get_ydata(), seeds.mean(axis=0))
    np.testing.assert_allclose(fedavg.get_ydata(), column(folders[2], "global"))
    (band,) = ax.collections
    corners = {tuple(point) for point in np.round(band.get_paths()[0].vertices, 6).tolist()}
    for low, high, number in zip(seeds.min(axis=0), seeds.max(axis=0), ROUNDS, strict=True):
        assert {(number, round(low, 6)), (number, round(high, 6))} <= corners
    assert band.get_paths()[0].vertices[:, 1].min() == pytest.approx(seeds.min())
    assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(seeds.max())
    assert [to_rgb(line.get_color()) for line in (demlearn, fedavg)] == [
        to_rgb(COLOURS["demlearn"]),
        to_rgb(COLOURS["fedavg"]),
    ]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["DemLearn", "FedAvg"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("round", "Global")


def test_the_comparison_has_a_panel_for_each_measure_and_a_line_for_each_that_has_it(folders):
    panels = plots.comparison(folders, level=2, figure=Figure())
    assert [ax.get_title() for ax in panels] == [
        "Global",
        "G-GEN, level 2",
        "G-SPE, level 2",
        "C-SPE",
        "C-GEN",
    ]
    assert [len(ax.get_lines()) for ax in panels] == [2, 1, 1, 2, 2]
    for ax, name in zip(panels, ("global", "g_gen_l2", "g_spe_l2", "c_spe", "c_gen"), strict=True):
        mine = np.mean([column(folder, name) for folder in folders[:2]], axis=0)
        np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), mine)
    without = plots.comparison([folders[2]], figure=Figure())
    assert [ax.get_title() for ax in without] == ["Global", "C-SPE", "C-GEN"]


def test_side_by_side_each_setting_has_a_panel_with_all_its_measures(folders):
    figure = Figure()
    demlearn, fedavg = plots.measures(folders, figure=figure)
    assert [demlearn.get_title(), fedavg.get_title()] == ["DemLearn", "FedAvg"]
    shown = [line.get_label() for line in demlearn.get_lines()]
    assert shown == list(MEASURES.values())
    assert [line.get_label() for line in fedavg.get_lines()] == ["Global", "C-SPE", "C-GEN"]
    np.testing.assert_allclose(fedavg.get_lines()[2].get_ydata(), column(folders[2], "c_gen"))
    assert len(demlearn.collections) == 5
    assert len(fedavg.collections) == 0
    assert figure.get_size_inches()[0] == PAGE
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(MEASURES.values())


def test_every_client_is_a_thin_line_and_the_mean_a_bold_one():
    history = made_history()
    spe = history.measures.client_spe
    ax = plots.clients(history, measure="c_spe", ax=axes())
    *each, mean = ax.get_lines()
    assert len(each) == 12
    for client, line in enumerate(each):
        np.testing.assert_allclose(line.get_ydata(), spe[:, client], atol=1e-6)
    np.testing.assert_allclose(mean.get_ydata(), np.nanmean(spe, axis=1), atol=1e-6)
    assert mean.get_linewidth() > 2 * each[0].get_linewidth()


def test_of_settings_compared_lines_are_shades_of_one_colour_told_apart_without_it(tmp_path):
    folders = [made_run(tmp_path / str(tau), period=tau) for tau in (1, 2, 6)]
    ax = plots.curve(folders, ax=axes())
    lines = ax.get_lines()
    assert [line.get_label() for line in lines] == [
        "DemLearn, τ = 1",
        "DemLearn, τ = 2",
        "DemLearn, fixed tree",
    ]
    assert len({str(line.get_linestyle()) + line.get_marker() for line in lines}) == 3
    light = [sum(to_rgb(line.get_color())) for line in lines]
    assert light == sorted(light)
    assert len(set(light)) == 3


def test_columns_have_the_names_of_the_field():
    assert title("g_gen_l2") == "G-GEN, level 2"
    assert title("rand_true_l1") == "rand true, level 1"
    assert title("global") == "Global"
    assert title("cophenetic") == "cophenetic"


def test_what_a_run_has_not_is_told(folders):
    with pytest.raises(ValueError, match="None of the runs has the measure 'loss'; possible are"):
        plots.curve(folders, measure="loss", ax=axes())
    with pytest.raises(ValueError, match="no measure 'global'"):
        plots.clients(folders[0], measure="global", ax=axes())
    (folders[2] / run_folder.CLIENTS).unlink()
    with pytest.raises(ValueError, match="no measures of its clients"):
        plots.clients(folders[2], ax=axes())


def seldom(*, taken=(0, 4)):
    """A history whose clients were measured after some of its rounds only."""
    history = made_history()
    places = [place for place, number in enumerate(ROUNDS) if number not in taken]
    for name in ("c_spe", "c_gen", "client_spe", "client_gen"):
        getattr(history.measures, name)[places] = np.nan
    return history


def test_a_measure_taken_seldom_is_a_line_through_the_rounds_that_have_it():
    history = seldom()
    (line,) = plots.curve(history, measure="c_gen", ax=axes()).get_lines()
    assert line.get_xdata().tolist() == [0, 4]
    *_, mean = plots.clients(history, ax=axes()).get_lines()
    assert mean.get_xdata().tolist() == [0, 4]
    assert np.isfinite(mean.get_ydata()).all()
    panels = plots.fairness(history, figure=Figure())
    assert panels[0].get_lines()[0].get_xdata().tolist() == [0, 4]


def test_a_measure_that_was_not_taken_is_named():
    history = seldom(taken=())
    with pytest.raises(ValueError, match="has the measure 'c_gen'; possible are global"):
        plots.curve(history, measure="c_gen", ax=axes())
    (panel,) = plots.measures(history, figure=Figure())
    assert panel.get_xlabel() == "round\nnot measured: C-SPE, C-GEN"
    panels = plots.comparison(history, figure=Figure())
    assert [ax.get_title() for ax in panels] == ["Global", "G-GEN, level 1", "G-SPE, level 1"]
    assert panels[-1].get_xlabel().endswith("not measured: C-SPE, C-GEN")
    for draw in (plots.clients, plots.distribution):
        with pytest.raises(ValueError, match="C-SPE and C-GEN are missing"):
            draw(history, ax=axes())


def test_scores_that_are_no_accuracy_are_called_what_they_are():
    history = made_history()._replace(score=ScoreName("mean squared error"))
    ax = plots.curve(history, measure="g_gen_l1", ax=axes())
    assert ax.get_ylabel() == "G-GEN, level 1 (mean squared error)"
    assert plots.measures(history, figure=Figure())[0].get_ylabel() == "mean squared error"
    assert plots.measures(made_history(), figure=Figure())[0].get_ylabel() == "accuracy"
    assert title("loss", record.read(history)) == "loss"


def test_the_legend_says_what_a_line_and_its_band_are(folders):
    said = "line: mean of 2 seeds; band: least to most"
    assert plots.curve(folders, ax=axes()).get_legend().get_title().get_text() == said
    for draw in (plots.measures, plots.comparison):
        figure = Figure()
        draw(folders, figure=figure)
        assert figure.legends[0].get_title().get_text() == said
    alone = plots.curve(folders[2], ax=axes()).get_legend()
    assert alone.get_title().get_text() == ""
