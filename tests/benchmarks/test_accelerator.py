"""The benchmark of the day an accelerator is at hand, on the CPU that is here, at small sizes."""

import json
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_its_rows_are_measured_and_told_in_a_table(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import accelerator

    out = tmp_path / "accelerator.json"
    monkeypatch.setattr(accelerator, "ROWS", (("linear", 50),))
    words = ["accelerator.py", "--rounds", "2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr("machine.take_devices", lambda asked: 2)  # they are made for all tests
    assert accelerator.main() == 0
    one, two = json.loads(out.read_text())["points"]
    assert [one["devices"], two["devices"]] == [1, 2]
    for row in (one, two):
        assert row["clients"] == 48
        assert 0 < row["roofline"] < 10 * row["seconds"]
        assert len(row["all"]) == 3
    assert two["roofline"] == one["roofline"]  # of the same cores
    table = out.with_suffix(".md").read_text().splitlines()
    assert table[0].startswith("# DemLearn on a CPU, which is no accelerator")
    assert table[5].startswith("| linear | 48 | 2 |")
    assert table[-1].startswith("Machine: device cpu, ")


def test_a_row_that_does_not_fit_says_so(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import accelerator

    from demjax.backend import memory

    monkeypatch.setattr(memory, "free", lambda: 1000)
    row = accelerator.measured("linear", 16, 1, 1, 1e9)
    assert row["why"].startswith("needs 0.")
    assert "seconds" not in row
