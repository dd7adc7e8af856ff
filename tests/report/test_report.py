"""``demjax report``: what stands in the page, what it refuses, and how large it gets."""

import csv
import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import run_folders
from partitions_alike import failure

from demjax import data, report
from demjax.cli import main
from demjax.report import encode
from demjax.runs import folder as run_folder
from demjax.runs.reader import UNFINISHED, Clients

STRANGE = '<b>&"x'
"""A folder whose name is HTML."""


class Reader(HTMLParser):
    """The elements of a page, its text outside of scripts and styles, and its data."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.links, self.text, self.data, self.inside = [], [], [], "", []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag in ("script", "style"):
            self.inside.append(dict(attrs).get("id", tag))

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.inside.pop()

    def handle_data(self, data):
        if self.inside == ["data"]:
            self.data += data
        elif not self.inside:
            self.text.append(data)

    @property
    def runs(self):
        return json.loads(self.data)["runs"]


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def unpacked(run):
    """Measures and groups by round and client, from a page's data."""
    tree, groups = run["tree"], None
    found = {}
    for i, done in enumerate(tree["rounds"]):
        groups = tree["groups"][i] or groups
        for client in range(tree["clients"]):
            scores = [tree[kind][i][client] / 1e4 for kind in ("spe", "gen")]
            found[done, client] = [*scores, *(row[client] for row in groups)]
    return found


def test_the_numbers_are_those_of_the_files(tmp_path):
    out = run_folders.small(tmp_path / "run")
    (run,) = Reader(report.page([report.read(out)])).runs
    metrics = rows_of(out / run_folder.METRICS)
    assert list(run["metrics"]) == list(metrics[0])
    for name, values in run["metrics"].items():
        assert values == [round(float(row[name]), 4) if row[name] else None for row in metrics]
    found = unpacked(run)
    clients = rows_of(out / run_folder.CLIENTS)
    assert len(found) == len(clients)
    for row in clients:
        mine = found[int(row["round"]), int(row["client"])]
        assert mine[0] == pytest.approx(float(row["c_spe"] or -1e-4), abs=5.1e-5)
        assert mine[1] == pytest.approx(float(row["c_gen"]), abs=5.1e-5)
        assert mine[2:] == [int(row["group_l1"]), int(row["group_l2"])]
    held = [[], [], [], [], []]
    for row in rows_of(out / run_folder.LABELS):
        held[int(row["client"])] += [int(row[name]) for name in ("label", "train", "test")]
    assert run["labels"] == held


def test_the_page_says_how_the_run_ended_and_all_its_options(tmp_path):
    out = run_folders.small(tmp_path / "run", lr=0.05, groups=[8, 4])
    page = Reader(report.page([report.read(out)]))
    said = " ".join(page.text)
    for word in ("done", "demlearn", "0.9124", "0.5000", "0.7500", "demjax 0.1.0", "1 × cpu"):
        assert word in said
    for name, value in tomllib.loads((out / run_folder.CONFIG).read_text()).items():
        assert name in page.text
        assert str(value).strip("[]").replace(", ", ",") in page.text
    assert "not finished" not in said


def test_nothing_that_a_user_named_becomes_part_of_the_page(tmp_path):
    evil = "</script><script>alert(1)</script><!--"
    out = run_folders.small(tmp_path / STRANGE, dataset=evil)
    page = report.page([report.read(out)], figures={evil: f"data:,{evil}"})
    plain = report.page([report.read(run_folders.small(tmp_path / "plain"))], figures={"a": ""})
    assert sorted(Reader(page).tags) == sorted(Reader(plain).tags)
    assert evil not in page
    assert evil in Reader(page).text
    assert f"{STRANGE} – demjax report" in Reader(page).text
    assert Reader(page).runs[0]["name"] == STRANGE


