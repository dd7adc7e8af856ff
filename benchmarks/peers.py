"""Seconds of the same round in demjax, a PyTorch loop, pfl, Flower and fedjax.

    python benchmarks/peers.py --data-dir DIR             # everything
    python benchmarks/peers.py --data-dir DIR --quick     # one turn, one timed round
    python benchmarks/peers.py --data-dir DIR --sides demjax torch --models mlp
    python benchmarks/peers.py --report                   # the table of what OUT holds

The published split of MNIST, 50 clients; FedAvg of two epochs, batches of 10, SGD at 0.05, mean
weighted by examples, all sides from the same first weights. demjax and the PyTorch loop run
DemLearn too: a round is training, clustering, averaging, mixing and all measures.

Each side is a program in ``peers/``, whose docstring says how it is set, in an environment of its
own that is made here from ``peers/requirements-SIDE.txt``; demjax's is the present one. Sides
take turns, each run a new process from the first weights. Where a side can use the cores in several
ways, all are run in the first turn, those within a fifth of its fastest in the others, and the
table shows the fastest. A side that cannot be installed or fails is left out and its error kept.

Start-up is from the start of the process to the first round, imports, data and Ray included,
without compiling; for sides that do not compile ahead, compiling is what the first round takes
more than the median. Peak memory is the larger of the program's own peak and the largest sum,
looked at every second, of the proportional memory of all its processes. Accuracy, of the global
model on the pooled test data after the last round, and its norm tell whether all sides learn the
same; they shuffle and drop out each in its own way. With ``--batch 1000``, more than any client
has, and a model without dropout nothing is left to chance: demjax, PyTorch, pfl and Flower then
agree to rounding, in all of DemLearn's measures too. (fedjax fills its batches by chance.)

OUT, by default ``benchmarks/results/peers.json``, is written as results come, with ``.md`` beside.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import machine
from peers_processes import HERE, LeftOutError, environment, last_error, run_side, surroundings
from peers_report import fastest, write_table

WAYS = {
    "demjax": ("devices",),
    "torch": ("threads", "one thread"),
    "pfl": ("processes", "threads"),
    "flwr": ("actors",),
    "fedjax": ("pmap", "jit"),
}
BOTH = ("demjax", "torch")
"""Sides that run DemLearn too, and all models."""
MODELS = ("linear", "mlp", "cnn")
WORTH = 1.2


def points(asked: argparse.Namespace) -> Iterator[dict]:
    """What is to be run, in the order of the turns."""
    for turn in range(asked.turns):
        for algorithm in asked.algorithms:
            for model in MODELS:
                for side in asked.sides:
                    theirs = asked.models if side in BOTH else asked.peer_models
                    if model not in theirs or (algorithm == "demlearn" and side not in BOTH):
                        continue
                    for way in WAYS[side]:
                        yield {
                            "turn": turn,
                            "algorithm": algorithm,
                            "model": model,
                            "side": side,
                            "way": way,
                        }


def worthwhile(point: dict, done: list[dict]) -> bool:
    """Whether to run it: in later turns only what has not failed and is about the fastest way."""
    same = ("algorithm", "model", "side")
    before = [p for p in done if all(p[key] == point[key] for key in same)]
    mine = [p for p in before if p["way"] == point["way"] and p["turn"] < point["turn"]]
    if not mine:
        return True
    if any("error" in p for p in mine):
        return False
    best = fastest([p for p in before if "error" not in p])
    median = statistics.median(s for p in mine for s in p["round_seconds"])
    return median <= WORTH * statistics.median(s for p in best for s in p["round_seconds"])


def pythons(asked: argparse.Namespace, left_out: dict[str, str]) -> dict[str, Path]:
    """The Python of each side that can take part."""
    chosen = dict(pair.split("=", 1) for pair in asked.python)
    found = {}
    for side in asked.sides:
        try:
            python = chosen.get(side, sys.executable)
            made = side == "demjax"
            found[side] = Path(python) if made else environment(side, asked.environments, python)
        except LeftOutError as reason:
            left_out[side] = str(reason)
            print(reason, flush=True)
    return found


def export(asked: argparse.Namespace, python: Path, folder: Path) -> None:
    """Write the split and the first models, in a process of its own."""
    command = [str(python), str(HERE / "peers" / "export.py"), "--data-dir", asked.data_dir]
    models = sorted({*asked.models, *asked.peer_models})
    settings = surroundings()
    done = subprocess.run(
        [*command, "--out", str(folder), "--models", *models],
        capture_output=True,
        text=True,
        env=settings,
    )
    if done.returncode:
        sys.exit(f"The split cannot be made: {last_error(done.stderr)}")


def keep(result: dict, out: Path) -> None:
    """Write what there is so far, and its table."""
    machine.keep(result, out)
    write_table(result, out.with_suffix(".md"))


def compare(asked: argparse.Namespace) -> None:
    """Run all sides in turns, and write what they tell as it comes."""
    result: dict = {
        "setting": f"Published MNIST split, 50 clients, E = 2, B = {asked.batch}, SGD 0.05; "
        "DemLearn: 3 levels, α = 0.6, μ = 0.002, all measures in each round",
        "machine": {"cpu": machine.cpu_model(), "cores": os.cpu_count(), "used": asked.cores},
        "rounds": {"warm-up": asked.warmup, "timed": asked.rounds, "turns": asked.turns},
        "left_out": {},
        "points": [],
    }
    found = pythons(asked, result["left_out"])
    keep(result, asked.out)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export(asked, found.get("demjax", Path(sys.executable)), folder)
        for point in points(asked):
            if point["side"] not in found or not worthwhile(point, result["points"]):
                continue
            program = HERE / "peers" / f"{point['side']}_side.py"
            command = [str(found[point["side"]]), str(program)]
            command += ["--split", str(folder / "split.npz")]
            command += ["--weights", str(folder / f"{point['model']}.npz")]
            for option in ("model", "algorithm", "way"):
                command += [f"--{option}", point[option]]
            for option in ("rounds", "warmup", "batch", "cores"):
                command += [f"--{option}", str(getattr(asked, option))]
            command += ["--seed", str(point["turn"])]
            point["load_before"] = os.getloadavg()[0]
            point.update(run_side(command, asked.limit))
            result["points"].append(point)
            keep(result, asked.out)
            told = point.get("error") or f"{statistics.median(point['round_seconds']):.3f} s"
            labels = [point[key] for key in ("turn", "algorithm", "model", "side", "way")]
            print(*labels, told, sep=", ", flush=True)


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder with MNIST's four IDX files")
    parser.add_argument("--sides", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--peer-models", nargs="+", choices=MODELS, default=["cnn"])
    algorithms = ["fedavg", "demlearn"]
    parser.add_argument("--algorithms", nargs="+", choices=algorithms, default=algorithms)
    parser.add_argument("--turns", type=int, default=2, help="how often sides take turns")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of a run")
    parser.add_argument("--warmup", type=int, default=1, help="rounds before them, at least 1")
    parser.add_argument("--batch", type=int, default=10, help="examples of a batch")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="cores of each side")
    parser.add_argument("--limit", type=float, default=1800, help="most seconds of one run")
    parser.add_argument("--environments", type=Path, default=HERE / ".peers")
    parser.add_argument(
        "--python",
        nargs="+",
        default=[],
        metavar="SIDE=PYTHON",
        help="what to make a side's environment with, by default the present Python (3.11)",
    )
    parser.add_argument("--quick", action="store_true", help="one turn, one timed round")
    parser.add_argument("--report", action="store_true", help="the table of what OUT holds")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "peers.json")
    asked = parser.parse_args()
    if asked.report:
        write_table(json.loads(asked.out.read_text()), asked.out.with_suffix(".md"))
        return 0
    wrong = [pair for pair in asked.python if pair.partition("=")[0] not in WAYS or "=" not in pair]
    if wrong:
        parser.error(f"--python takes SIDE=PYTHON for one of {', '.join(WAYS)}, not {wrong[0]}.")
    if (
        asked.data_dir is None
        or min(asked.turns, asked.rounds, asked.warmup, asked.batch, asked.cores) < 1
    ):
        parser.error("--data-dir is needed, and the numbers must be at least 1.")
    if asked.quick:
        asked.turns, asked.rounds = 1, 1
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    compare(asked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
