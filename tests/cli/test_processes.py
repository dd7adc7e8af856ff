"""Runs of several processes: one writes, all end together, and wrong flags get a sentence."""

import json
import os
import re
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from demjax.backend import processes
from demjax.cli.main import main
from demjax.data import digits
from demjax.runs.exits import DONE, FAILED, TERMINATED, WRONG

HOW = ["--clients", "8", "--model", "linear", "--algorithm", "fedavg"]
RUN = ["run", "--dataset", "digits", *HOW]


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def begun(out, rounds, log, *more, run=RUN):
    """Two processes of one run, the coordinator's first."""
    where = f"localhost:{free_port()}"
    given = [*run, "--out", str(out), "--rounds", str(rounds), "--devices", "1", *more]
    given += ["--coordinator", where, "--processes", "2", "--process-id"]
    found = []
    for number in range(2):
        with (log / f"out{number}").open("w") as said, (log / f"err{number}").open("w") as told:
            words = [sys.executable, "-m", "demjax", *given, str(number)]
            found.append(subprocess.Popen(words, env=os.environ, stdout=said, stderr=told))
    return found


def rows(out):
    found = out / "metrics.csv"
    return found.read_text().splitlines()[1:] if found.exists() else []


def test_two_processes_write_one_folder_and_one_goes_on_from_what_both_saved(tmp_path):
    out, made = tmp_path / "finished", digits()
    np.savez(tmp_path / "made.npz", x=made.x, y=made.y)  # of which each reads its clients' alone
    run = ["run", "--dataset", "npz", "--data-dir", str(tmp_path / "made.npz"), *HOW]
    more = ["--divide-examples", "yes", "--checkpoint-every", "2"]
    processes = begun(out, 2, tmp_path, *more, run=run)
    assert [process.wait(timeout=300) for process in processes] == [DONE, DONE]
    assert len(rows(out)) == 3
    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "done"
    assert summary["device"]["count"] == 2
    assert "C-SPE" in (tmp_path / "out0").read_text()
    assert "C-SPE" not in (tmp_path / "out1").read_text()
    parts = list((out / "checkpoints" / "round-2").glob("state-*/1.*"))
    assert parts  # of the clients of the second process
    one = ["--rounds", "4", "--devices", "1"]
    assert main(["run", "--resume", str(out), *one]) == DONE
    assert main([*run, *one, "--out", str(tmp_path / "alone")]) == DONE
    for mine, alone in zip(rows(out), rows(tmp_path / "alone"), strict=True):
        numbers = [[float(n) if n else -1 for n in row.split(",")[:4]] for row in (mine, alone)]
        assert numbers[0] == pytest.approx(numbers[1], abs=2e-3)


def begun_for_long(out, log):
    """Two processes of a run that does not end by itself and has measured something."""
    found = begun(out, 10**6, log)
    until = time.monotonic() + 200
    while len(rows(out)) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    return found


def test_where_one_process_is_killed_all_end_with_a_sentence(tmp_path):
    out = tmp_path / "cut"
    processes = begun_for_long(out, tmp_path)
    processes[1].kill()
    assert processes[0].wait(timeout=60) == FAILED
    assert processes[1].wait(timeout=60) != DONE
    said = (tmp_path / "err0").read_text()
    assert "Process 1 of 2 ended before the run was done, so that all end" in said
    assert "Traceback" not in said
    assert json.loads((out / "summary.json").read_text())["status"] == "failed"
    assert len(rows(out)) >= 2


def test_sigterm_to_one_process_ends_all_after_one_round_that_is_saved(tmp_path):
    out = tmp_path / "asked"
    processes = begun_for_long(out, tmp_path)
    processes[1].terminate()
    assert [process.wait(timeout=60) for process in processes] == [TERMINATED, TERMINATED]
    said = [(tmp_path / f"err{number}").read_text() for number in range(2)]
    assert not any("Traceback" in told or "Process" in told for told in said)
    assert json.loads((out / "summary.json").read_text())["status"] == "interrupted"
    done = int(re.search(r"--resume .* goes on from round (\d+)", said[0]).group(1))
    assert main(["run", "--resume", str(out), "--rounds", str(done + 2), "--devices", "1"]) == DONE
    assert [int(row.split(",")[0]) for row in rows(out)] == list(range(done + 3))


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--coordinator", "localhost"], "possible is the host and a free port of process 0"),
        (["--coordinator", "localhost:0"], "possible is the host and a free port of process 0"),
        (["--coordinator", "h:99", "--processes", "2"], "--coordinator needs --process-id I"),
        (["--coordinator", "h:99", "--process-id", "1"], "--coordinator needs --processes N"),
        (["--processes", "2"], "--processes needs --coordinator HOST:PORT beside it"),
        (["--process-id", "0"], "--process-id needs --coordinator HOST:PORT beside it"),
        (
            ["--coordinator", "h:99", "--processes", "2", "--process-id", "2"],
            "possible are 2 or more processes, numbered from 0",
        ),
    ],
)
def test_flags_that_do_not_go_together_get_a_sentence(flags, sentence, tmp_path, capsys):
    out = tmp_path / "never"
    assert main([*RUN, "--out", str(out), "--rounds", "1", *flags]) == WRONG
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(("number", "missing"), [(0, "not all processes came"), (1, "process 0")])
def test_processes_that_nobody_joins_end_with_a_sentence(number, missing, tmp_path):
    code = (
        "from demjax.backend import processes; processes.PATIENCE = 2\n"
        f"with processes.together('localhost:{free_port()}', 2, {number}): pass"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False
    )
    assert found.returncode == WRONG
    assert f"after 2 seconds {missing}" in found.stderr
    assert "Traceback" not in found.stderr


def test_without_a_job_nothing_is_joined(tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", "demjax", *RUN, "--out", tmp_path / "x", "--distributed"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert found.returncode == WRONG
    assert "possible are --coordinator HOST:PORT" in found.stderr
    assert not (tmp_path / "x").exists()


def test_who_died_is_said_once_and_only_if_somebody_did():
    seen = processes.Together(0, 3)
    assert seen.sentence() == ""
    assert seen.writes
    seen.died = 2
    assert seen.sentence().startswith("Process 2 of 3 ended")
