"""``demjax plot``: which figures it writes, what it says of the others, and what it refuses."""

import base64
import os
import sys

import jax
import pytest
from drawn_folders import made_history, made_run, write_run

pytest.importorskip("matplotlib")

from demjax import data
from demjax.cli import main
from demjax.cli import plot as plot_command
from demjax.cli.plot import FORMATS
from demjax.plots.figures import FIGURES
from demjax.runs import folder as run_folder

STARTS = {"pdf": b"%PDF-", "png": b"\x89PNG", "svg": b"<?xml"}


def plot(*arguments):
    return main.main(["plot", *map(str, arguments)])


@pytest.fixture
def run(tmp_path):
    return made_run(tmp_path / "run")


def test_a_runs_figures_are_written_into_its_folder(tmp_path, capsys):
    y = data.digits().y
    planted = data.planted(y, clients=12, true_clusters=4, seed=0).partition
    run = made_run(tmp_path / "run", partition="planted", true_clusters=4)
    data.save_partition(planted, run / run_folder.PARTITION, y=y)
    assert plot(run) == 0
    first, second = capsys.readouterr().out.splitlines()
    there = sorted(path.name for path in (run / "plots").iterdir())
    assert there == sorted(f"{name}.png" for name in FIGURES if name not in ("comparison", "extra"))
    assert first.startswith(f"{run / 'plots'}: measures.png, ")
    assert second == "no comparison: It compares settings, but there is only one."
    assert all((run / "plots" / name).read_bytes().startswith(STARTS["png"]) for name in there)


def test_what_a_run_does_not_allow_is_left_out_and_told(tmp_path, capsys):
    run = made_run(tmp_path / "run", algorithm="fedavg")
    (run / run_folder.CLIENTS).unlink()
    (run / run_folder.SUMMARY).unlink()
    assert plot(run) == 0
    assert [path.name for path in (run / "plots").iterdir()] == ["measures.png"]
    said = capsys.readouterr().out
    for words in (
        "no clients, distribution, fairness: The run run holds no measures of its clients.",
        "no cost: The run run says not what a round took",
        "no dendrograms: The run run holds no dendrograms",
        "no labels, group_sizes, rand_index: The run run has no levels of groups",
    ):
        assert words in said


def test_a_run_that_was_stopped_before_its_first_round_can_be_drawn(tmp_path, capsys):
    history = made_history()
    first = jax.tree.map(lambda leaf: leaf[:1], history.measures)
    stopped = history._replace(round=history.round[:1], measures=first)
    assert plot(write_run(tmp_path / "run", stopped, groups=(5, 3))) == 0
    said = capsys.readouterr().out
    assert "labels.png" not in said
    assert "no membership, group_sizes, rand_index: The clients of the run run were never" in said
    assert "clients.png, distribution.png, fairness.png" in said


def test_several_runs_share_a_folder_and_figures_of_one_run_are_left_out(tmp_path, capsys):
    folders = [made_run(tmp_path / "a"), made_run(tmp_path / "b", seed=1, algorithm="fedavg")]
    assert plot(*folders, "--out", tmp_path / "new" / "both") == 0
    written = sorted(path.stem for path in (tmp_path / "new" / "both").iterdir())
    assert written == ["comparison", "cost", "distribution", "fairness", "measures"]
    assert "no clients, dendrograms, membership" in capsys.readouterr().out
    assert not any((folder / "plots").exists() for folder in folders)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_what_it_says_and_the_same_twice(form, run, tmp_path):
    for out in ("one", "two"):
        asked = ["--out", tmp_path / out, "--format", form, "--only", "membership", "dendrograms"]
        assert plot(run, *asked) == 0
    for name in ("membership", "dendrograms"):
        first, second = ((tmp_path / out / f"{name}.{form}").read_bytes() for out in ("one", "two"))
        assert first.startswith(STARTS[form])
        assert first == second
    if form == "png":
        from matplotlib.image import imread

        image = imread(tmp_path / "one" / "membership.png")
        assert image.shape[1] == 1020  # a column of 3.4 inches
        assert image[..., :3].std() > 0.01


