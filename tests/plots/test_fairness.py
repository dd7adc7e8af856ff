"""Fairness by its definitions, its extremes and its laws."""

import numpy as np
import pytest
from drawn_folders import made_history, made_run
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from demjax import plots
from demjax.plots.fairness import NAMES, fairness_of

SOME = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=30)


@settings(max_examples=50, deadline=None)
@given(SOME)
def test_the_numbers_are_those_of_their_definitions(values):
    x = np.array(values)
    fair = fairness_of(x[None])
    k = max(1, len(x) // 10)
    assert fair.worst[0] == pytest.approx(sum(sorted(values)[:k]) / k)
    assert fair.deviation[0] == pytest.approx(np.sqrt(((x - x.mean()) ** 2).mean()), abs=1e-12)
    pairs = np.abs(x[:, None] - x[None]).mean()  # half the relative mean difference
    assert fair.gini[0] == pytest.approx(pairs / (2 * x.mean()), abs=1e-9)
    assert fair.jain[0] == pytest.approx(1 / (1 + x.var() / x.mean() ** 2))


def test_the_extremes():
    all_alike, one_has_all = np.full(20, 0.3), np.eye(20)[3]
    fair = fairness_of(np.stack([all_alike, one_has_all, np.zeros(20), np.full(20, np.nan)]))
    assert fair.gini[:2] == pytest.approx([0, 19 / 20])
    assert fair.jain[:2] == pytest.approx([1, 1 / 20])
    assert fair.worst[:3] == pytest.approx([0.3, 0, 0])
    assert fair.deviation[:3] == pytest.approx([0, one_has_all.std(), 0])
    assert np.isnan([fair.gini[2:], fair.jain[2:]]).all()
    assert np.isnan([fair.worst[3], fair.deviation[3]]).all()


def test_clients_without_a_value_are_left_out():
    x = np.array([0.2, np.nan, 0.9, 0.4])
    one, other = fairness_of(x[None]), fairness_of(x[None, [0, 2, 3]])
    np.testing.assert_array_equal(one, other)


def test_the_panels_show_them_for_each_setting(tmp_path):
    history = made_history()
    other = made_run(tmp_path / "run", seed=3, algorithm="fedavg")
    panels = plots.fairness([history, other], names=["mine", "FedAvg"], figure=Figure())
    wanted = fairness_of(history.measures.client_spe)
    assert [ax.get_title() for ax in panels] == list(NAMES.values())
    for ax, name in zip(panels, NAMES, strict=True):
        mine, theirs = ax.get_lines()
        np.testing.assert_allclose(mine.get_ydata(), getattr(wanted, name), rtol=1e-5)
        assert (mine.get_label(), theirs.get_label()) == ("mine", "FedAvg")
    gen = plots.fairness(history, measure="c_gen", figure=Figure())
    np.testing.assert_allclose(
        gen[0].get_lines()[0].get_ydata(), fairness_of(history.measures.client_gen).worst
    )
    with pytest.raises(ValueError, match="no measure 'global'"):
        plots.fairness(history, measure="global", figure=Figure())
