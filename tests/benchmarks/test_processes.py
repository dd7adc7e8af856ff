"""Benchmarks' commands side by side: each on its own core, and kept as soon as it is done."""

import sys
from pathlib import Path

import pytest

SAYS = """
import os, pathlib, sys
cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
flags = os.environ["XLA_FLAGS"], os.environ["GLIBC_TUNABLES"]
pathlib.Path(sys.argv[1]).write_text(" ".join([str(cores), *flags]))
sys.exit(int(sys.argv[2]))
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_command_is_run_and_kept_when_it_succeeded(jobs, tmp_path, monkeypatch):
    if jobs > 1 and sys.platform != "linux":
        pytest.skip("only Linux has taskset")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    import processes

    kept = []
    commands = [[sys.executable, "-c", SAYS, f"out{place}", str(place % 2)] for place in range(4)]
    failed = processes.run_each(commands, jobs=jobs, folder=tmp_path, after=kept.append)
    assert failed == 2
    assert sorted(kept) == [0, 2]
    for place in range(4):
        cores, *flags = (tmp_path / f"out{place}").read_text().split()
        assert flags[0] == "--xla_dump_to="
        assert flags[-1] == "glibc.malloc.hugetlb=1"
        assert ("--xla_cpu_multi_thread_eigen=false" in flags) == (jobs > 1)
        if jobs > 1:
            assert int(cores) == 1
    assert processes.run_each([], jobs=jobs) == 0
