"""Labels of clients, in the order of their groups; read anew from a run's folder and data."""

from itertools import combinations

import numpy as np
import pytest
from drawn_folders import made_history, made_run, write_run

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from demjax import data, plots
from demjax.plots.labels_by_group import held
from demjax.plots.record import read
from demjax.runs import folder as run_folder


def drawn(run, **options):
    return plots.labels_by_group(run, ax=Figure().add_subplot(), **options)


def test_clients_stand_next_to_those_of_their_group():
    history = made_history()
    counts = np.arange(12)[:, None] + np.array([1, 20])
    ax = drawn(history, counts=counts)
    shown = np.ma.filled(ax.images[0].get_array(), 0)
    order = shown[0].astype(int) - 1
    assert sorted(order.tolist()) == list(range(12))
    np.testing.assert_array_equal(shown[1], order + 20)
    lowest, highest = history.measures.hierarchy.groups[-1, :2]
    assert (np.diff(highest[order]) != 0).sum() == 2  # three groups of the upper level
    inside = [lowest[order][highest[order] == group] for group in range(3)]
    for row in inside:
        assert (np.diff(row) != 0).sum() == len(set(row.tolist())) - 1
        assert -1 not in row[:-1]  # who is in no group comes last
    lines = len(ax.get_lines())
    assert lines == (np.diff(lowest[order]) != 0).sum()
    (bars,) = ax.child_axes
    assert bars.images[0].get_array().shape[:2] == (2, 12)


Y = data.digits().y


def dealt(folder, deal, **options):
    """A made-up run of digits that keeps its partition."""
    write_run(folder, made_history(), groups=(5, 3), **options)
    data.save_partition(deal, folder / run_folder.PARTITION, y=Y)
    return folder


def test_a_folder_tells_who_has_what(tmp_path):
    partition = data.labels(Y, clients=12, seed=0)
    folder = dealt(tmp_path / "run", partition)
    counts, labels, true_clusters = held(read(folder))
    assert labels.tolist() == list(range(10))
    for mine, *parts in zip(counts, *partition, strict=True):
        np.testing.assert_array_equal(mine, np.bincount(Y[np.concatenate(parts)], minlength=10))
    sets = [frozenset(Y[train].tolist()) for train in partition.train]
    for one, other in combinations(range(12), 2):
        assert (true_clusters[one] == true_clusters[other]) == (sets[one] == sets[other])
    assert int(np.nansum(drawn(folder).images[0].get_array())) == counts.sum()


def test_planted_clusters_are_those_that_were_planted(tmp_path):
    planted = data.planted(Y, clients=12, true_clusters=4, seed=0)
    folder = dealt(tmp_path / "run", planted.partition, partition="planted", true_clusters=4)
    np.testing.assert_array_equal(held(read(folder))[2], planted.group)


def test_what_cannot_be_drawn_is_told(tmp_path):
    with pytest.raises(ValueError, match="does not hold which examples"):
        drawn(made_run(tmp_path / "run"))
    with pytest.raises(ValueError, match="no levels of groups"):
        drawn(made_run(tmp_path / "fedavg", algorithm="fedavg"))
    with pytest.raises(ValueError, match="but round 3 was asked for"):
        drawn(made_history(), moment=3)
    with pytest.raises(ValueError, match="Labels of 3 clients were given for 12"):
        drawn(made_history(), counts=np.ones((3, 2), int))


def test_code_that_a_run_names_is_not_run_to_draw_it(tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    for option in ("dataset", "partition", "conflict"):
        run = made_run(tmp_path / option)
        word = f"{tmp_path / 'evil.py'}:mine"
        (run / run_folder.CONFIG).write_text(f'[data]\n{option} = "{word}"\n')
        y = data.digits().y
        data.save_partition(data.iid(y, clients=12, seed=0), run / run_folder.PARTITION, y=y)
        with pytest.raises(ValueError, match="whose code is not run"):
            held(read(run))
