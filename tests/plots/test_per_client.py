"""Distributions over clients are those of the clients."""

import numpy as np
import pytest
from drawn_folders import made_history, made_run

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from demjax import plots


def drawn(runs, **options):
    return plots.distribution(runs, ax=Figure().add_subplot(), **options)


def share_at_most(line, value):
    """What a drawn step function says."""
    x, y = line.get_data()
    return y[np.flatnonzero(x <= value)[-1]] if (x <= value).any() else 0.0


def test_a_runs_moments_are_shown_one_line_each():
    history = made_history()
    ax = drawn(history, measure="c_spe", moments=[1, 6])
    first, last = ax.get_lines()
    assert (first.get_label(), last.get_label()) == ("round 1", "round 6")
    assert {line.get_drawstyle() for line in ax.get_lines()} == {"steps-post"}
    for line, place in ((first, 1), (last, 4)):
        values = history.measures.client_spe[place, 1:]  # client 0 has no tests
        for value in (0.0, 0.3, 0.7, *values, 1.0):
            assert share_at_most(line, value) == pytest.approx((values <= value).mean())
    assert len(drawn(history).get_lines()) == 4


def test_of_several_runs_the_last_moments_are_compared_seeds_together(tmp_path):
    folders = [made_run(tmp_path / "a", seed=0), made_run(tmp_path / "b", seed=1)]
    folders.append(made_run(tmp_path / "c", seed=2, algorithm="fedavg"))
    ax = drawn(folders)
    demlearn, fedavg = ax.get_lines()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["DemLearn", "FedAvg"]
    seeds = [made_history(seed=seed).measures.client_gen[-1] for seed in (0, 1)]
    wanted = np.sort(np.concatenate(seeds))
    np.testing.assert_allclose(demlearn.get_xdata()[1:], wanted, atol=1e-6)
    assert len(fedavg.get_xdata()) == 13


def test_a_measure_that_nobody_has_is_an_empty_line():
    history = made_history()
    history.measures.client_spe[:] = np.nan
    assert drawn(history, measure="c_spe").get_lines() == []


def test_what_cannot_be_drawn_is_told():
    with pytest.raises(ValueError, match="no measure 'global'"):
        drawn(made_history(), measure="global")
    with pytest.raises(ValueError, match="but round 3 was asked for"):
        drawn(made_history(), moments=[3])
