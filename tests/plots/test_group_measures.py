"""Sizes of groups and Rand indices are those of the run's table."""

import numpy as np
import pytest
from drawn_folders import made_history, made_run

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from demjax import plots
from demjax.plots.group_measures import rolling_mean
from demjax.plots.record import read


def test_the_sizes_of_groups_are_those_of_the_groups():
    history = made_history()
    count, size, alone = plots.group_sizes(history, figure=Figure())
    for level in range(2):
        rows = history.measures.hierarchy.groups[:, level]
        sizes = [np.unique(row[row >= 0], return_counts=True)[1] for row in rows]
        np.testing.assert_array_equal(
            count.get_lines()[level].get_ydata(), [len(each) for each in sizes]
        )
        means = [each.mean() if len(each) else np.nan for each in sizes]
        np.testing.assert_allclose(size.get_lines()[level].get_ydata(), means)
        np.testing.assert_array_equal(
            alone.get_lines()[level].get_ydata(), history.measures.structure.singletons[:, level]
        )
        band = size.collections[level].get_paths()[0].vertices[:, 1]
        assert band.max() == max(each.max() for each in sizes[1:])
        assert band.min() == min(each.min() for each in sizes[1:])


def test_agreement_is_that_of_the_table():
    history = made_history()
    true_clusters, before = plots.rand_index(history, figure=Figure())
    structure = history.measures.structure
    for level in range(2):
        np.testing.assert_array_equal(
            true_clusters.get_lines()[level].get_ydata(), structure.rand_true[:, level]
        )
        np.testing.assert_array_equal(
            before.get_lines()[level].get_ydata(), structure.rand_before[:, level]
        )


def test_a_run_without_levels_has_neither(tmp_path):
    folder = made_run(tmp_path / "run", algorithm="fedavg")
    for draw in (plots.group_sizes, plots.rand_index):
        with pytest.raises(ValueError, match="no levels of groups"):
            draw(folder, figure=Figure())


def test_many_measurements_are_a_mean_over_neighbouring_ones():
    values = np.array([1.0, 2.0, 6.0, np.nan, 4.0])
    np.testing.assert_allclose(rolling_mean(values, 1), [1.5, 3.0, 4.0, np.nan, 4.0])
    record = read(made_history())
    rounds = np.arange(101)
    long = {name: np.resize(one, 101) for name, one in record.measures.items()}
    axes = plots.rand_index(record._replace(round=rounds, measures=long), figure=Figure())
    thin, bold, *_ = axes[0].get_lines()
    np.testing.assert_array_equal(thin.get_ydata(), long["rand_true_l1"])
    np.testing.assert_allclose(bold.get_ydata()[50], long["rand_true_l1"][46:55].mean())


def test_a_run_without_a_column_of_its_groups_is_told(tmp_path):
    record = read(made_run(tmp_path / "run"))
    for lacking in ("groups_l1", "largest_l2", "rand_true_l1"):
        measures = {name: v for name, v in record.measures.items() if name != lacking}
        for draw in (plots.group_sizes, plots.rand_index):
            with pytest.raises(ValueError, match=lacking):
                draw(record._replace(measures=measures), figure=Figure())


def test_clients_of_fewer_levels_than_measures_leave_sizes_unknown(tmp_path):
    record = read(made_run(tmp_path / "run"))
    less = record._replace(groups=record.groups[:, :1])
    axes = plots.group_sizes(less, figure=Figure())
    assert np.isnan(axes[1].get_lines()[1].get_ydata()).all()
