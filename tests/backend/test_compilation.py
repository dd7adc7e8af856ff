"""Programs are found again, in bounded room, and nothing about the cache is ever fatal or noisy."""

import json
import os
import resource
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import pytest

from demjax.backend import compilation
from demjax.backend.compilation import compile_once
from demjax.cli import main

X = jnp.arange(5.0)
SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_enable_compilation_cache",
    "jax_persistent_cache_min_compile_time_secs",
)


def lowered(shift):
    """A program that this process has not compiled yet, as its function is a new one."""
    return jax.jit(lambda x: jnp.sin(x) + shift).lower(X)


def outcome(folder, *shifts):
    """What ``compile_once`` says, with programs that are held to compute what they should."""
    programs = [lowered(shift) for shift in shifts]

    def compile_in_threads():
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda program: program.compile(), programs))

    compiled, said = compile_once(compile_in_threads, folder)
    for program, shift in zip(compiled, shifts, strict=True):
        assert program(X).tolist() == pytest.approx((jnp.sin(X) + shift).tolist())
        assert program.memory_analysis().argument_size_in_bytes == X.nbytes
    return said


def entries(folder):
    return sorted(folder.glob("*-cache"))


def test_a_program_is_found_again_and_another_is_not(tmp_path):
    folder = tmp_path / "new" / "programs"
    said = [outcome(folder, *shifts) for shifts in ([1], [1], [1, 2])]
    assert said == ["miss", "hit", "miss"]
    assert outcome(folder, 1, 2) == "hit"
    assert len(entries(folder)) == 2
    assert folder.stat().st_mode & 0o077 == 0, "who writes to it runs code"
    assert outcome(tmp_path / "other", 1) == "miss"


def test_without_a_folder_nothing_is_kept_and_settings_are_left_as_they_were(tmp_path):
    before = [getattr(jax.config, name) for name in SETTINGS]
    assert outcome(tmp_path, 1) == "miss"
    assert outcome(None, 1) == outcome(tmp_path) == "off"
    with pytest.raises(ZeroDivisionError):
        compile_once(lambda: 1 // 0, tmp_path)
    assert [getattr(jax.config, name) for name in SETTINGS] == before
    lowered(3).compile()
    assert len(entries(tmp_path)) == 1


@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "garbage", "cut short"])
def test_a_damaged_entry_is_compiled_anew_in_silence_and_kept_again(tmp_path, damage):
    outcome(tmp_path, 1)
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    (tmp_path / "what is this-cache").write_bytes(b"garbage")
    assert [outcome(tmp_path, 1) for _ in range(3)] == ["miss", "miss", "hit"]


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert outcome(tmp_path / "file", 1) == "off"
    assert outcome(tmp_path / "file" / "programs", 1) == "off"


def test_a_full_disk_is_done_without(tmp_path):
    most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        said = [outcome(tmp_path, 1) for _ in range(2)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    assert said == ["miss", "miss"]
    assert [outcome(tmp_path, 1) for _ in range(3)][-1] == "hit"


def test_room_is_made_by_what_was_not_used_for_longest(tmp_path, monkeypatch):
    for shift in (1, 2, 3):
        outcome(tmp_path, shift)
        for number, entry in enumerate(sorted(entries(tmp_path), key=lambda e: e.stat().st_mtime)):
            os.utime(entry, (number, number))
    size = max(entry.stat().st_size for entry in entries(tmp_path))
    newest = max(entries(tmp_path), key=lambda entry: entry.stat().st_mtime)
    os.utime(min(entries(tmp_path), key=lambda entry: entry.stat().st_mtime), (9, 0))  # read since
    monkeypatch.setattr(compilation, "MOST_BYTES", 2 * size)
    assert outcome(tmp_path, 3) == outcome(tmp_path, 1) == "hit"
    assert newest in entries(tmp_path)
    assert outcome(tmp_path, 2) == "miss"


def test_other_warnings_are_passed_on(tmp_path):
    def compile_and_warn():
        warnings.warn("something else", UserWarning, stacklevel=1)
        return lowered(1).compile()

    with pytest.raises(UserWarning, match="something else"):  # as it is an error here
        compile_once(compile_and_warn, tmp_path)
    with pytest.warns(UserWarning, match="something else"):
        compile_once(compile_and_warn, tmp_path)


TINY = "run --algorithm fedavg --model linear --clients 4 --rounds 1 --epochs 1 --devices 1 --out"


def test_a_second_run_finds_the_programs_of_the_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEMJAX_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "programs"

    def said(name):
        return json.loads((tmp_path / name / "summary.json").read_text())["compile_cache"]

    def run(name):
        command = [sys.executable, "-m", "demjax", *TINY.split(), str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "arning" not in done.stderr
        assert "cache" not in done.stderr
        return said(name)

    def run_here(name, *more):
        assert main.main([*TINY.split(), str(tmp_path / name), *more]) == 0
        printed = capsys.readouterr().err
        assert "arning" not in printed
        assert "cache" not in printed
        return said(name)

    monkeypatch.setattr("demjax.cli.run.default_folder", lambda: folder.parent)
    assert run_here("none", "--no-compile-cache") == "off"
    assert not folder.exists()
    assert [run("first"), run("second")] == ["miss", "hit"]
    for entry in entries(folder):
        entry.write_bytes(b"garbage")
    folder.chmod(0o500)
    try:
        assert run_here("third") == "miss"
    finally:
        folder.chmod(0o700)
    numbers = [(tmp_path / name / "clients.csv").read_text() for name in ("first", "second")]
    assert numbers[0] == numbers[1]