def test_the_page_needs_nothing_else(tmp_path):
    figures = {"a": "data:image/svg+xml,"}
    page = report.page([report.read(run_folders.small(tmp_path / "run"))], figures=figures)
    found = Reader(page)
    assert found.links == ["data:image/svg+xml,"]
    assert not {"link", "iframe", "object", "base"} & set(found.tags)
    assert set(re.findall(r"https?://[^\"\s]*", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|innerHTML|\beval\b", page)


def test_runs_side_by_side_and_options_that_differ_first(tmp_path):
    outs = [run_folders.small(tmp_path / name / "run", seed=seed) for name, seed in ("a0", "b1")]
    found = Reader(report.page([report.read(out) for out in outs]))
    assert [run["name"] for run in found.runs] == ["run (1)", "run (2)"]
    differ, same = (found.text.index(f"Options that {what}") for what in ("differ", "are the same"))
    assert differ < found.text.index("seed") < same < found.text.index("dataset")
    with pytest.raises(ValueError, match="at least one"):
        report.page([])


def test_what_is_equal_in_all_runs_stands_there_once(tmp_path):
    outs = [run_folders.small(tmp_path / str(seed), seed=seed) for seed in range(8)]
    text = report.page([report.read(out) for out in outs])
    assert '<th scope="row">device</th><td colspan="8">' in text
    assert text.count("1 × cpu") == 1


def test_runs_get_names_and_lines_their_colours(tmp_path):
    runs = [report.read(run_folders.small(tmp_path / name)) for name in ("a", "b", "c")]
    found = json.loads(
        Reader(
            report.page(runs, names=["x", "_y", "x"], colors=["#0072B2", "#112233", "black"])
        ).data
    )
    assert [run["name"] for run in found["runs"]] == ["x (1)", "_y", "x (2)"]
    assert found["lines"] == [
        {"name": "x", "runs": [0, 2], "color": "#0072b2"},
        {"name": "_y", "runs": [1], "color": "#112233"},
    ]
    apart = json.loads(Reader(report.page(runs)).data)["lines"]
    assert [one["name"] for one in apart] == ["a", "b", "c"]  # of one seed, so no spread
    failure(lambda: report.page(runs, names=["x"]), "1 names were given for 3 runs")
    failure(lambda: report.page(runs, colors=["x"] * 3), "'x' is no colour")


def test_a_run_that_goes_on_is_shown_as_far_as_it_is(tmp_path):
    out = run_folders.small(tmp_path / "run", finished=False, labels=False)
    whole = report.read(out)
    assert whole.status == UNFINISHED
    assert "not finished" in report.page([whole])
    for name, end in (
        (run_folder.METRICS, "3,0.9"),
        (run_folder.CLIENTS, "3,0,0.7,0.7,2,0\n3,1,0."),
    ):
        with (out / name).open("a") as file:
            file.write(end)
    again = report.read(out)
    assert again.metrics["round"].tolist() == [0, 1, 2]
    assert again.clients.rounds.tolist() == [0, 1, 2]
    assert again.labels is None
    (out / run_folder.METRICS).unlink()
    (out / run_folder.CLIENTS).write_text("round,client,c_spe,c_gen,group_l1\n0,0,0.1,")
    nothing = report.read(out)
    assert (nothing.metrics, nothing.clients) == ({}, None)
    assert "nothing" in " ".join(Reader(report.page([nothing])).text)


def test_how_it_ended_is_said(tmp_path):
    out = run_folders.small(tmp_path / "run")
    summary = json.loads((out / run_folder.SUMMARY).read_text())
    for status in ("interrupted", "diverged", "failed"):
        (out / run_folder.SUMMARY).write_text(json.dumps({**summary, "status": status}))
        assert f"ended early: {status}" in report.page([report.read(out)])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (run_folder.CONFIG, "rounds = ", "not valid TOML"),
        (run_folder.SUMMARY, "{", "no summary of a run"),
        (run_folder.METRICS, "seconds\n0\n", "no column 'round'"),
        (run_folder.METRICS, "round,c_spe,c_gen,global\n0,1,1\n", "row 1 is not 4 numbers"),
        (run_folder.METRICS, "round,c_spe,c_gen,global\n0,1,x,1\n", "row 1 is not 4 numbers"),
        (run_folder.METRICS, "round,c_spe,c_gen,global\n1,1,1,1\n1,1,1,1\n", "count upwards"),
        (run_folder.METRICS, "", "no column 'round'"),
        (run_folder.METRICS, b"\xff\xfe", "no text"),
        (run_folder.CLIENTS, "round,client,c_spe,c_gen\n0,0,1,1\n0,2,1,1\n", "every client once"),
        (
            run_folder.CLIENTS,
            "round,client,c_spe,c_gen\n0,0,1,1\n0,1,1,1\n1,0,1,1\n",
            "every client",
        ),
        (run_folder.CLIENTS, "round,client,c_spe,c_gen\n0,1e15,1,1\n", "every client once"),
        (run_folder.CLIENTS, "round,client,c_spe,c_gen\n,,,\n", "every client once"),
        (run_folder.CLIENTS, "round,client,c_spe,c_gen,group_l1\n0,0,1,1,0.5\n", "whole numbers"),
        (run_folder.CLIENTS, "round,client,c_spe,c_gen,group_l2\n0,0,1,1,0\n", "whole numbers"),
        (run_folder.CLIENTS, "round,client,c_spe,c_gen,group_l1\n0,0,1,1,-2\n", "whole numbers"),
        (run_folder.LABELS, "client,label,train,test\n5,0,1,1\n", "numbers of examples"),
        (run_folder.LABELS, "client,label,train,test\n0,0,-1,1\n", "numbers of examples"),
    ],
)
def test_a_damaged_folder_is_one_sentence(name, text, words, tmp_path, capsys):
    out = run_folders.small(tmp_path / "run")
    if text is None:
        (out / name).unlink()
    else:
        (out / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    before = sorted(path.name for path in out.iterdir())
    assert main.main(["report", str(out)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in out.iterdir()) == before


def test_the_command_writes_one_new_file(tmp_path, capsys):
    out = run_folders.small(tmp_path / STRANGE)
    assert main.main(["report", str(out)]) == 0
    assert capsys.readouterr().out == f"{out / 'report.html'}\n"
    text = (out / "report.html").read_text()
    assert text.startswith("<!doctype html>")
    assert main.main(["report", str(out)]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert (out / "report.html").read_text() == text
    assert not [path for path in out.iterdir() if "partial" in path.name]
    other = tmp_path / "two.html"
    assert main.main(["report", str(out), str(out), "--out", str(other)]) == 0
    assert len(Reader(other.read_text()).runs) == 2
    nowhere = tmp_path / "no" / "where.html"
    assert main.main(["report", str(out), "--out", str(nowhere)]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main.main(["report", str(tmp_path / "none")]) == 2
    assert "There is no run" in capsys.readouterr().err
    assert main.main(["report", str(out), "--output", str(nowhere)]) == 2
    assert "perhaps '--out' was meant" in capsys.readouterr().err


def test_pages_stay_small(tmp_path):
    usual = report.read(run_folders.large(tmp_path / "usual", clients=50, rounds=100))
    assert len(report.page([usual])) < 300_000
    many = report.read(run_folders.large(tmp_path / "many", clients=1000, rounds=20))
    assert len(report.page([many])) < 600_000
    # as it would be after 1,000 rounds
    measured = np.arange(1001)
    clients = many.clients
    long = Clients(measured, *(np.resize(a, (1001, *a.shape[1:])) for a in clients[1:]))
    page = report.page([many._replace(clients=long)])
    assert len(page) < 3_000_000
    (run,) = Reader(page).runs
    shown = run["tree"]["rounds"]
    assert (shown[0], shown[-1]) == (0, 1000)
    assert len(shown) == encode.CELLS_AT_MOST // 1000
    assert run["tree"]["measured"] == 1001
    assert set(np.diff(shown)) <= {8, 9}


def test_a_tree_that_stays_is_written_once(tmp_path):
    run = report.read(run_folders.small(tmp_path / "run"))
    groups = run.clients.groups[[0, 1, 1]]
    (found,) = json.loads(
        encode.encode([run._replace(clients=run.clients._replace(groups=groups))])
    )["runs"]
    assert found["tree"]["groups"] == [groups[0].tolist(), groups[1].tolist(), 0]


def test_a_real_run_leaves_all_that_its_report_needs(tmp_path, capsys):
    out = tmp_path / "run"
    small = ["--model", "linear", "--clients", "8", "--rounds", "2", "--epochs", "1"]
    small += ["--algorithm", "fedavg", "--devices", "1"]
    assert main.main(["run", *small, "--out", str(out)]) == 0
    assert main.main(["report", str(out)]) == 0
    (run,) = Reader((out / "report.html").read_text()).runs
    assert run["tree"]["rounds"] == [0, 1, 2]
    assert (run["tree"]["clients"], run["tree"]["levels"]) == (8, 0)
    y = data.digits().y
    partition = data.load_partition(out / run_folder.PARTITION, y=y)
    for held, train, test in zip(run["labels"], *partition, strict=True):
        for label, trained, tested in zip(*(held[place::3] for place in range(3)), strict=True):
            assert trained == (y[train] == label).sum()
            assert tested == (y[test] == label).sum()
        assert sum(held[1::3]) == len(train)
        assert sum(held[2::3]) == len(test)


def test_all_parts_of_the_page_are_installed_with_it():
    folder_of_page = Path(report.__file__).parent
    config = tomllib.loads((folder_of_page.parents[1] / "pyproject.toml").read_text())
    assert config["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["demjax"]}
    suffixes = {path.suffix for path in folder_of_page.iterdir()} - {".py", ""}
    assert suffixes == {".css", ".html", ".js"}


def test_folders_that_hold_no_run_are_told_apart(tmp_path):
    (tmp_path / "file").write_text("")
    failure(lambda: report.read(tmp_path / "file"), "There is no run")
    failure(lambda: report.read(tmp_path), "no run folder")


def test_a_client_without_end_takes_no_memory(tmp_path):
    out = run_folders.small(tmp_path / "run")
    (out / run_folder.CLIENTS).unlink()
    (out / run_folder.LABELS).write_text("client,label,train,test\n1000000000000,0,1,1\n")
    failure(lambda: report.read(out), "labels.csv is damaged")
