"""The command line where disks are full, outputs plain, JAX does not start, folders unfinished."""

import io
import json
import logging
import os
import shutil
import subprocess
import sys

import jax
import pytest
import run_folders

from demjax.cli import main
from demjax.cli import run as run_command
from demjax.experiment import build
from demjax.runs import folder as run_folder

PLAIN = ["--model", "linear", "--clients", 4, "--rounds", 1, "--epochs", 1, "--algorithm", "fedavg"]


def demjax(*words):
    return main.main([str(word) for word in words])


def run(*words):
    return demjax("run", *PLAIN, "--devices", 1, *words)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "run"
    assert run("--out", out) == 0
    return out


@pytest.fixture
def full(tmp_path):
    """A disk of two pages."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_1_and_nothing_half_made_stays(full, finished, capsys):
    for _ in range(2):
        assert run("--out", full / "new" / "run") == 1
        assert "new/run cannot be written or read: No space left" in capsys.readouterr().err
        assert list(full.iterdir()) == []
    assert demjax("report", finished, "--no-figures", "--out", full / "page.html") == 1
    assert "page.html cannot be written or read: No space left" in capsys.readouterr().err
    assert demjax("partition", "--clients", 4, "--out", full / "p.npz") in (0, 1)
    assert {path.name for path in full.iterdir()} <= {"p.npz"}
    pytest.importorskip("matplotlib")
    assert demjax("plot", finished, "--only", "clients", "--out", full / "plots") == 1
    assert "clients.png cannot be written or read: No space left" in capsys.readouterr().err
    assert list((full / "plots").iterdir()) == []


def test_a_disk_that_is_full_before_anything_was_measured_leaves_nothing(tmp_path, monkeypatch):
    real = run_folder.append

    def full(path, rows):
        if path.name == run_folder.METRICS:
            raise OSError(28, "No space left on device")
        real(path, rows)

    monkeypatch.setattr(run_folder, "append", full)
    assert run("--out", tmp_path / "run") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["link", "link/below", "file", "file/below", "a" * 300])
def test_a_folder_that_cannot_be_made_is_told_before_data_are_read(
    out, tmp_path, capsys, monkeypatch
):
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(build, "build", lambda resolved: pytest.fail("data were read"))
    assert run("--out", tmp_path / out) == 2
    assert capsys.readouterr().err.count("\n") == 1


def written(*words, encoding):
    """What a command writes to an output of an encoding."""
    raw = io.BytesIO()
    stream = main._able(io.TextIOWrapper(raw, encoding, write_through=True))
    before, sys.stdout = sys.stdout, stream
    try:
        code = demjax(*words)
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.stdout = before
    return code, raw.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "latin-1"])
def test_help_and_tables_are_shown_by_every_output(encoding, finished):
    for words in (
        ["run", "--help"],
        ["run", "--algorithm", "demlearn", "--cut", "heights", "--help"],
        ["partition", "--help"],
        ["plot", "--help"],
        ["datasets"],
        ["algorithms"],
        ["compare", finished],
    ):
        code, text = written(*words, encoding=encoding)
        assert not code
        assert text
        assert "?" not in text.replace("?", "", text.count("?") if words == ["datasets"] else 0)
    help_of_run = written("run", "--help", encoding="ascii")[1]
    assert "alpha" in help_of_run
    assert "K >= 0" in " ".join(help_of_run.split())


def test_an_output_that_was_closed_is_no_error(finished):
    stream = main._able(None)
    print("α", file=stream)
    stream.close()


def test_a_plug_in_that_is_broken_is_told_without_a_trace():
    logger = logging.getLogger("test of a plug-in")
    logger.addFilter(main._in_one_line)
    shown = io.StringIO()
    logger.addHandler(logging.StreamHandler(shown))
    logger.propagate = False
    try:
        raise OSError("driver is missing")
    except OSError:
        logger.exception("Exception when calling %s", "broken")
    assert (
        shown.getvalue() == "Exception when calling broken failed (OSError: driver is missing).\n"
    )


def test_names_that_are_no_text_are_told(capsys):
    assert demjax("compare", "caf\udce9") == 2
    assert "'caf\\udce9' is no text" in capsys.readouterr().err


def test_a_command_from_outside_without_home_in_plain_letters_with_warnings_as_errors(tmp_path):
    """All of it at once, as a scheduler may start it."""
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONWARNINGS": "error", "LC_ALL": "C"}
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = kept | plain | {"JAX_DEBUG_NANS": "1"}
    words = [*PLAIN, "--cohort", 2, "--devices", 1, "--out", tmp_path / "run"]
    done = subprocess.run(
        [sys.executable, "-m", "demjax", "run", *map(str, words)],
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode("ascii")
    assert done.stdout.decode("ascii").splitlines()[1].split()[:2] == [str(tmp_path / "run"), "1"]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "done"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AssertionError(), "JAX_PLATFORMS=cuda, for there is no such device"),
        (RuntimeError("no backend 'cuda'. (set it)"), "JAX_PLATFORMS=cuda, for no backend 'cuda';"),
    ],
)
def test_jax_that_does_not_start_is_a_sentence(error, words, tmp_path, capsys, monkeypatch):
    def broken(devices):
        raise error

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr(run_command, "spread_over", broken)
    before = jax.config.jax_platforms
    try:
        assert run("--out", tmp_path / "run") == 2
    finally:
        jax.config.update("jax_platforms", before)
    said = capsys.readouterr().err
    assert words in said
    assert said.endswith("possible is JAX_PLATFORMS=cpu.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_rerun_under_other_settings_says_so(finished, tmp_path, capsys):
    again = ["--devices", 1, "--config", finished / "config.toml", "--out"]
    assert demjax("run", *again, tmp_path / "same") == 0
    assert "differ" not in capsys.readouterr().err
    with jax.enable_x64(True):
        assert demjax("run", *again, tmp_path / "other") == 0
    said = capsys.readouterr().err.splitlines()
    assert "jax_enable_x64 is True and was False." in said[0]
    told = json.loads((tmp_path / "other" / "summary.json").read_text())["settings"]
    assert told["jax_enable_x64"] is True


OWN = """
from demjax import fedavg
from demjax.base import Algorithm


