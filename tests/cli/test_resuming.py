"""``demjax run --resume``: what a kill, a signal or a full disk leaves goes on to the same bits."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from demjax.cli import main
from demjax.simulation import saving

PLAIN = ["--model", "linear", "--clients", "8", "--epochs", "1", "--algorithm", "fedavg"]
PLAIN += ["--devices", "1", "--cohort", "5", "--eval-every", "2"]
TERMINATED = 143


def run(*arguments):
    return main.main(["run", *map(str, arguments)])


def rows_of(out):
    path = out / "metrics.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def left(out):
    """All that a run leaves, but times: its tables, its options and its last state."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(out)]
    tables = [(out / name).read_bytes() for name in ("clients.csv", "labels.csv", "config.toml")]
    last = max((out / "checkpoints").glob("round-*.json"), key=lambda p: int(p.stem[6:]))
    files = json.loads(last.read_text())["files"]
    state = {name: of for name, of in files.items() if name.startswith(("state", "info"))}
    assert len(state) >= 2
    assert not (out / "run.lock").exists()
    return rows, tables, state


def test_a_run_that_is_killed_and_then_terminated_goes_on_bit_for_bit(tmp_path, capsys):
    out, log = tmp_path / "run", tmp_path / "log"

    def at_work(rows, *words):
        before = len(rows_of(out))
        with log.open("a") as told:
            command = [sys.executable, "-m", "demjax", "run", *words]
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=told, start_new_session=True
            )
        until = time.monotonic() + 200
        while len(rows_of(out)) < before + rows:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until
            time.sleep(0.02)
        return process

    begun = at_work(8, *PLAIN, "--rounds", "1000000", "--out", str(out), "--checkpoint-every", "3")
    assert run("--resume", out) == 2
    assert "Another process is writing into" in capsys.readouterr().err
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait()
    with (out / "metrics.csv").open("a") as torn:
        torn.write("999998,0.5,")
    terminated = at_work(4, "--resume", str(out))
    terminated.send_signal(signal.SIGTERM)
    assert terminated.wait(60) == TERMINATED, log.read_text()
    assert "goes on from round" in log.read_text().splitlines()[-1]
    assert "Traceback" not in log.read_text()
    assert json.loads((out / "summary.json").read_text())["status"] == "interrupted"
    rounds = int(rows_of(out)[-1]["round"]) + 3
    assert run("--resume", out, "--rounds", rounds) == 0
    whole = tmp_path / "whole"
    assert run(*PLAIN, "--rounds", rounds, "--out", whole, "--checkpoint-every", 3) == 0
    assert left(out) == left(whole)


