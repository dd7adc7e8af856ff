"""Seconds of FLUTE's public workload as a whole process: a linear model of MNIST, 1,000 clients.

    python benchmarks/flute_lr.py --data-dir DIR            # DIR holds mnist
    python benchmarks/flute_lr.py --data-dir DIR --turns 3
    python benchmarks/flute_lr.py --report                  # the table of what OUT holds

Multinomial logistic regression, 10 of 1,000 clients a round, batches of 10, rate 0.03, 1 epoch,
100 rounds, the global model tested on MNIST's 10,000 test images every 20. Each turn is a process
of its own, timed from before it starts to after it has ended: Python, imports, reading the data,
compiling, training and tests. The compilation cache is off, so that every turn compiles everything.

The points are written to OUT as they come, by default ``benchmarks/results/flute_lr.json``, with
the table beside it in ``.md``.

Published times: Dimitriadis et al., FLUTE, arXiv 2203.13789, of the same workload.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import RESULTS, empty_result, keep

CLIENTS, COHORT, ROUNDS, TEST_EVERY = 1000, 10, 100, 20
BATCH, RATE, EPOCHS = 10, 0.03, 1
PUBLISHED = (
    ("Flower 1.0", "CPUs", "30:14"),
    ("FLUTE", "CPUs", "3:20"),
    ("FedML (MPI)", "not said", "3:09"),
    ("FLUTE", "4 GPUs", "1:26"),
)
"""System, device and minutes, as published."""


def run_here(data_dir: Path) -> dict[str, Any]:
    """The workload in this process; the parts of its time, and the accuracies at its tests."""
    begin = time.perf_counter()
    import jax
    import numpy as np
    import optax

    import demjax

    imported = time.perf_counter()
    dataset = demjax.data.mnist(data_dir=data_dir)
    train, tests = np.split(np.arange(len(dataset.y)), [dataset.train_count])
    mixed = np.random.default_rng(0).permutation(train)
    partition = demjax.data.Partition(
        train=np.array_split(mixed, CLIENTS), test=np.array_split(tests, CLIENTS)
    )
    clients = demjax.data.client_data(dataset.x, dataset.y, partition)
    model = demjax.models.Linear(classes=dataset.classes)
    pixels = demjax.data.unit(maximum=255.0)
    task = demjax.classification(model, clients.x[0], inputs=pixels)
    read = time.perf_counter()
    local = demjax.local_training(task, optax.sgd(RATE), epochs=EPOCHS, batch_size=BATCH)
    # Round by round, whose programs are compiled side by side, unlike a whole run's single one.
    moments = demjax.watch(
        demjax.fedavg(local, cohort=COHORT),
        task,
        clients,
        rounds=ROUNDS,
        key=jax.random.key(0),
        eval_every=TEST_EVERY,
        take_measures=demjax.measure(task, clients, measures=("global",)),
    )
    measured = [moment.measures for moment in moments if moment.measures is not None]
    accuracy = [round(float(measures.global_score), 4) for measures in measured]
    return {
        "import_seconds": imported - begin,
        "data_seconds": read - imported,
        "run_seconds": time.perf_counter() - read,
        "accuracy": accuracy,
    }


def run_apart(data_dir: Path) -> dict[str, Any]:
    """The workload in a fresh process, and the seconds of all of it."""
    command = [sys.executable, __file__, "--data-dir", str(data_dir), "--here"]
    alone = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    alone.pop("PYTHONDONTWRITEBYTECODE", None)  # what pip installs has been compiled, too
    begin = time.perf_counter()
    done = subprocess.run(command, env=alone, stdout=subprocess.PIPE, check=True, text=True)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, **json.loads(done.stdout.splitlines()[-1])}


def report(out: Path) -> None:
    """The table of the points of a file, beside what is published."""
    result = json.loads(out.read_text())
    machine, versions = result["machine"], result["versions"]
    points = sorted(result["points"], key=lambda one: one["seconds"])
    middle = points[len(points) // 2]
    minutes, seconds = divmod(middle["seconds"], 60)
    here = f"{machine['cores']} cores ({machine['cpu']})"
    rows = [*PUBLISHED, ("demjax", here, f"{minutes:.0f}:{seconds:04.1f}")]
    lines = [
        f"{result['setting']}. A whole process, minutes; the others as published, on machines of "
        "their own.",
        "",
        "| system | device | min |",
        "|---|---|---|",
        *(f"| {system} | {device} | {time} |" for system, device, time in rows),
        "",
        f"demjax: the median of {len(points)}, {points[0]['seconds']:.1f} to "
        f"{points[-1]['seconds']:.1f} s. Of it importing {middle['import_seconds']:.1f} s, data "
        f"{middle['data_seconds']:.1f} s, compiling and running {middle['run_seconds']:.1f} s. "
        f"Accuracy of the global model every {TEST_EVERY} rounds: "
        f"{', '.join(f'{score:.3f}' for score in middle['accuracy'])}. "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}.",
    ]
    out.with_suffix(".md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Time the workload, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="folder that holds mnist")
    parser.add_argument("--turns", type=int, default=5, help="processes, one after another")
    parser.add_argument("--out", type=Path, default=RESULTS / "flute_lr.json")
    parser.add_argument("--report", action="store_true", help="only write the table of OUT")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.report:
        report(arguments.out)
        return
    if arguments.data_dir is None:
        parser.error("--data-dir is needed: a folder that holds mnist")
    if arguments.here:
        print(json.dumps(run_here(arguments.data_dir)))
        return
    setting = (
        f"Multinomial logistic regression of MNIST, {CLIENTS:,} clients, {COHORT} a round, batches "
        f"of {BATCH}, rate {RATE}, {EPOCHS} epoch, {ROUNDS} rounds, tested every {TEST_EVERY}"
    )
    result = empty_result(setting, 1)
    for _ in range(arguments.turns):
        result["points"].append(run_apart(arguments.data_dir))
        keep(result, arguments.out)
        print(f"{result['points'][-1]['seconds']:.1f} s", flush=True)
    report(arguments.out)


if __name__ == "__main__":
    main()
