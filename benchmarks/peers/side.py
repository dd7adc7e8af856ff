"""What every side of the comparison shares: its arguments, the split, the line that it prints.

It needs NumPy only, and Python 3.10, so that it runs in every side's environment.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

EPOCHS, BATCH, LEARNING_RATE = 2, 10, 0.05
LEVELS, MIX, PROX = 3, 0.6, 0.002
CLASSES = 10


class Examples(NamedTuple):
    """The examples of one client."""

    x: np.ndarray  # float32 [n, 28, 28, 1]
    y: np.ndarray  # int32 [n]


def arguments() -> argparse.Namespace:
    """What the side is asked to do; the script that runs all sides passes everything."""
    parser = argparse.ArgumentParser(description="One side of benchmarks/peers.py.")
    parser.add_argument("--split", type=Path, required=True, help="the .npz of examples and rows")
    parser.add_argument("--weights", type=Path, required=True, help="the .npz of the first model")
    parser.add_argument("--model", required=True, choices=("linear", "mlp", "cnn"))
    parser.add_argument("--algorithm", default="fedavg", choices=("fedavg", "demlearn"))
    parser.add_argument("--way", default="", help="how the side uses the cores")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--warmup", type=int, default=1, help="rounds before them")
    parser.add_argument("--batch", type=int, default=BATCH, help="examples of a batch")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0, help="of order and dropout")
    parser.add_argument("--started", type=float, default=time.time(), help="when it was started")
    return parser.parse_args()


def load(path: Path) -> dict[str, np.ndarray]:
    """The plain arrays of a file."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def clients(split: dict[str, np.ndarray], part: str) -> list[Examples]:
    """Every client's examples of the part ``train`` or ``test``."""
    rows = zip(split[part], split[f"{part}_size"], strict=True)
    return [Examples(split["x"][row[:size]], split["y"][row[:size]]) for row, size in rows]


def own_peak_bytes() -> int:
    """Most memory that this process has had.

    Where the system tells, that of the program itself: ``ru_maxrss`` begins with what the process
    that started it had.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def tell(
    asked: argparse.Namespace,
    *,
    ready: float,
    seconds: Sequence[float],
    accuracy: float,
    norm: float,
    packages: Sequence[str],
    uses: dict,
    compile_seconds: float | None = None,
    **more: object,
) -> None:
    """Print the one line of JSON that the script reads.

    Args:
        asked: The arguments.
        ready: When the first round could begin, as ``time.time()`` tells it.
        seconds: Every round's, the warm-up rounds first.
        accuracy: Of the global model after the last round, on the pooled test data.
        norm: Euclidean norm of that model.
        packages: Whose versions are told.
        uses: Threads, devices, processes.
        compile_seconds: Where the side compiles ahead; else the first round's excess is taken.
        more: Anything else.
    """
    timed = list(seconds[asked.warmup :])
    excess = seconds[0] - statistics.median(timed)
    ahead = compile_seconds is not None
    result = {
        "startup_seconds": ready - asked.started - (compile_seconds or 0.0),
        "compile_seconds": compile_seconds if ahead else max(0.0, excess),
        "compile_is": "measured" if ahead else "first round less the median round",
        "round_seconds": timed,
        "warmup_seconds": list(seconds[: asked.warmup]),
        "own_peak_bytes": own_peak_bytes(),
        "accuracy": accuracy,
        "norm": norm,
        "uses": uses,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        **more,
    }
    print(json.dumps(result), flush=True)