def test_runs_can_be_given_names_and_colours(tmp_path):
    folders = [made_run(tmp_path / "a"), made_run(tmp_path / "b", seed=1, algorithm="fedavg")]
    looks = ["--names", "mine", "_theirs", "--colors", "#123456", "black"]
    asked = ["--format", "svg", "--only", "comparison", "--out", tmp_path / "new", *looks]
    assert plot(*folders, *asked) == 0
    drawn = (tmp_path / "new" / "comparison.svg").read_text()
    assert "#123456" in drawn
    assert "<!-- mine -->" in drawn
    assert "<!-- _theirs -->" in drawn
    out = tmp_path / "both.html"
    assert main.main(["report", *map(str, folders), "--no-figures", "--out", str(out), *looks]) == 0
    assert '"lines":[{"name":"mine","runs":[0],"color":"#123456"}' in out.read_text()


def test_more_figures_can_be_added_to_a_folder_but_none_written_over(run, capsys):
    assert plot(run, "--only", "clients") == 0
    assert plot(run, "--only", "measures") == 0
    assert plot(run, "--only", "clients", "--format", "svg") == 0
    before = (run / "plots" / "clients.png").read_bytes()
    assert plot(run) == 2
    assert "measures.png exists and would be overwritten" in capsys.readouterr().err
    assert (run / "plots" / "clients.png").read_bytes() == before
    assert len(list((run / "plots").iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "There is no run nowhere"),
        (["empty"], "is no run"),
        (["run", "--only", "member"], "perhaps 'membership' was meant"),
        (["run", "--only", "comparison"], "'comparison' cannot be drawn. It compares settings"),
        (["run", "--names", "a", "b"], "2 names were given for 1 runs"),
        (["run", "--colors", "reddish"], "'reddish' is no colour"),
        (["run", "--format", "gif"], "The format 'gif' is unknown; possible are pdf"),
        (["run", "run"], "The run run was named twice"),
        (["run", "other"], "possible is --out"),
        (["run", "--out", "file"], "file is a file"),
        (["run", "--out", "file/below"], "cannot be written"),
        (["run", "--onyl", "clients"], "perhaps '--only' was meant"),
        ([], "RUN"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_nothing_is_written(
    arguments, words, run, tmp_path, capsys, monkeypatch
):
    made_run(tmp_path / "other", seed=1)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert plot(*arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_without_matplotlib_it_says_what_to_install(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plot(run) == 2
    assert "pip install 'demjax[plots]'" in capsys.readouterr().err
    assert not (run / "plots").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_a_right_to_write_is_refused(run, tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert plot(run, "--out", tmp_path / "locked" / "new") == 2
    assert "no folder to write into" in capsys.readouterr().err


@pytest.mark.parametrize("large", [10, 10_000_000])
def test_a_page_gets_every_figure_as_lines_or_where_large_as_pixels(run, large, monkeypatch):
    monkeypatch.setattr(plot_command, "LARGE", large)
    monkeypatch.setattr(
        plot_command, "FIGURES", {name: FIGURES[name] for name in ("measures", "cost")}
    )
    found = plot_command.images([run])
    assert list(found) == ["All measures over rounds", "Time and bytes of a round"]
    kind, start = ("png", STARTS["png"]) if large == 10 else ("svg+xml", STARTS["svg"])
    for address in found.values():
        head, _, coded = address.partition(",")
        assert head == f"data:image/{kind};base64"
        assert base64.b64decode(coded).startswith(start)


def test_every_figure_has_a_title_and_a_folder_that_is_no_run_has_no_figures(tmp_path):
    assert plot_command.TITLES.keys() == FIGURES.keys()
    assert plot_command.images([tmp_path]) == {}


def test_a_folder_of_figures_that_is_a_link_is_refused(run, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (run / "plots").symlink_to(tmp_path / "elsewhere")
    assert plot(run) == 2
    assert "plots is a link, through which" in capsys.readouterr().err
    assert list((tmp_path / "elsewhere").iterdir()) == []
