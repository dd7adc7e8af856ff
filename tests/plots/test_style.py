"""The style is the figures' own, and every figure can be read in a printed column."""

import numpy as np
import pytest
from drawn_folders import made_history, made_run

pytest.importorskip("matplotlib")
import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from demjax import data, plots
from demjax.plots.figures import FIGURES
from demjax.plots.record import read_all
from demjax.plots.style import COLUMN, PAGE, SERIES, shade, spread_places, style
from demjax.runs import folder as run_folder


@pytest.fixture(scope="module")
def some_runs(tmp_path_factory):
    """One DemLearn run of planted true_clusters; and it among others, with long labels."""
    root = tmp_path_factory.mktemp("runs")
    y = data.digits().y
    planted = data.planted(y, clients=12, true_clusters=4, seed=0).partition
    options = {"partition": "planted", "true_clusters": 4}
    one = made_run(root / "one", **options)
    data.save_partition(planted, one / run_folder.PARTITION, y=y)
    others = [
        made_run(root / "two", seed=1, **options),
        made_run(root / "three", period=6, metric="correlation", **options),
        made_run(root / "four", algorithm="fedavg", mix=0.6, **options),
        made_run(root / "five", algorithm="local_only", cohort=3, **options),
    ]
    return read_all(one), read_all([one, *others])


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", FIGURES)
def test_every_text_is_large_enough_and_inside_the_figure(name, several, some_runs):
    figure = Figure()
    FigureCanvasAgg(figure)
    try:
        FIGURES[name](some_runs[several], figure)
    except ValueError as error:
        reason = "shows one run" if several else "only one"
        assert reason in str(error)  # noqa: PT017
        return
    figure.canvas.draw()
    width, height = figure.get_size_inches()
    assert width in (COLUMN, PAGE)
    drawn = figure.get_tightbbox(figure.canvas.get_renderer())
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= width
    assert drawn.y1 <= height
    assert min(text.get_fontsize() for text in figure.findobj(Text)) >= 7
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    for legend in legends:
        box = legend.get_window_extent()
        assert not any(ax.get_window_extent().overlaps(box) for ax in figure.axes)


def test_the_style_leaves_no_trace():
    before = dict(matplotlib.rcParams)
    with style():
        assert matplotlib.rcParams["font.size"] == 8
    plots.curve(made_history(), ax=Figure().add_subplot())
    assert dict(matplotlib.rcParams) == before


def test_shades_go_from_darker_to_lighter_and_one_is_the_colour_itself():
    for colour in SERIES:
        assert shade(colour, 0, 1) == shade(colour, 0, 2) == to_rgb(colour)
    for count in (2, 3, 7):
        light = [sum(shade("#0072B2", place, count)) for place in range(count)]
        assert light == sorted(set(light))
        assert np.all(np.array([shade("#0072B2", p, count) for p in range(count)]) <= 1)


def test_places_are_even_with_the_first_and_the_last():
    assert spread_places(3, 10) == [0, 1, 2]
    assert spread_places(31, 4) == [0, 10, 20, 30]
    assert spread_places(100, 10)[0::9] == [0, 99]
    assert len(spread_places(100, 10)) == 10