def test_two_processes_that_are_given_the_same_leave_the_same_bits(tmp_path):
    """Of one system a family, and whatever order Python's sets have."""
    words = ["compare", "--algorithms", "demlearn,scaffold,apfl,ifca,hierfavg", "--rounds", "4"]
    words += [*PLAIN[:-8], "--dropout-rate", "0.2", "--checkpoint-every", "4"]
    outs = tmp_path / "one", tmp_path / "other"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "demjax", *words, "--out", out],
            env={**os.environ, "PYTHONHASHSEED": str(number)},
            stdout=subprocess.DEVNULL,
        )
        for number, out in enumerate(outs)
    ]
    assert [process.wait(300) for process in processes] == [0, 0]
    one, other = (sorted(path.parent for path in out.rglob("metrics.csv")) for out in outs)
    assert len(one) == 5
    for mine, its in zip(one, other, strict=True):
        assert mine.relative_to(outs[0]) == its.relative_to(outs[1])
        assert left(mine) == left(its), mine


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of 5 rounds with checkpoints after 3 and 5, and one of 7 rounds."""
    folder = tmp_path_factory.mktemp("begun")
    saved = [*PLAIN, "--checkpoint-every", 3]
    assert run(*saved, "--rounds", 5, "--out", folder / "short") == 0
    assert run(*saved, "--rounds", 7, "--out", folder / "long") == 0
    return folder / "short", folder / "long"


def test_a_broken_newest_checkpoint_is_told_and_the_one_before_is_used(begun, tmp_path, capsys):
    short, long = begun
    subprocess.run(["cp", "-a", short, tmp_path], check=True)
    out = tmp_path / "short"
    data = next((out / "checkpoints" / "round-5").rglob("0.0"))
    data.write_bytes(data.read_bytes()[:-1])
    assert run("--resume", out, "--rounds", 7) == 0
    assert "The checkpoint after round 5" in capsys.readouterr().err
    assert left(out) == left(long)
    numbers = [row["round"] for row in rows_of(out)]
    assert numbers == ["0", "2", "4", "6", "7"]  # not 5, with which the shorter run ended
    assert run("--resume", out) == 0
    assert "is done after 7 rounds; more are possible by --rounds N" in capsys.readouterr().err


def test_on_other_devices_a_run_goes_on_to_rounding(begun, tmp_path, capsys):
    short, long = begun
    subprocess.run(["cp", "-a", short, tmp_path], check=True)
    out = tmp_path / "short"
    assert run("--resume", out, "--rounds", 7, "--devices", 2) == 0
    assert "Settings differ from before: devices is 2 and was 1" in capsys.readouterr().err
    for mine, theirs in zip(rows_of(out), rows_of(long), strict=True):
        for name, value in theirs.items():
            if value and name != "seconds":
                assert float(mine[name]) == pytest.approx(float(value), abs=2e-3)


def linked(out):
    (out / "metrics.csv").rename(out / "m")
    (out / "metrics.csv").symlink_to("m")


WRONG = {
    "no run": (lambda out: (out / "config.toml").unlink(), [], "There is no run to resume in"),
    "other options": (None, ["--lr", 3], "but lr is 0.05 there and 3.0 here"),
    "a new folder": (None, ["--out", "x"], "so it takes no --out"),
    "a file": (None, ["--config", "x"], "so it takes no --config"),
    "too seldom": (None, ["--checkpoint-every", 0], "--checkpoint-every can be 1 or more"),
    "none kept": (None, ["--keep", 0], "--keep can be 1 or more, but 0 was given"),
    "a link": (linked, ["--rounds", 9], "metrics.csv is a link, through which the run would"),
    "no checkpoint": (
        lambda out: [path.unlink() for path in (out / "checkpoints").glob("*.json")],
        ["--rounds", 9],
        "has ended and kept no checkpoint to go on from",
    ),
    "a row is gone": (
        lambda out: (out / "metrics.csv").write_text("round,c_spe\n0,0.5\n"),
        ["--rounds", 9],
        "metrics.csv lacks the row of round 2",
    ),
    "another demjax": (
        lambda out: [
            path.write_text(path.read_text().replace('"demjax": "', '"demjax": "9'))
            for path in (out / "checkpoints").glob("*.json")
        ],
        ["--rounds", 9],
        "was saved by demjax 9",
    ),
    "another seed": (
        lambda out: (out / "config.toml").write_text(
            (out / "config.toml").read_text().replace("seed = 0", "seed = 1")
        ),
        ["--rounds", 9],
        "is of a run with another key",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_go_on_is_a_sentence_and_nothing_is_changed(name, begun, tmp_path, capsys):
    harm, words, sentence = WRONG[name]
    subprocess.run(["cp", "-a", begun[0], tmp_path], check=True)
    out = tmp_path / "short"
    if harm:
        harm(out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert run("--resume", out, *words) == 2
    said = capsys.readouterr().err.splitlines()
    assert sentence in said[-1]
    assert sum(line.startswith("demjax: ") for line in said) == 1
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("gone", ["checkpoints", "all"])
def test_a_run_that_cannot_be_saved_says_so_once_and_ends_with_1(
    gone, begun, tmp_path, capsys, monkeypatch
):
    real, out = saving.write, tmp_path / "run"

    def full(folder, number, *trees, **options):
        if gone == "all":
            subprocess.run(["mv", out, tmp_path / "elsewhere"], check=False)
        if number > 3 or gone == "all":
            raise OSError(28, "No space left on device")
        real(folder, number, *trees, **options)

    monkeypatch.setattr(saving, "write", full)
    words = [*PLAIN, "--rounds", 7, "--out", out, "--checkpoint-every", 3]
    assert run(*words) == 1
    said = capsys.readouterr()
    assert said.err.count("cannot be written") == (1 if gone == "checkpoints" else 2)
    assert "The run goes on" in said.err
    last = dict(zip(*map(str.split, said.out.splitlines()[:2]), strict=False))
    assert last["rounds"] == "7"
    if gone == "checkpoints":
        assert rows_of(out)[-1]["round"] == "7"
        assert [path.name for path in (out / "checkpoints").glob("round-*.json")] == [
            "round-3.json"
        ]
    else:
        assert not out.exists()
        monkeypatch.undo()
        assert run("--resume", tmp_path / "elsewhere", "--devices", 1) == 0
        mine, whole = (
            [{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(folder)]
            for folder in (tmp_path / "elsewhere", begun[1])
        )
        assert mine == whole
