"""Seconds and memory of many experiments: compiled each, once, side by side, or dealt out.

    python benchmarks/sweep.py                      # linear and MLP: 16 experiments, CNN: 8
    python benchmarks/sweep.py --quick              # linear, 4 experiments of a few rounds
    python benchmarks/sweep.py --models mlp --rounds 200 --clients 200
    python benchmarks/sweep.py --report             # table and figure of what OUT holds

An experiment is a run of DemLearn on ``--clients`` clients with made-up images, measured at its
start and end; experiments are all combinations of seeds, learning rates, μ and α. The ways:

- *compiled each*: a call of ``simulate`` for each, whose numbers are plain ones. A few are timed
  (``--timed``), and the time of all is theirs, scaled;
- *compiled once*: one program whose numbers are arguments, called for each;
- *side by side*: one program, ``jax.vmap`` over all experiments;
- *dealt out*: one program, ``demjax.sweep``: on a CPU, experiments are dealt out among devices, and
  each goes through its own one after another; on one accelerator, all at once as above;
- *one by one*: ``demjax.sweep(…, chunk=1)``, where that is not the same as dealt out.

In the first three, clients are dealt out among devices. On a CPU *dealt out* is the way that
``demjax.sweep`` takes: devices never wait for one another, it needs the memory of one experiment a
device, and batching pays at most for the smallest models. On an accelerator it is *side by side*,
as far as memory goes. Many rounds of few experiments do not feel the compiling, and *compiled once*
is as good there. Memory is what the compiler planned, of all devices of a CPU together.

The points are written to OUT as they come: ``benchmarks/results/sweep.json``, or off a CPU
``sweep_gpu.json``; ``--report`` leaves ``.md``, ``.png`` and ``.svg`` beside it.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from machine import empty_result, keep, results_file, take_devices
from round_cost import MODELS, made_up

import demjax
from demjax.backend import memory
from demjax.backend.sharding import compiler_options

ROUNDS = {"linear": 20, "mlp": 20, "cnn": 2}
SEEDS = {"linear": 2, "mlp": 2, "cnn": 1}
VALUES = {"rate": [0.02, 0.1], "prox": [0.0, 0.01], "mix": [0.3, 0.6]}
WAYS = ("compiled each", "compiled once", "side by side", "dealt out", "one by one")
COLOURS = {"compiling": "#D55E00", "running": "#0072B2"}


def experiment_of(model: str, clients: demjax.ClientData, arguments: argparse.Namespace) -> tuple:
    """An experiment as a function of its numbers and the clients, and its number of rounds."""
    task = demjax.classification(MODELS[model](), clients.x[0])
    take = demjax.measure(task, clients)
    rounds = arguments.rounds or ROUNDS[model]

    def experiment(chosen: dict, clients: demjax.ClientData) -> jax.Array:
        local = demjax.local_training(task, optax.sgd(chosen["rate"]), epochs=arguments.epochs)
        algorithm = demjax.demlearn(local, prox=chosen["prox"], mix=chosen["mix"])
        history = demjax.simulate(
            algorithm,
            task,
            clients,
            rounds=rounds,
            key=jax.random.key(chosen["seed"]),
            eval_every=rounds,
            take_measures=take,
        )
        measures = history.measures
        return jnp.stack([measures.c_spe, measures.c_gen, measures.global_score], axis=-1)

    return experiment, rounds


def timed(call: Callable) -> tuple[float, np.ndarray]:
    """Seconds of a call, and its result."""
    start = time.perf_counter()
    result = np.asarray(jax.block_until_ready(call()))
    return time.perf_counter() - start, result


def compiled(function: Callable, *arguments) -> tuple[Callable, float, int]:
    """A program, the seconds of tracing and compiling it, and the bytes that it needs."""
    start = time.perf_counter()
    program = jax.jit(function, compiler_options=compiler_options()).lower(*arguments).compile()
    return program, time.perf_counter() - start, memory.planned(program)


def plain(experiments: dict, number: int) -> dict:
    """An experiment's numbers as a user writes them."""
    return {name: each[number].item() for name, each in experiments.items()}


def row(experiments: dict, number: int) -> dict:
    """An experiment's numbers as arrays."""
    return {name: each[number] for name, each in experiments.items()}


