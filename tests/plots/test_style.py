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
    extra = ("balanced_accuracy", "loss")
    options = {"partition": "planted", "true_clusters": 4, "extra": extra}
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


@pytest.mark.parametrize("ours", [True, False], ids=["new figure", "given axes"])
@pytest.mark.parametrize("count", [1, 4, 8, 24])
def test_a_legend_is_never_cut_and_shows_every_name_as_it_is(count, ours):
    from matplotlib import pyplot as plt

    names = [f"_number {i}, costs 5 $ and so long that it needs two lines" for i in range(count)]
    histories = [made_history(seed=i) for i in range(count)]
    plt.switch_backend("agg")
    given = None if ours else plt.subplots(1, 2, figsize=(6, 2.5))[1][0]
    ax = plots.curve(histories, names=names, ax=given)
    figure = ax.get_figure()
    figure.canvas.draw()
    shown = [text.get_text().replace("\n", " ") for text in ax.get_legend().get_texts()]
    assert shown == names
    box = ax.get_legend().get_tightbbox()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1
    assert ax.get_window_extent().height / figure.dpi > 1
    plt.close("all")


def test_lines_have_the_colours_given_and_the_legend_those_of_the_lines():
    histories = [made_history(seed=i) for i in range(3)]
    looks = {"names": ["a", "a", "b"], "colors": ["red", "red", "#123456"]}
    ax = plots.curve(histories, **looks, ax=Figure().add_subplot())
    handles = ax.get_legend().legend_handles
    assert [to_rgb(one.get_color()) for one in (*ax.lines, *handles)] == [
        to_rgb("red"),
        to_rgb("#123456"),
    ] * 2
    ax.lines[0].set_color("black")
    assert [to_rgb(one.get_color()) for one in handles] == [to_rgb("black"), to_rgb("#123456")]
    assert tuple(ax.collections[0].get_facecolor()[0][:3]) == to_rgb("black")
    with pytest.raises(ValueError, match="1 colors were given for 2 runs"):
        plots.curve(histories[:2], colors=["red"], ax=Figure().add_subplot())
    with pytest.raises(ValueError, match="'reddish' is no colour; possible is one such as"):
        plots.curve(histories[0], colors=["reddish"], ax=Figure().add_subplot())


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
