"""Dendrograms are drawn as SciPy draws them, and cut where their groups say."""

import numpy as np
import pytest
from drawn_folders import made_history, made_run
from scipy.cluster import hierarchy

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from demjax import plots
from demjax.plots.dendrograms import cut_heights, leaves_and_heights


def random_merges(count, seed=0, method="average"):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return hierarchy.linkage(points, method)


@pytest.mark.parametrize(("count", "method"), [(2, "average"), (13, "average"), (40, "single")])
def test_leaves_and_forks_are_those_of_scipy(count, method):
    merges = random_merges(count, method=method)
    theirs = hierarchy.dendrogram(merges, no_plot=True)
    order, place, height = leaves_and_heights(merges)
    assert order.tolist() == theirs["leaves"]
    mine = {
        (round(10 * place[int(a)] + 5, 3), round(10 * place[int(b)] + 5, 3), round(top, 6))
        for a, b, top, _ in merges
    }
    forks = zip(theirs["icoord"], theirs["dcoord"], strict=True)
    assert mine == {(round(x[0], 3), round(x[3], 3), round(y[1], 6)) for x, y in forks}
    assert height[count:].tolist() == merges[:, 2].tolist()


def test_thousands_of_leaves_in_a_row_are_no_matter():
    count = 3000
    merges = np.zeros((count - 1, 4))
    merges[:, 0] = np.append(0, np.arange(count, 2 * count - 2))
    merges[:, 1] = np.arange(1, count)
    merges[:, 2:] = np.arange(1, count)[:, None]
    order, _, height = leaves_and_heights(merges)
    assert order.tolist() == list(range(count))
    assert height[-1] == count - 1


@pytest.mark.parametrize("groups", [2, 5, 9])
def test_a_cut_into_some_groups_lies_between_the_merges_that_make_them(groups):
    merges = random_merges(20)
    cut = hierarchy.cut_tree(merges, groups)[:, 0]
    low, high = cut_heights(merges, cut)
    tops = merges[:, 2]
    assert low.max() == (tops[20 - groups - 1])
    assert high.min() == tops[20 - groups]


def test_one_group_has_nothing_above_it_and_who_is_in_none_nothing_below():
    merges = random_merges(6)
    low, high = cut_heights(merges, np.zeros(6, int))
    assert np.isinf(high).all()
    assert (low == merges[-1, 2]).all()
    low, high = cut_heights(merges, np.full(6, -1))
    assert (low == 0).all()
    first = merges[0, :2].astype(int)
    assert (high[first] == merges[0, 2]).all()


def test_a_group_that_is_no_subtree_is_cut_into_its_subtrees():
    merges = np.array([[0, 1, 1, 2], [2, 3, 2, 2], [4, 5, 3, 4]], float)
    low, high = cut_heights(merges, np.array([0, 0, 0, 1]))
    assert low.tolist() == [1, 1, 0, 0]
    assert high.tolist() == [3, 3, 2, 2]


def test_the_drawing_holds_every_merge_and_a_line_for_each_level():
    history = made_history()
    ax = plots.dendrogram(history, moment=5, ax=Figure().add_subplot())
    merges = history.measures.organization.merges[3]  # round 4, the last before
    (tree,) = ax.collections
    tops = sorted(segment[1][1] for segment in tree.get_segments())
    np.testing.assert_allclose(tops, np.sort(merges[:, 2]), rtol=1e-6)
    levels = ax.get_lines()
    assert [line.get_label() for line in levels] == ["level 1", "level 2"]
    assert len(set(levels[1].get_ydata())) == 1  # cut at one height: three groups
    assert merges[8, 2] < levels[1].get_ydata()[0] < merges[9, 2]
    order = hierarchy.dendrogram(merges.astype(float), no_plot=True)["leaves"]
    groups = history.measures.hierarchy.groups[3, 1][order]
    assert len(tree.get_segments()) == 11
    assert (np.diff(groups) != 0).sum() == 2  # groups are next to one another
    assert len(plots.dendrogram(history, cuts=False, ax=Figure().add_subplot()).get_lines()) == 0


def test_moments_are_those_of_new_dendrograms_at_one_scale(tmp_path):
    folder = made_run(tmp_path / "run")
    panels = plots.dendrograms(folder, figure=Figure())
    assert [ax.get_title() for ax in panels] == ["after round 1", "after round 4", "after round 6"]
    assert len({ax.get_ylim() for ax in panels}) == 1
    assert len(plots.dendrograms(folder, moments=2, figure=Figure())) == 2
    asked = plots.dendrograms(folder, moments=[2, 5, 6], figure=Figure())
    assert [ax.get_title() for ax in asked] == ["after round 1", "after round 4", "after round 6"]


def test_what_cannot_be_drawn_is_told(tmp_path):
    without = made_run(tmp_path / "run", algorithm="fedavg")
    with pytest.raises(ValueError, match="holds no dendrograms"):
        plots.dendrograms(without)
    with pytest.raises(ValueError, match="no dendrogram until round 6"):
        plots.dendrogram(without)
    with pytest.raises(ValueError, match="no dendrogram until round 0"):
        plots.dendrogram(made_history(), moment=0)
    with pytest.raises(ValueError, match="At least 2 moments"):
        plots.dendrograms(made_history(), moments=1)
    with pytest.raises(ValueError, match="of round 1; possible"):
        plots.dendrograms(made_history(), moments=[0])
