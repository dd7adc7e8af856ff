"""Settings that decide a run's bits are written down, and a rerun under others says so."""

import json

import jax
import pytest

from demjax.backend.cores import PATIENCE
from demjax.runs.environment import environment, settings, told_apart
from demjax.runs.folder import METRICS, write_summary

FINAL = {"round": 1, "c_spe": 0.5, "c_gen": 0.5, "global": 0.5}


def test_what_decides_the_bits_is_written_down(monkeypatch):
    own = " ".join(f"--{name}=1" for name in PATIENCE)
    monkeypatch.setenv("XLA_FLAGS", f"--xla_cpu_enable_fast_math=true {own}")
    told = json.loads(json.dumps(environment()))["settings"]
    assert told["xla_flags"] == "--xla_cpu_enable_fast_math=true"
    assert (told["platform"], told["devices"]) == ("cpu", 1)
    assert told["jax_enable_x64"] is False
    assert told["jax_threefry_partitionable"] == jax.config.jax_threefry_partitionable
    assert told["jax_default_matmul_precision"] is None
    with jax.enable_x64(True), jax.default_matmul_precision("float32"):
        inside = settings()
    other = {name for name in told if inside[name] != told[name]}
    assert other == {"jax_enable_x64", "jax_default_matmul_precision"}


def test_a_rerun_under_other_settings_says_so_in_one_line(tmp_path):
    config = tmp_path / "config.toml"
    assert told_apart(config) == ""  # of no run
    write_summary(tmp_path, {"final": FINAL, "settings": settings()})
    assert told_apart(config) == ""
    with jax.enable_x64(True):
        said = told_apart(config)
    assert said == (
        f"Settings differ from those of {tmp_path}: jax_enable_x64 is True and was False."
    )


@pytest.mark.parametrize("unfinished", [True, False])
def test_a_run_that_did_not_write_them_down_is_told(unfinished, tmp_path):
    if unfinished:
        (tmp_path / METRICS).write_text("")
    else:
        write_summary(tmp_path, {"final": FINAL})
    assert "does not say under which settings" in told_apart(tmp_path / "config.toml")
