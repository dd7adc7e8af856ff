"""What checkpoints cost the published experiment, what they hold, and what resuming takes.

    python benchmarks/checkpoint_cost.py --data-dir DIR [--rounds 20] [--turns 3]

Whole commands, in turns: ``demjax run --preset published --model cnn`` without checkpoints, with
one every ten rounds, and with one every round, whose cost stands out from the noise of the machine.
The programs are compiled and kept before anything is timed. Then a finished run is resumed for one
more round, beside a new run of one round: what is left of the difference is reading the state. The
same is done with ``simulate``. Leaves ``results/checkpoint_cost.md`` and its numbers as JSON.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from machine import RESULTS, cpu_model, empty_result, keep

from demjax.experiment.config import read_preset

EVERY = {"none": None, "every 10 rounds": 10, "every round": 1}
PUBLISHED = 100
"""Rounds of the published experiment."""


def command(*words: object, programs: Path) -> float:
    """Seconds of a whole command of demjax, from start to exit."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "demjax", "run", *map(str, words)],
        env={**os.environ, "DEMJAX_CACHE": str(programs)},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - begin


def commands(
    setting: list[str], *, rounds: int, turns: int, folder: Path
) -> tuple[dict[str, list[float]], dict[str, list[float]], int]:
    """Seconds of runs by how often they save, of resuming beside beginning; bytes of the newest."""
    seconds: dict[str, list[float]] = {name: [] for name in EVERY}
    resumed: dict[str, list[float]] = {"resumed for one more round": [], "new, of one round": []}
    once = ["--out", folder / "once", "--rounds", 1]
    command(*setting, *once, programs=folder)  # compiles, and keeps what it compiled
    for _ in range(turns):
        for name, every in EVERY.items():
            out = folder / "run"
            shutil.rmtree(out, ignore_errors=True)
            saving = [] if every is None else ["--checkpoint-every", every]
            words = [*setting, "--rounds", rounds, "--out", out, *saving]
            seconds[name].append(command(*words, programs=folder))
        newest = sum(
            file.stat().st_size
            for file in (folder / "run" / "checkpoints" / f"round-{rounds}").rglob("*")
            if file.is_file()
        )
        words = ["--resume", folder / "run", "--rounds", rounds + 1]
        resumed["resumed for one more round"].append(command(*words, programs=folder))
        shutil.rmtree(folder / "once")
        resumed["new, of one round"].append(command(*setting, *once, programs=folder))
    return seconds, resumed, newest


def in_python(options: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Seconds of ``simulate`` that resumes for one more round and of one that begins, and bytes."""
    import jax

    from demjax import Checkpoints, simulate
    from demjax.experiment import build, resolve

    jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    experiment = resolve(options)
    with build.as_asked(experiment):
        built = build.build(experiment)
        key = jax.random.key(experiment.seed)

        def simulated(rounds: int, saved: Path | None = None) -> float:
            begin = time.perf_counter()
            checkpoint = None if saved is None else Checkpoints(saved, every=1)
            state = simulate(
                built.algorithm,
                built.task,
                built.clients,
                rounds=rounds,
                key=key,
                checkpoint=checkpoint,
            )
            jax.block_until_ready(state)
            return time.perf_counter() - begin

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            simulated(1)
            simulated(1, folder / "simulated")
            simulated(2, folder / "simulated")  # what it compiles is kept
            shutil.rmtree(folder / "simulated")
            new = simulated(1)
            simulated(1, folder / "simulated")
            again = simulated(2, folder / "simulated")
        state = jax.eval_shape(built.algorithm.init, key, built.clients)
    leaves = jax.tree.leaves((state.client, state.group))
    count = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    return {"resumed": again, "new": new, "models_and_groups_bytes": count}


def table(found: dict[str, Any]) -> str:
    """What was found, as Markdown: one checkpoint's cost by the runs that have most of them."""
    seconds, rounds = found["seconds"], found["rounds"]
    lines = [f"| checkpoints | whole command, {rounds} rounds |", "|---|---|"]
    for name in EVERY:
        told = ", ".join(f"{value:.1f}" for value in seconds[name])
        lines.append(f"| {name} | {statistics.median(seconds[name]):.1f} s ({told}) |")
    plain = statistics.median(seconds["none"])
    one = (statistics.median(seconds["every round"]) - plain) / rounds
    share = one * (PUBLISHED // 10) / (plain / rounds * PUBLISHED)
    lines += [
        "",
        f"By the runs that save every round one costs {one:.2f} s, so one every ten rounds "
        f"{share:.1%} of the published experiment's {PUBLISHED} rounds.",
    ]
    lines += ["", "| | `demjax run` | `simulate` |", "|---|---|---|"]
    commanded = found["resumed"]
    for name, word in zip(commanded, ("resumed", "new"), strict=True):
        told = ", ".join(f"{value:.1f}" for value in commanded[name])
        half = found["simulate"][word]
        lines.append(
            f"| {name} | {statistics.median(commanded[name]):.1f} s ({told}) | {half:.1f} s |"
        )
    kept = found["simulate"]["models_and_groups_bytes"]
    lines += [
        "",
        f"The newest checkpoint has {found['bytes']:,} bytes, models and groups {kept:,}: "
        f"{found['bytes'] / kept - 1:+.2%}.",
        "",
        f"{cpu_model()}, {os.cpu_count()} cores, shared.",
        "",
    ]
    return "\n".join(lines)


def write(found: dict[str, Any], out: Path) -> None:
    """The table beside the numbers, and to see."""
    out.with_suffix(".md").write_text(table(found), encoding="utf-8")
    print(table(found))


def main() -> None:
    """Measure, write numbers and table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder with MNIST's four files")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "checkpoint_cost.json")
    parser.add_argument("--report", action="store_true", help="only the table of what OUT holds")
    asked = parser.parse_args()
    if asked.report:
        return write(json.loads(asked.out.read_text(encoding="utf-8")), asked.out)
    if asked.data_dir is None:
        parser.error("--data-dir is needed")
    setting = ["--preset", "published", "--model", "cnn", "--data-dir", asked.data_dir]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, resumed, size = commands(
            setting, rounds=asked.rounds, turns=asked.turns, folder=folder
        )
        options = read_preset("published") | {"model": "cnn", "data_dir": asked.data_dir}
        simulated = in_python(options, folder)
    found = empty_result(" ".join(setting[:-2]), os.cpu_count() or 1) | {
        "rounds": asked.rounds,
        "seconds": seconds,
        "resumed": resumed,
        "bytes": size,
        "simulate": simulated,
    }
    del found["points"]
    keep(found, asked.out)
    write(found, asked.out)


if __name__ == "__main__":
    main()
