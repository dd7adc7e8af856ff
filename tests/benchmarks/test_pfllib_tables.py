"""PFLlib's tables in a small way: made-up digits in MNIST's files, a few rounds."""

import json
import sys
from pathlib import Path

import numpy as np
from idx_files import idx_bytes

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_runs_are_kept_and_the_best_round_stands_beside_the_published(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import pfllib_tables

    rng = np.random.default_rng(0)
    for name, count in (("train", 600), ("t10k", 200)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    monkeypatch.setattr(pfllib_tables, "MODEL", {"filters": (2, 2), "hidden": 4})
    monkeypatch.setattr(pfllib_tables, "run_each", lambda commands, jobs: len(commands))
    out = tmp_path / "out"
    words = ["--data-dir", str(tmp_path), "--rounds", "3", "--eval-every", "2", "--out", str(out)]
    words += ["--settings", "mnist_pat", "--seeds", "1", "--systems", "fedavg-fine-tuned"]
    for more in (["--one", "mnist_pat", "fedavg-fine-tuned", "0"], []):
        monkeypatch.setattr(sys, "argv", ["pfllib_tables.py", *words, *more])
        assert pfllib_tables.main() == 0  # the second time there is nothing left to run
    run = json.loads((out / "mnist_pat-fedavg-fine-tuned-0.json").read_text())
    assert [point["round"] for point in run["curve"]] == [0, 2, 3]
    top = max(point["c_spe"] for point in run["curve"])
    table = (out / "results.md").read_text()
    assert f"| mnist_pat | fedavg-fine-tuned | {100 * top:.2f} |" in table
    assert table.rstrip().endswith("| 3 | 1 | 99.79 |")
    monkeypatch.setattr(sys, "argv", ["pfllib_tables.py", *words[:-1], "ditto"])
    assert pfllib_tables.main() == 1  # a run that failed is told
