"""Seconds and memory of reading data and dealing them to clients, each in a fresh process.

    python benchmarks/load_cost.py --data-dir DIR        # all; DIR holds mnist and cifar10-jpeg
    python benchmarks/load_cost.py --only LEAF           # what needs no files, made up here
    python benchmarks/load_cost.py --only LEAF --examples 2000 --out /tmp/load_cost.json
    python benchmarks/load_cost.py --report              # the table of what OUT holds

MNIST is dealt to 50 and to 10,000 clients, equally; CIFAR-10 as JPEG and a LEAF folder of made-up
images of 28×28 are read without the cache, then by who fills it, then from it. The folder and the
cache are temporary. Memory is the largest resident set of the process, above what it was before
the data were read; files that are mapped count as far as they were touched. Linux tells it.

The points are written to OUT as they come, by default ``benchmarks/results/load_cost.json``, with
the table beside it in ``.md``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import RESULTS, empty_result, keep

from demjax import data
from demjax.backend import memory

USERS_IN_A_FILE, EXAMPLES_OF_A_USER, LEAF_LABELS = 100, 200, 62
CACHES = ("none", "filled", "found")


class Point(NamedTuple):
    """One measurement: a data set, how many clients it is dealt to, and what the cache is for."""

    what: str
    dataset: str
    clients: int | None
    cache: str


POINTS = (
    Point("MNIST", "mnist", 50, "none"),
    Point("MNIST", "mnist", 10_000, "none"),
    *(Point("CIFAR-10 (JPEG)", "cifar10_jpeg", None, cache) for cache in CACHES),
    *(Point("LEAF", "leaf", None, cache) for cache in CACHES),
)


def write_leaf(folder: Path, examples: int) -> None:
    """Made-up images of 28×28, four fifths of the pixels white, in LEAF's format."""
    rng = np.random.default_rng(0)
    sizes = [EXAMPLES_OF_A_USER] * (examples // EXAMPLES_OF_A_USER)
    sizes += [examples % EXAMPLES_OF_A_USER] * (examples % EXAMPLES_OF_A_USER > 0)
    for part, share in (("train", 9), ("test", 1)):
        (folder / part).mkdir(parents=True)
        for first in range(0, len(sizes), USERS_IN_A_FILE):
            users = {}
            for number, size in enumerate(sizes[first : first + USERS_IN_A_FILE], first):
                mine = max(1, size * share // 10)
                x = rng.integers(0, 256, (mine, 784))
                x[rng.random(x.shape) < 0.8] = 255
                y = rng.integers(0, LEAF_LABELS, mine).tolist()
                users[f"f{number:05d}"] = {"x": (x / 255).tolist(), "y": y}
            content = {
                "users": list(users),
                "num_samples": [len(each["y"]) for each in users.values()],
                "user_data": users,
            }
            (folder / part / f"{first:05d}.json").write_text(json.dumps(content))


def largest() -> int:
    """The largest resident set of this process since ``forget_largest``, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if "VmHWM" in line)


def forget_largest() -> None:
    """Make the present resident set the largest so far; a new process begins with its parent's."""
    Path("/proc/self/clear_refs").write_text("5")


def measure_here(point: Point, data_dir: Path, cache_dir: str) -> dict[str, Any]:
    """Read, and deal where clients are given, in this process."""
    forget_largest()
    before, start = largest(), time.perf_counter()
    dataset = data.load(point.dataset, data_dir=data_dir, cache_dir=cache_dir)
    touched = int(dataset.x[:: max(1, len(dataset.x) // 100)].sum())
    loaded = time.perf_counter()
    if point.clients is not None:
        partition = data.iid(dataset.y, clients=point.clients, seed=0)
        data.client_data(data.unit()(dataset.x), dataset.y, partition)
    dealt = time.perf_counter()
    return {
        "at": point._asdict(),
        "load_seconds": loaded - start,
        "deal_seconds": None if point.clients is None else dealt - loaded,
        "memory_bytes": largest() - before,
        "before_bytes": before,
        "array_bytes": dataset.x.nbytes + dataset.y.nbytes,
        "examples": len(dataset.y),
        "checksum": touched,
    }


def measure_apart(point: Point, data_dir: Path, cache_dir: Path) -> dict[str, Any]:
    """The same in a fresh process."""
    cache = "" if point.cache == "none" else str(cache_dir)
    words = [sys.executable, __file__, "--point", json.dumps(point), "--data-dir", str(data_dir)]
    above = str(Path(__file__).parents[1])
    paths = os.pathsep.join([above, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    done = subprocess.run(
        [*words, "--cache-dir", cache],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure_all(points: Sequence[Point], arguments: argparse.Namespace) -> None:
    """Measure one point after another; each is kept as it comes."""
    setting = f"LEAF: {arguments.examples:,} made-up images; each point once, in its own process."
    result = empty_result(setting, 1)
    with tempfile.TemporaryDirectory(dir=arguments.temporary) as folder:
        made_up, cache_dir = Path(folder) / "leaf", Path(folder) / "cache"
        if any(point.dataset == "leaf" for point in points):
            write_leaf(made_up, arguments.examples)
            sizes = [path.stat().st_size for path in made_up.glob("*/*.json")]
            result["leaf_bytes"] = sum(sizes)
        for point in points:
            source = made_up if point.dataset == "leaf" else arguments.data_dir
            measured = measure_apart(point, source, cache_dir)
            result["points"].append(measured)
            keep(result, arguments.out)
            print(
                *point,
                f"{measured['load_seconds']:.2f} s",
                memory.gigabytes(measured["memory_bytes"]),
            )


def table(result: Mapping[str, Any]) -> str:
    """What was measured, as a table in Markdown."""
    head = ("data set", "examples", "clients", "cache", "reading", "dealing", "memory", "arrays")
    lines = ["# What reading data costs", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for point in result["points"]:
        at, dealing = point["at"], point["deal_seconds"]
        row = [
            at["what"],
            f"{point['examples']:,}",
            "–" if at["clients"] is None else f"{at['clients']:,}",
            at["cache"],
            f"{point['load_seconds']:.3g} s",
            "–" if dealing is None else f"{dealing:.3g} s",
            memory.gigabytes(point["memory_bytes"]),
            memory.gigabytes(point["array_bytes"]),
        ]
        lines.append(f"| {' | '.join(row)} |")
    leaf = result.get("leaf_bytes")
    files = "" if leaf is None else f" LEAF's files: {memory.gigabytes(leaf)}."
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in result["versions"].items())
    lines += ["", result["setting"] + files, ""]
    lines += [
        "Memory: the process's largest, above what it held before; arrays: what is returned.",
        "",
    ]
    return "\n".join([*lines, f"Machine: {machine}. Versions: {versions}.", ""])


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="holds mnist and cifar10-jpeg")
    parser.add_argument("--only", nargs="+", metavar="WHAT", help="MNIST, CIFAR-10 (JPEG), LEAF")
    parser.add_argument("--examples", type=int, default=200_000, help="of the LEAF folder")
    parser.add_argument("--temporary", type=Path, help="folder for what is made up")
    parser.add_argument("--report", action="store_true", help="the table of what OUT holds")
    parser.add_argument("--out", type=Path, default=RESULTS / "load_cost.json")
    parser.add_argument("--point", help=argparse.SUPPRESS)  # what a fresh process measures
    parser.add_argument("--cache-dir", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point is not None:
        point = Point(*json.loads(arguments.point))
        print(json.dumps(measure_here(point, arguments.data_dir, arguments.cache_dir)))
        return 0
    if not arguments.report:
        chosen = arguments.only or [point.what for point in POINTS]
        points = [point for point in POINTS if point.what in chosen]
        if arguments.data_dir is None and any(point.dataset != "leaf" for point in points):
            parser.error("--data-dir is needed for MNIST and CIFAR-10 (JPEG); see also --only")
        measure_all(points, arguments)
    arguments.out.with_suffix(".md").write_text(table(json.loads(arguments.out.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