def mine(local):
    inner = fedavg(local)

    def one_round(key, state, clients):
        if clients.x.sum() > 0:
            return inner.round(key, state, clients)

    return Algorithm(inner.init, one_round, inner.models)


def wrong(local):
    inner = fedavg(local)

    def one_round(key, state, clients):
        raise ValueError("first\\nsecond")

    return Algorithm(inner.init, one_round, inner.models)
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine", "failed in F, line 10 (TracerBoolConversionError: Attempted boolean conversion"),
        ("wrong", "demjax: first in F, line 20.\n"),
    ],
)
def test_an_algorithm_of_ones_own_that_fails_while_traced_names_its_line(
    name, words, tmp_path, capsys
):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    small = [*PLAIN[:-2], "--algorithm", f"{path}:{name}", "--devices", 1]
    assert demjax("run", *small, "--out", tmp_path / "run") == 2
    told = capsys.readouterr().err.split("compiling\n")[1]
    assert words.replace("F", str(path)) in told
    assert told.count("\n") == 1
    assert not (tmp_path / "run").exists()


def shown(words, capsys):
    code = demjax(*words)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ([run_folder.SUMMARY], "no summary.json (the run goes on, or was killed)"),
        ([run_folder.CONFIG], "no config.toml (its options are not known)"),
        ([run_folder.METRICS], "no metrics.csv (only the last row is known)"),
        ([run_folder.CLIENTS, run_folder.LABELS], ""),
        ([run_folder.SUMMARY, run_folder.CONFIG], "killed), no config.toml"),
    ],
)
def test_all_tools_show_what_is_there_and_say_what_is_not(lacking, words, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = run_folders.small(tmp_path / "run")
    if run_folder.METRICS in lacking:  # clients of one measurement go with the last row
        (out / run_folder.CLIENTS).unlink()
    for name in lacking:
        (out / name).unlink()
    for command in (
        ["compare", out],
        ["plot", out, "--only", "measures"],
        ["report", out, "--no-figures"],
    ):
        code, text = shown(command, capsys)
        assert code == 0
        assert (words in text) if words else ("holds no" not in text)
    assert "0.9124" in shown(["compare", out], capsys)[1]


def test_a_run_of_which_nothing_was_measured_is_named(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out, other = (run_folders.small(tmp_path / name, finished=False) for name in "ab")
    for name in (run_folder.METRICS, run_folder.CLIENTS):
        (out / name).unlink()
    words = "no metrics.csv (nothing was measured)"
    code, text = shown(["compare", out, other], capsys)
    assert (code, words in text) == (0, True)
    assert text.splitlines()[1].split() == [str(out), *"––––", "unfinished"]
    code, text = shown(["report", out, other, "--out", tmp_path / "page.html"], capsys)
    assert (code, words in text) == (0, True)
    both = ["plot", out, other, "--out", tmp_path / "plots"]
    code, text = shown(both, capsys)
    assert (code, words in text) == (0, True)
    code, text = shown(["plot", out], capsys)
    assert (code, "Nothing can be drawn" in text, words in text) == (2, True, True)


def test_what_is_no_run_is_refused_alike(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    for command in ("compare", "plot", "report"):
        code, text = shown([command, tmp_path], capsys)
        assert (code, "is no run folder" in text) == (2, True)
        code, text = shown([command, tmp_path / "none"], capsys)
        assert (code, "There is no run" in text) == (2, True)


def test_options_and_columns_of_another_version_are_no_obstacle(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = run_folders.small(tmp_path / "run", new_option=3)
    rows = (out / run_folder.METRICS).read_text().splitlines()
    new = [f"{row},{'new_column' if not place else 0.5}" for place, row in enumerate(rows)]
    (out / run_folder.METRICS).write_text("\n".join([*new, ""]))
    for command in (["compare", out], ["plot", out], ["report", out]):
        code, _ = shown(command, capsys)
        assert code == 0
