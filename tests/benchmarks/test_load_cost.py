"""The benchmark of reading: what it makes up is LEAF, and it measures in fresh processes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from demjax.data import leaf

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_the_made_up_folder_is_a_leaf_folder(tmp_path):
    import load_cost

    load_cost.write_leaf(tmp_path, 430)
    read = leaf(data_dir=tmp_path)
    assert read.x.shape == (430, 28, 28, 1)
    assert read.x.dtype == np.uint8
    assert (read.train_count, read.classes) == (180 + 180 + 27, 62)
    assert np.bincount(read.owner).tolist() == [200, 200, 30]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the largest resident set")
def test_a_point_is_measured_apart_and_told_in_the_table(tmp_path, monkeypatch):
    import load_cost

    out = tmp_path / "load_cost.json"
    words = ["--only", "LEAF", "--examples", "30", "--temporary", str(tmp_path)]
    points = [point for point in load_cost.POINTS if point.cache in ("filled", "found")]
    monkeypatch.setattr(load_cost, "POINTS", tuple(points))
    monkeypatch.setattr(sys, "argv", ["load_cost.py", *words, "--out", str(out)])
    assert load_cost.main() == 0
    measured = json.loads(out.read_text())["points"]
    assert [point["at"]["cache"] for point in measured] == ["filled", "found"]
    assert measured[0]["checksum"] == measured[1]["checksum"]
    for point in measured:
        assert point["examples"] == 30
        assert point["load_seconds"] > 0
    rows = [line for line in out.with_suffix(".md").read_text().splitlines() if "| LEAF" in line]
    assert len(rows) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["load_cost.json", "load_cost.md"]
