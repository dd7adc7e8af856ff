"""Everybody is in the alluvial map once a moment, whoever moves where."""

from itertools import pairwise

import numpy as np
import pytest
from drawn_folders import ROUNDS, made_history, made_run
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("matplotlib")
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from demjax import plots
from demjax.plots.alluvial import ALONE, flows
from demjax.plots.style import FILLS, GREY


def drawn(run, **options):
    return plots.membership(run, ax=Figure().add_subplot(), **options)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_client_is_in_one_bar_and_one_ribbon_and_nothing_overlaps(data):
    moments = data.draw(st.integers(1, 4))
    count = data.draw(st.integers(1, 9))
    row = st.lists(st.integers(ALONE, 3), min_size=count, max_size=count)
    groups = np.array([data.draw(row) for _ in range(moments)])
    colours = np.array(data.draw(row)) + 1
    blocks, ribbons = flows(groups, colours, gap=0.5)
    for moment in range(moments):
        bars = sorted((b for b in blocks if b.moment == moment), key=lambda b: b.bottom)
        assert {b.group: b.size for b in bars} == {
            group: (groups[moment] == group).sum() for group in set(groups[moment].tolist())
        }
        assert all(b.top - b.bottom == b.size for b in bars)
        assert all(a.top + 0.5 == b.bottom for a, b in pairwise(bars))
        if any(b.group == ALONE for b in bars):
            assert bars[0].group == ALONE
    bar = {(b.moment, b.group): b for b in blocks}
    for moment in range(moments - 1):
        now, after = groups[moment], groups[moment + 1]
        some = [r for r in ribbons if r.moment == moment]
        assert sum(r.size for r in some) == count
        for r in some:
            members = (now == r.source) & (after == r.target) & (colours == r.colour)
            assert r.size == members.sum()
        for side, name in (("start", "source"), ("end", "target")):
            for group in {getattr(r, name) for r in some}:
                own = [r for r in some if getattr(r, name) == group]
                own.sort(key=lambda r: getattr(r, side))
                ends = bar[moment + (side == "end"), group]
                level = ends.bottom
                for r in own:  # they fill the bar from end to end
                    assert getattr(r, side) == level
                    level += r.size
                assert level == ends.top


def test_a_swap_of_names_is_no_move():
    groups = np.array([[0, 0, 1, 1], [1, 1, 0, 0]])
    _, ribbons = flows(groups, np.zeros(4, int), gap=1.0)
    assert sorted((r.source, r.target, r.size) for r in ribbons) == [(0, 1, 2), (1, 0, 2)]
    assert all(r.start == r.end for r in ribbons)  # the order is kept, so that nothing crosses


def test_the_drawing_has_the_ribbons_widths_and_the_bars_sizes():
    history = made_history(clients=50, cut=(7, 3))
    groups = history.measures.hierarchy.groups[1:, 0]
    ax = drawn(history)
    ribbons, bars = ax.collections
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "4", "6"]
    widths = np.zeros(3)
    for path in ribbons.get_paths():
        (left, low), (_, high) = path.vertices[0], path.vertices[7]
        widths[int(np.floor(left))] += high - low
    np.testing.assert_allclose(widths, 50)
    sizes = sorted(np.ptp(path.vertices[:, 1]).round(6) for path in bars.get_paths())
    assert sizes == sorted(s for row in groups for s in np.unique(row, return_counts=True)[1])
    assert (groups[0] == ALONE).sum() == 1
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sum(int(label.split("(")[1][:-1]) for label in labels) == 50
    assert labels[-1] == "none (1)"


def test_ribbons_have_the_colour_of_the_first_group_or_of_the_kind():
    history = made_history(clients=6, cut=(2,))
    groups = history.measures.hierarchy.groups[:, 0]
    groups[1:] = [[0, 0, 0, 1, 1, -1], [1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0], [0] * 6]
    ribbons = drawn(history).collections[0]
    colours = {tuple(colour[:3]) for colour in ribbons.get_facecolor()}
    assert colours == {to_rgb(FILLS[0]), to_rgb(FILLS[1]), to_rgb(GREY)}
    true_clusters = np.array([5, 5, 5, 5, 7, 7])
    ax = drawn(history, true_clusters=true_clusters, moments=[4, 1])
    assert len(ax.collections[0].get_paths()) == 5
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "cluster 5 (4)",
        "cluster 7 (2)",
    ]


def test_a_thousand_clients_in_many_groups_can_be_drawn_and_of_many_colours_some_are_grey():
    ax = drawn(made_history(clients=1000, cut=(60, 8)))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(labels) == len(FILLS) + 1
    assert labels[-1].startswith("others")
    assert ax.get_ylabel() == "1,000 clients in groups of level 1"
    top = max(path.vertices[:, 1].max() for path in ax.collections[1].get_paths())
    assert top < 1000 * 1.5  # gaps leave the bars most of the room


def test_moments_are_spread_evenly_from_the_first_grouping_on():
    ticks = [tick.get_text() for tick in drawn(made_history(), moments=3).get_xticklabels()]
    assert ticks == ["1", "4", "6"]
    ticks = [tick.get_text() for tick in drawn(made_history(), moments=[0, 6]).get_xticklabels()]
    assert ticks == ["0", "6"]


def test_what_cannot_be_drawn_is_told(tmp_path):
    with pytest.raises(ValueError, match="no groups on level 3; possible are 1 to 2"):
        drawn(made_history(), level=3)
    with pytest.raises(ValueError, match="no levels of groups"):
        drawn(made_run(tmp_path / "run", algorithm="fedavg"))
    with pytest.raises(ValueError, match="round 3 was"):
        drawn(made_history(), moments=[1, 3])
    with pytest.raises(ValueError, match="no round was"):
        drawn(made_history(), moments=[])
    with pytest.raises(ValueError, match="At least 2 moments"):
        drawn(made_history(), moments=1)
    with pytest.raises(ValueError, match="12 clients need as many true clusters"):
        drawn(made_history(), true_clusters=np.zeros(len(ROUNDS), int))