def take_point(model: str, arguments: argparse.Namespace) -> dict:
    """Time all ways to run the experiments with a model."""
    clients = made_up(arguments.clients, arguments.examples)
    seeds = list(range(arguments.seeds or SEEDS[model]))
    experiments = demjax.grid(seed=seeds, **arguments.values)
    count = len(experiments["seed"])
    experiment, rounds = experiment_of(model, clients, arguments)
    cpu = jax.default_backend() == "cpu"
    ways: dict[str, dict] = {}
    outcome: dict[str, np.ndarray] = {}

    def together(way: str, function: Callable) -> None:
        program, seconds, needs = compiled(function, experiments, clients)
        present = memory.free()
        ways[way] = {"compile_seconds": seconds, "memory_bytes": needs}
        if present is not None and needs > 0.8 * present:
            ways[way]["left_out"] = f"needs {memory.gigabytes(needs)}"
            return
        ways[way]["run_seconds"], outcome[way] = timed(lambda: program(experiments, clients))

    with demjax.spread_over(arguments.devices):
        program, seconds, needs = compiled(experiment, row(experiments, 0), clients)
        runs = [timed(lambda n=n: program(row(experiments, n), clients)) for n in range(count)]
        run_seconds, results = zip(*runs, strict=True)
        outcome["compiled once"] = np.stack(results)
        ways["compiled once"] = {
            "compile_seconds": seconds,
            "run_seconds": sum(run_seconds),
            "memory_bytes": needs,
        }
        if "compiled each" in arguments.ways:
            some = range(0, count, max(1, count // arguments.timed))[: arguments.timed]
            each = [timed(lambda n=n: experiment(plain(experiments, n), clients)) for n in some]
            whole = count * sum(seconds for seconds, _ in each) / len(each)
            outcome["compiled each"] = np.stack([result for _, result in each])
            ways["compiled each"] = {
                "compile_seconds": whole - sum(run_seconds),
                "run_seconds": sum(run_seconds),
                "memory_bytes": needs,
                "timed": len(each),
                "rows": list(some),
            }
        if "side by side" in arguments.ways:
            together("side by side", jax.vmap(experiment, in_axes=(0, None)))
        if "dealt out" in arguments.ways:
            together("dealt out", partial(demjax.sweep, experiment))
        if "one by one" in arguments.ways and not cpu:
            together("one by one", partial(demjax.sweep, experiment, chunk=1))
    for way, result in outcome.items():
        wanted = outcome["compiled once"][ways[way].get("rows", slice(None))]
        ways[way]["differs"] = float(np.abs(result - wanted).max())
    for way in ways.values():
        if "run_seconds" in way:
            way["total_seconds"] = way["compile_seconds"] + way["run_seconds"]
    return {
        "at": {"model": model, "clients": arguments.clients, "rounds": rounds},
        "experiments": count,
        "ways": {way: ways[way] for way in WAYS if way in ways},
        "load": os.getloadavg()[0],
    }


def report(out: Path) -> None:
    """A table and a figure of the points of a file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    result = json.loads(out.read_text())
    head = ["model", "clients", "rounds", "experiments", "way", "compiling, s", "running, s"]
    head += ["together, s", "times faster", "memory", "largest difference"]
    lines = ["# Many experiments", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    points = result["points"]
    figure, axes = plt.subplots(
        1, len(points), figsize=(4 * len(points), 3.2), layout="constrained", squeeze=False
    )
    for point, ax in zip(points, axes[0], strict=True):
        at = [f"{value:,}" if isinstance(value, int) else value for value in point["at"].values()]
        base = point["ways"].get("compiled each", point["ways"]["compiled once"])["total_seconds"]
        for place, (name, way) in enumerate(point["ways"].items()):
            cells = [*at, str(point["experiments"]), name, f"{way['compile_seconds']:.1f}"]
            if "left_out" in way:
                cells += ["left out", "–", "–", memory.gigabytes(way["memory_bytes"]), "–"]
            else:
                cells += [f"{way[part]:.1f}" for part in ("run_seconds", "total_seconds")]
                cells += [f"{base / way['total_seconds']:.1f}"]
                cells += [memory.gigabytes(way["memory_bytes"]), f"{way['differs']:.1g}"]
                foot = 0.0
                for part, kind in (("compiling", "compile_seconds"), ("running", "run_seconds")):
                    ax.barh(place, way[kind], left=foot, color=COLOURS[part], height=0.6)
                    foot += way[kind]
            lines.append(f"| {' | '.join(cells)} |")
        ax.set_yticks(range(len(point["ways"])), list(point["ways"]), fontsize=8)
        ax.invert_yaxis()
        ax.set(xlabel="seconds", title=f"{at[0]}, {point['experiments']} × {at[2]} rounds")
        ax.grid(axis="x", alpha=0.3)
    patches = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    figure.legend(patches, COLOURS, fontsize=8, ncols=2, loc="outside lower center")
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in result["versions"].items())
    lines += ["", result["setting"], "", f"Machine: {machine}. Versions: {versions}.", ""]
    out.with_suffix(".md").write_text("\n".join(lines))
    for ending in (".png", ".svg"):
        figure.savefig(out.with_suffix(ending), dpi=150)


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--examples", type=int, default=60, help="training examples of a client")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, help="by default 20, with the CNN 2")
    parser.add_argument("--seeds", type=int, help="by default 2, with the CNN 1")
    parser.add_argument("--timed", type=int, default=3, help="how many to compile each on its own")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--devices", type=int, help="by default one for each core of a CPU, else 1")
    parser.add_argument("--quick", action="store_true", help="linear, 4 experiments of 5 rounds")
    parser.add_argument("--report", action="store_true", help="table and figure of what OUT holds")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    arguments.values = VALUES
    if arguments.quick:
        arguments.models, arguments.rounds, arguments.seeds = ["linear"], 5, 2
        arguments.timed, arguments.values = 1, {"rate": [0.1], "prox": [0.01], "mix": [0.3, 0.6]}
    arguments.devices = take_devices(arguments.devices)
    out = arguments.out or results_file("sweep")
    if arguments.report:
        report(out)
        return 0
    result = empty_result(
        f"{arguments.examples} made-up images of 28×28 a client, {arguments.epochs} "
        f"epochs, DemLearn. Compiled each: {arguments.timed} timed, and scaled to all; its running "
        "is that of compiled once, of which the largest difference of any measure is told.",
        arguments.devices,
    )
    for model in arguments.models:
        point = take_point(model, arguments)
        result["points"].append(point)
        keep(result, out)
        for name, way in point["ways"].items():
            shown = {k: f"{v:.3g}" for k, v in way.items() if isinstance(v, float)}
            print(model, name, shown, memory.gigabytes(way["memory_bytes"]), flush=True)
        jax.clear_caches()
    return 0


if __name__ == "__main__":
    sys.exit(main())
