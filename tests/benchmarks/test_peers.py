import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS / "peers")
    monkeypatch.syspath_prepend(BENCHMARKS)


def point(side, way, seconds, turn=0, **more):
    return {
        **{"turn": turn, "algorithm": "fedavg", "model": "cnn", "side": side, "way": way},
        **{"round_seconds": seconds, "startup_seconds": 2.0, "compile_seconds": 10.0},
        **{"peak_memory_bytes": 1.5e9, "accuracy": 0.75, "norm": 8.0, "uses": {"devices": 2}},
        **{"versions": {"python": "3.11.7"}, **more},
    }


def test_the_table_shows_each_sides_fastest_way_and_what_failed(tmp_path):
    from peers_report import write_table

    result = {
        "setting": "Small",
        "machine": {"cores": 2},
        "rounds": {"timed": 2},
        "left_out": {"pfl": "pfl is left out."},
        "points": [
            point("demjax", "devices", [1.0, 1.2]),
            point("torch", "threads", [4.0, 4.0]),
            point("torch", "one thread", [2.0, 2.4], accuracy=0.72, norm=8.4),
            point("demjax", "devices", [1.0, 1.2], turn=1),
            point("torch", "one thread", [3.1, 3.5], turn=1),
            {
                **{"turn": 0, "algorithm": "fedavg", "model": "cnn", "side": "flwr"},
                **{"way": "actors", "error": "No memory."},
            },
        ],
    }
    write_table(json.loads(json.dumps(result)), tmp_path / "peers.md")
    text = (tmp_path / "peers.md").read_text()
    row = "| cnn | torch (devices 2) | 2.75 | 2.50 | 2.00–3.00 | 2.0 | 10.0 | 1.50 GB |"
    assert row + " 0.720–0.750 | 8.00–8.40 |" in text
    assert "- FedAvg, cnn, torch, threads: 4 s" in text
    assert "- FedAvg, cnn: accuracy 0.030 (torch), norm 5.0% (torch)" in text
    assert "- pfl is left out.\n- flwr, actors, fedavg, cnn: No memory." in text


def test_a_slow_or_failing_way_is_not_run_again():
    from peers import worthwhile

    done = [point("torch", "threads", [4.0]), point("torch", "one thread", [2.0])]
    assert not worthwhile(point("torch", "threads", [], turn=1), done)
    assert worthwhile(point("torch", "one thread", [], turn=1), done)
    assert worthwhile(point("pfl", "threads", [], turn=1), done)
    failed = [{**point("pfl", "threads", []), "error": "No memory."}]
    assert not worthwhile(point("pfl", "threads", [], turn=1), failed)


def test_a_missing_python_is_one_sentence_and_nothing_is_made(tmp_path):
    from peers_processes import LeftOutError, environment

    with pytest.raises(LeftOutError, match=r"^pfl is left out: there is no python0\.1, and .*\.$"):
        environment("pfl", tmp_path / "made", "python0.1")
    assert not (tmp_path / "made").exists()


def test_a_side_is_watched_and_its_error_kept():
    from peers_processes import run_side

    told = 'print("noise"); print(\'{"startup_seconds": 1.5, "own_peak_bytes": 7}\')'
    held = "import subprocess, sys; x = b'1' * 10**8; "
    other = (
        "subprocess.run([sys.executable, '-c', 'import time; x = b\"1\" * 10**8; time.sleep(1)'])"
    )
    result = run_side([sys.executable, "-c", f"{held}{other}; {told}"], limit=60, every=0.1)
    assert result["startup_seconds"] == 1.5
    if Path("/proc/self/smaps_rollup").exists():
        assert 2e8 < result["peak_memory_bytes"] < 4e8
    failed = run_side([sys.executable, "-c", "raise ValueError('too few')"], limit=60, every=0.1)
    assert failed == {"error": "ValueError: too few"}
    slow = run_side([sys.executable, "-c", "import time; time.sleep(60)"], limit=0.3, every=0.1)
    assert slow == {"error": "It had not ended after 0.3 seconds."}


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn"])
def test_the_first_model_is_written_in_the_order_of_its_layers(model):
    from demjax_side import nested
    from export import MODELS, in_order

    module = MODELS[model](classes=10)
    shapes = jax.eval_shape(
        lambda key, x: module.init(key, x, train=False)["params"],
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, 28, 28, 1), np.float32),
    )
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)
    written = in_order(params)
    widths = [value.shape[-2:] for name, value in sorted(written.items()) if "kernel" in name]
    last = {"linear": [784], "mlp": [784, 200], "cnn": [1, 32, 1568, 512]}[model]
    assert [before for before, _ in widths] == last
    jax.tree.map(np.testing.assert_array_equal, nested(written), params)
