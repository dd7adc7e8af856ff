"""Systems compared in one command: reused, interrupted, tuned, and held against their files."""

import csv
import json
import os
import re
import shutil
import signal
import statistics

import numpy as np
import pytest

import demjax
from demjax import data
from demjax.cli import main
from demjax.runs import carry_out as carrying_out

SMALL = ["--model", "linear", "--clients", "6", "--rounds", "2", "--epochs", "1"]
TWO = ["compare", "--algorithms", "fedavg,fedavg:mix=0.6", "--seeds", "0,1", *SMALL]
FILES = ("comparison.csv", "comparison.md", "comparison.tex", "comparison.png")


def run(*words):
    return main.main([str(word) for word in words] + ["--devices", "1"])


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def without_seconds(path):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(path)]


def stamps(out):
    return {path: path.stat().st_mtime_ns for path in out.rglob("metrics.csv")}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Two systems under two seeds."""
    out = tmp_path_factory.mktemp("compared") / "d"
    assert run(*TWO, "--out", out) == 0
    return out


@pytest.fixture
def copied(compared, tmp_path):
    """A copy of it that a test may spoil."""
    shutil.copytree(compared, tmp_path / "d")
    return tmp_path / "d"


def test_the_table_is_that_of_the_runs_files_worked_out_by_hand(compared):
    table = {(row["system"], row["at"]): row for row in rows_of(compared / "comparison.csv")}
    assert len(table) == 4
    for label, folder in (("FedAvg", "fedavg"), ("FedAvg, mix 0.6", "fedavg-mix-0.6")):
        seeds = [compared / folder / f"seed-{seed}" for seed in (0, 1)]
        for at in ("last round", "best round by C-SPE"):
            found = {}
            for out in seeds:
                rows = rows_of(out / "metrics.csv")
                later = [row for row in rows if row["round"] != "0"]
                best = max(later, key=lambda row: float(row["c_spe"]))
                row = later[-1] if at == "last round" else best
                for name in ("c_spe", "c_gen", "global", "round", "c_spe_by_client"):
                    found.setdefault(name, []).append(float(row[name]))
                clients = [
                    float(one["c_spe"])
                    for one in rows_of(out / "clients.csv")
                    if one["round"] == row["round"] and one["c_spe"]
                ]
                assert statistics.fmean(clients) == pytest.approx(
                    float(row["c_spe_by_client"]), abs=2e-6
                )
                found.setdefault("worst_tenth", []).append(min(clients))  # of 6, one
                jain = sum(clients) ** 2 / (len(clients) * sum(x * x for x in clients))
                found.setdefault("jain", []).append(jain)
                summary = json.loads((out / "summary.json").read_text())
                found.setdefault("round_seconds", []).append(summary["round_seconds"])
                assert summary["measured_at"] == table[label, at]["measured_at"]
            for name, values in found.items():
                row = table[label, at]
                assert float(row[name]) == pytest.approx(statistics.fmean(values), abs=3e-6), name
                deviation = statistics.stdev(values)
                assert float(row[f"{name}_std"]) == pytest.approx(deviation, abs=3e-6), name
            assert table[label, at]["seeds"] == "2"
            assert float(table[label, at]["bytes_up"]) == 6 * 650 * 4
    assert [table[name, "last round"]["measured_at"] for name in ("FedAvg", "FedAvg, mix 0.6")] == [
        "trained",
        "mixed",
    ]
    assert all((compared / name).stat().st_size for name in FILES)


def test_c_spe_by_client_counts_clients_and_c_spe_examples(compared):
    out = compared / "fedavg" / "seed-0"
    tests = {}
    for row in rows_of(out / "labels.csv"):
        tests[row["client"]] = tests.get(row["client"], 0) + int(row["test"])
    for row in rows_of(out / "metrics.csv"):
        own = [one for one in rows_of(out / "clients.csv") if one["round"] == row["round"]]
        right = sum(float(one["c_spe"]) * tests[one["client"]] for one in own)
        assert float(row["c_spe"]) == pytest.approx(right / sum(tests.values()), abs=2e-6)


def test_what_is_there_is_not_run_again_and_a_further_seed_is(copied, capsys):
    before = stamps(copied)
    again = copied.parent / "elsewhere"
    (copied / "fedavg" / "seed-1").rename(again)
    shutil.move(again, copied / "mine")  # found by its options, not by its name
    more = [word.replace("0,1", "1,0") for word in TWO]
    assert run(*more, "--out", copied) == 0
    assert "compiling" not in capsys.readouterr().err
    assert {p.stat().st_mtime_ns for p in copied.rglob("metrics.csv")} == set(before.values())
    assert not (copied / "fedavg" / "seed-1").exists()


def test_other_options_are_refused_with_what_differs(copied, capsys):
    before = stamps(copied)
    assert run(*TWO, "--rounds", 3, "--lr", 0.5, "--out", copied) == 2
    said = capsys.readouterr().err.strip()
    assert "fedavg/seed-0 holds a run with other options: " in said
    assert "rounds is 2 there and 3 here" in said
    assert re.search(r"lr is 0\.\d+ there and 0\.5 here", said)
    assert len(said.splitlines()) == 1
    assert stamps(copied) == before


def test_a_run_of_a_comparison_is_that_of_demjax_run(compared, tmp_path):
    mine = compared / "fedavg-mix-0.6" / "seed-1"
    assert run("run", "--config", mine / "config.toml", "--out", tmp_path / "again") == 0
    assert without_seconds(tmp_path / "again" / "metrics.csv") == without_seconds(
        mine / "metrics.csv"
    )


def test_ctrl_c_keeps_what_was_measured_and_the_same_command_goes_on(
    compared, tmp_path, capsys, monkeypatch
):
    begun, real = [], carrying_out.moments

    def pressed(*arguments, **options):
        begun.append([])
        for moment in real(*arguments, **options):
            begun[-1].append(moment.round)
            if len(begun) == 2 and moment.round == 0:
                os.kill(os.getpid(), signal.SIGINT)
            yield moment

    monkeypatch.setattr(carrying_out, "moments", pressed)
    out, before = tmp_path / "d", signal.getsignal(signal.SIGINT)
    assert run(*TWO, "--out", out) == 130
    assert signal.getsignal(signal.SIGINT) is before
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "1 of 4 runs are done and kept" in said
    half = out / "fedavg" / "seed-1"
    assert json.loads((half / "summary.json").read_text())["status"] == "interrupted"
    assert [row["round"] for row in rows_of(half / "metrics.csv")] == ["0", "1"]
    assert not (out / "comparison.csv").exists()
    done = out / "fedavg" / "seed-0" / "metrics.csv"
    first = done.stat().st_mtime_ns
    assert run(*TWO, "--out", out) == 0
    assert done.stat().st_mtime_ns == first
    assert begun == [[0, 1, 2], [0, 1], [1, 2], [0, 1, 2], [0, 1, 2]]
    assert not list(out.rglob("checkpoints"))  # of an interruption that is made up for
    for path in compared.rglob("metrics.csv"):
        mine = out / path.relative_to(compared)
        assert without_seconds(mine) == without_seconds(path)


def test_ctrl_c_in_the_last_round_of_a_run_ends_the_comparison_too(tmp_path, capsys, monkeypatch):
    real = carrying_out.moments

    def pressed(*arguments, **options):
        for moment in real(*arguments, **options):
            if moment.round == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield moment

    monkeypatch.setattr(carrying_out, "moments", pressed)
    words = ["compare", "--algorithms", "fedavg", "--seeds", "0,1", *SMALL]
    assert run(*words, "--out", tmp_path / "d") == 130
    assert "1 of 2 runs are done" in capsys.readouterr().err
    summary = (tmp_path / "d" / "fedavg" / "seed-0" / "summary.json").read_text()
    assert json.loads(summary)["status"] == "done"
    assert not (tmp_path / "d" / "fedavg" / "seed-1").exists()


def test_a_run_that_was_killed_is_run_again_unless_other_files_are_in_the_way(copied, capsys):
    killed = copied / "fedavg" / "seed-0"
    (killed / "summary.json").unlink()
    (killed / "notes.txt").write_text("mine")
    assert run(*TWO, "--out", copied) == 2
    assert "notes.txt, which would be in the way" in capsys.readouterr().err
    (killed / "notes.txt").unlink()
    assert run(*TWO, "--out", copied) == 0
    assert json.loads((killed / "summary.json").read_text())["status"] == "done"


def test_a_run_that_diverges_is_told_and_counts_in_no_mean(tmp_path, capsys):
    words = ["compare", "--algorithms", "fedprox:prox=1000,fedprox", *SMALL, "--rounds", "12"]
    words += ["--lr", "500", "--eval-every", "6", "--out", tmp_path / "d"]
    assert run(*words) == 0
    shown = capsys.readouterr().out
    assert "FedProx, prox 1000: the run of seed 0 diverged after round" in shown
    table = rows_of(tmp_path / "d" / "comparison.csv")
    assert (table[0]["seeds"], table[0]["c_spe"]) == ("0", "")


@pytest.fixture(scope="module")
def two_files(tmp_path_factory):
    """Digits with a test part, and the same whose test labels are in another order."""
    digits = data.digits()
    folder = tmp_path_factory.mktemp("data")
    order = np.arange(len(digits.y))
    order[1200:] = 1200 + np.random.default_rng(0).permutation(len(order) - 1200)
    for name, y in (("true", digits.y), ("permuted", digits.y[order])):
        np.savez(folder / f"{name}.npz", x=digits.x, y=y, train_count=1200)
    return folder


def test_a_grid_is_tuned_without_a_look_at_test_examples(two_files, tmp_path, capsys):
    trials, finals, tables = [], [], []
    for name in ("true", "permuted"):
        words = ["compare", "--algorithms", "fedavg,local_only", "--seeds", "3", *SMALL]
        words += ["--dataset", "npz", "--data-dir", two_files / f"{name}.npz", "--partition", "iid"]
        words += ["--grid", "mix=0.2,1.0", "--validation", "0.3", "--by", "c_gen"]
        out = tmp_path / name
        assert run(*words, "--out", out) == 0
        tuning = sorted((out / "tuning").rglob("metrics.csv"))
        assert [path.parent.parent.name for path in tuning] == ["fedavg-mix-0.2", "fedavg-mix-1"]
        assert {path.parent.name for path in tuning} == {"seed-3"}
        trials.append([without_seconds(path) for path in tuning])
        tables.append((out / "grid.csv").read_text())
        final = sorted(path for path in out.glob("fedavg*/*/metrics.csv"))
        assert [path.parent.name for path in final] == ["seed-3"]
        finals.append([without_seconds(path) for path in final])
        rows = rows_of(out / "grid.csv")
        best = max(rows, key=lambda row: float(row["value"]))
        assert [row["chosen"] for row in rows] == [str(row is best).lower() for row in rows]
        assert best["values"].replace("mix ", "fedavg-mix-") == final[0].parent.parent.name
        last = [float(rows_of(path)[-1]["c_gen"]) for path in tuning]
        assert [float(row["value"]) for row in rows] == pytest.approx(last)
        parts = {}
        y = np.load(two_files / f"{name}.npz")["y"]
        for path in (tuning[0].parent, final[0].parent):
            parts[path] = data.load_partition(path / "partition.npz", y=y)
        tuned, whole = parts.values()
        held = [round(len(mine) * 0.3) for mine in whole.train]
        assert [len(mine) for mine in tuned.test] == held
        assert np.concatenate([*tuned.train, *tuned.test]).max() < 1200
        shown = capsys.readouterr().out
        assert "by C-GEN after the last round on validation examples, 0.3 of each" in shown
        assert "best round by C-GEN" in shown
        assert "local only" in shown
    assert trials[0] == trials[1]
    assert tables[0] == tables[1]
    assert finals[0] != finals[1]  # which are measured on test examples, unlike the trials
    words[words.index("mix=0.2,1.0")] = "mix=0.2,0.5"
    assert run(*words, "--out", out) == 2
    said = capsys.readouterr().err
    assert "begun otherwise: --grid was mix=0.2,1.0 and is mix=0.2,0.5" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--algorithms", "fedavgg"], "perhaps 'fedavg' was meant"),
        (["--algorithms", "fedavg:prox=1"], "'fedavg' takes no --prox"),
        (["--algorithms", "fedavg:mix=0.6:measure_at=trained"], "possible are 'mixed'"),
        (["--algorithms", "fedavg,fedavg:cohort=none"], "have the same options; once is enough"),
        (["--algorithms", "fedavg", "--prox", "1"], "None of the systems takes --prox"),
        (["--algorithms", "fedavg", "--rouns", "1"], "perhaps '--rounds' was meant"),
        (["--algorithms", "fedavg", "--seed", "1"], "takes no --seed; possible is --seeds"),
        (["--algorithms", "fedavg", "--seeds", "0,a"], "--seeds needs whole numbers"),
        (["--algorithms", "fedavg", "--seeds", "0,0"], "--seeds was given as 0,0"),
        (["--algorithms", "fedavg", "--seeds=-1"], "--seed needs 0 to"),
        (["--algorithms", "fedavg", "--by", "c_gan"], "perhaps 'c_gen' was meant"),
        (["--algorithms", "fedavg", "--grid", "mxi=0.1"], "'mxi', which is no option"),
        (["--algorithms", "fedavg", "--grid", "mix=2"], "--grid mix needs 0 to 1"),
        (["--algorithms", "fedavg", "--validation", "0.2"], "--validation needs --grid"),
        (
            ["--algorithms", "fedavg", "--grid", "mix=0.1", "--validation", "2"],
            "above 0 and below 1, but 2 was given",
        ),
        (["--algorithms", "fedavg", "--config", "/nowhere/x.toml"], "cannot be read"),
        (["--algorithms", "fedavg", "runs/a"], "'runs/a' is no option"),
        (["--seeds", "0"], "--seeds needs --algorithms"),
    ],
)
def test_a_wrong_use_is_one_sentence_and_nothing_is_written(words, said, tmp_path, capsys):
    out = tmp_path / "d"
    assert run("compare", *words, *(["--out", out] if "--algorithms" in words else [])) == 2
    shown = capsys.readouterr()
    assert re.search(said, shown.err), shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.out == ""
    assert not out.exists()


def test_nothing_to_compare_and_no_folder_are_sentences(capsys):
    assert main.main(["compare"]) == 2
    assert "Nothing was given to compare" in capsys.readouterr().err
    assert main.main(["compare", "--algorithms", "fedavg"]) == 2
    assert "--out is needed" in capsys.readouterr().err


def test_a_folder_of_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "fedavg" / "seed-0").mkdir(parents=True)
    (tmp_path / "fedavg" / "seed-0" / "mine.txt").write_text("mine")
    assert run("compare", "--algorithms", "fedavg", *SMALL, "--out", tmp_path) == 2
    assert "holds other files, where a run would be" in capsys.readouterr().err
    (tmp_path / "comparison.csv").write_text("mine")
    assert run("compare", "--algorithms", "ditto", *SMALL, "--out", tmp_path) == 2
    assert "is of no comparison" in capsys.readouterr().err
    assert (tmp_path / "comparison.csv").read_text() == "mine"


def test_help_says_what_the_systems_take(capsys):
    assert main.main(["compare", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in ("--algorithms", "--seeds", "--grid", "--validation"))
    assert "--lr" not in text
    assert main.main(["compare", "--algorithms", "fedavg,ditto", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in ("--lr", "--mix", "--prox"))
    assert "--levels" not in text


def test_runs_in_a_folder_are_grouped_by_seed_in_compare_plot_and_report(copied, capsys):
    assert main.main(["compare", str(copied)]) == 0
    lines = capsys.readouterr().out.splitlines()
    finals = [float(rows_of(p)[-1]["c_gen"]) for p in sorted(copied.glob("fedavg/*/metrics.csv"))]
    (own,) = [line for line in lines if line.startswith("FedAvg (trained), 2 seeds: ")]
    mean, deviation = statistics.fmean(finals), statistics.stdev(finals)
    assert f"C-GEN {mean:.4f} ± {deviation:.4f}" in own
    assert any(line.startswith("FedAvg, α = 0.6 (mixed), 2 seeds") for line in lines)
    assert sum(line.startswith("clients' models scored ") for line in lines) == 2
    pytest.importorskip("matplotlib")
    assert main.main(["plot", str(copied), "--only", "comparison"]) == 0
    assert (copied / "plots" / "comparison.png").stat().st_size
    assert main.main(["report", str(copied), "--no-figures"]) == 0
    page = (copied / "report.html").read_text()
    assert "FedAvg (trained)" in page
    assert "scored when" in page


def test_from_python_the_same_runs_are_arrays_and_rows(compared, capsys):
    options = {"model": "linear", "clients": 6, "rounds": 2, "epochs": 1}
    wanted = ["fedavg", ("fedavg", {"mix": 0.6})]
    before = stamps(compared)
    found = demjax.compare(wanted, seeds=(0, 1), out=compared, **options)
    assert stamps(compared) == before
    assert found.systems == ("FedAvg", "FedAvg, mix 0.6")
    assert found.round.tolist() == [0, 1, 2]
    assert {values.shape for values in found.measures.values()} == {(2, 2, 3)}
    for system, name in enumerate(("fedavg", "fedavg-mix-0.6")):
        for seed in (0, 1):
            rows = rows_of(compared / name / f"seed-{seed}" / "metrics.csv")
            for column in ("c_spe", "c_gen", "global", "c_spe_by_client"):
                mine = found.measures[column][system, seed]
                assert mine.tolist() == [float(row[column]) for row in rows]
            assert np.isnan(found.measures["loss"][system, seed, 0])
    table = rows_of(compared / "comparison.csv")
    assert [row["system"] for row in found.table] == [row["system"] for row in table]
    assert [row["c_gen"] for row in found.table] == pytest.approx(
        [float(row["c_gen"]) for row in table], abs=1e-6
    )
    with pytest.raises(ValueError, match="perhaps 'ditto' was meant"):
        demjax.compare("dito", out=compared)
    capsys.readouterr()
    kept_nowhere = demjax.compare("fedavg", progress=False, **options)
    assert capsys.readouterr() == ("", "")
    np.testing.assert_allclose(kept_nowhere.measures["c_gen"][0, 0], found.measures["c_gen"][0, 0])
    assert not kept_nowhere.runs[0][0].exists()


def test_the_picture_has_a_panel_for_each_measure_and_says_what_bands_are(compared):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    options = {"model": "linear", "clients": 6, "rounds": 2, "epochs": 1}
    found = demjax.compare("fedavg,fedavg:mix=0.6", seeds=(0, 1), out=compared, **options)
    figure = Figure()
    panels = demjax.plots.systems(found, figure=figure)
    assert [ax.get_title() for ax in panels] == [
        "C-SPE",
        "C-GEN",
        "Global",
        "C-SPE, worst tenth",
        "C-SPE, Jain's index",
    ]
    for name, ax in zip(("c_spe", "c_gen", "global", "worst_tenth", "jain"), panels, strict=True):
        for system, line in enumerate(ax.get_lines()):
            mean = found.measures[name][system].mean(axis=0)
            np.testing.assert_allclose(line.get_ydata(), mean)
        assert len(ax.collections) == 2
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "line: mean of 2 seeds; band: least to most"
    assert [text.get_text() for text in legend.get_texts()] == [
        "FedAvg (trained)",
        "FedAvg, mix 0.6 (mixed)",
    ]
