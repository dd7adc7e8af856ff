"""FLUTE's workload as a whole process, in a small way: made-up digits in MNIST's files."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx_bytes

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def data_dir(tmp_path):
    """Sixty images to train and twenty to test, of the size of MNIST's."""
    rng = np.random.default_rng(0)
    for name, count in (("train", 60), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return tmp_path


def test_the_workload_is_run_and_told_beside_the_published_times(data_dir, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import flute_lr

    for name, value in (("CLIENTS", 20), ("COHORT", 3), ("ROUNDS", 4), ("TEST_EVERY", 2)):
        monkeypatch.setattr(flute_lr, name, value)
    monkeypatch.setattr(flute_lr, "run_apart", lambda d: {"seconds": 65.0, **flute_lr.run_here(d)})
    out = data_dir / "results" / "flute_lr.json"
    words = ["--data-dir", str(data_dir), "--turns", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["flute_lr.py", *words])
    flute_lr.main()
    (point,) = json.loads(out.read_text())["points"]
    assert len(point["accuracy"]) == 3
    assert all(0 <= score <= 1 for score in point["accuracy"])
    table = out.with_suffix(".md").read_text()
    assert "| FLUTE | 4 GPUs | 1:26 |" in table
    assert "| 1:05.0 |" in table
