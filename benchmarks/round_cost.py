"""Seconds of the parts of a round: compiling, local training, clustering, aggregation, measures.

    python benchmarks/round_cost.py                       # linear, MLP and CNN, 50 to 5,000 clients
    python benchmarks/round_cost.py --quick               # a small grid, in a minute or two
    python benchmarks/round_cost.py --models mlp --clients 200 1000 5000 --epochs 1 2
    python benchmarks/round_cost.py --models cnn --clients 50 200 --add
    python benchmarks/round_cost.py --report              # table and figure of what OUT holds

Clients hold ``--examples`` made-up images of 28×28 each, drawn from one pool of 10,000, and 15
for tests. Each part is a program of its own, run once before it is timed, and its time the median
of ``--turns``; a whole round is timed too. Operations are the compiler's count of one step of one
client, times the steps; the rate is set beside that of a float32 matrix product, and the bytes that
aggregation must move beside those of a copy, both measured in the same process.

The points are written to OUT as they come: ``benchmarks/results/round_cost.json``, or off a CPU
``round_cost_gpu.json``; ``--report`` leaves ``.md``, ``.png`` and ``.svg`` beside it.
"""

import argparse
import json
import os
import statistics
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

import demjax
from demjax.backend import memory
from demjax.backend.placement import on_every_device
from demjax.backend.sharding import compiler_options
from demjax.clustering import self_organization, unorganized
from demjax.hierarchy.aggregation import average_and_mix
from demjax.hierarchy.groups import under_one_root
from demjax.pytrees import stack_copies
from demjax.simulation.run import Programs, programs

MODELS = {
    "linear": lambda: demjax.models.Linear(classes=10),
    "mlp": lambda: demjax.models.MLP(classes=10),
    "cnn": lambda: demjax.models.CNN(classes=10),
}
POOL, TESTS, LEVELS, BATCH = 10_000, 15, 3, 10
PARTS = ("local training", "clustering", "aggregation", "measures")
COLOURS = dict(zip(PARTS, ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
MARKERS = {"linear": "o", "mlp": "s", "cnn": "^"}


def timed(call: Callable, turns: int) -> list[float]:
    """Seconds of a call, warmed up, again and again."""
    jax.block_until_ready(call())
    seconds = []
    for _ in range(turns):
        start = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return seconds


def machine_rates() -> dict:
    """What the machine gives now: GFLOP/s of a product, GB/s of a copy; best of five."""
    a = jax.random.normal(jax.random.key(0), (2048, 2048))
    product = min(timed(partial(jax.jit(lambda a: a @ a), a), 5))
    b = jnp.zeros(2**26, jnp.float32)
    copy = min(timed(partial(jax.jit(lambda b: b + 1), b), 5))
    return {
        "matrix_product_gflops": 2 * 2048**3 / product / 1e9,
        "copy_gigabytes_per_second": 2 * b.nbytes / copy / 1e9,
    }


def made_up(clients: int, examples: int) -> demjax.ClientData:
    """Clients who hold rows of one pool of random images."""
    rng = np.random.default_rng(0)
    rows = rng.integers(POOL, size=(clients, examples + TESTS), dtype=np.int32)
    return demjax.ClientData(
        x=jnp.asarray(rng.normal(size=(POOL, 28, 28, 1)), jnp.float32),
        y=jnp.asarray(rng.integers(10, size=POOL), jnp.int32),
        train=jnp.asarray(rows[:, :examples]),
        train_size=jnp.full(clients, examples, jnp.int32),
        test=jnp.asarray(rows[:, examples:]),
        test_size=jnp.full(clients, TESTS, jnp.int32),
    )


def operations(function: Callable, *arguments) -> float:
    """Operations of a program, as the compiler counts them."""
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def measure_point(model: str, count: int, epochs: int, arguments: argparse.Namespace) -> dict:
    """Time all parts of a round of one setting, on the devices that are asked for."""
    clients = made_up(count, arguments.examples)
    task = demjax.classification(MODELS[model](), clients.x[0])
    one, key = jax.eval_shape(task.init, jax.random.key(0)), jax.random.key(0)
    examples, labels = clients.x[:BATCH], clients.y[:BATCH]
    step = operations(jax.value_and_grad(task.loss), one, examples, labels, jnp.ones(BATCH), key)
    score = operations(task.score, one, clients.x[:128], clients.y[:128]) / 128
    machine = machine_rates()
    with demjax.spread_over(arguments.devices):
        seconds, whole, size = time_parts(task, clients, count, epochs, arguments)
    medians = {part: statistics.median(each) for part, each in seconds.items()}
    steps = count * epochs * -(-arguments.examples // BATCH)
    rates = {
        "local training, GFLOP/s": step * steps / medians["local training"] / 1e9,
        "aggregation, GB/s": 2 * size / medians["aggregation"] / 1e9,
    }
    if "measures of clients" in medians:
        scored = score * count * count * TESTS
        rates["measures of clients, GFLOP/s"] = scored / medians["measures of clients"] / 1e9
    with demjax.spread_over(arguments.devices):
        needed = memory.needed(*whole[:3])
    return {
        "at": {"model": model, "clients": count, "epochs": epochs},
        "seconds": {part: {"median": medians[part], "all": each} for part, each in seconds.items()},
        "compile_seconds": whole.seconds,
        "rates": rates,
        "machine_rates": machine,
        "steps": steps,
        "memory_bytes": needed,
        "model_bytes": size,
        "load": os.getloadavg()[0],
    }


def time_parts(
    task: demjax.Task,
    clients: demjax.ClientData,
    count: int,
    epochs: int,
    arguments: argparse.Namespace,
) -> tuple[dict[str, list[float]], Programs, int]:
    """Seconds of each part, the compiled run, and the bytes of all models."""
    local = demjax.local_training(task, optax.sgd(0.05), epochs=epochs, batch_size=BATCH)
    algorithm = demjax.demlearn(local, levels=LEVELS)
    key = jax.random.key(0)
    options = compiler_options()
    program = partial(jax.jit, compiler_options=options)
    take = demjax.measure(task, clients)
    clients = on_every_device(clients)
    whole = programs(algorithm, task, clients, key=key, take_measures=take)

    one = jax.jit(task.init)(key)
    start = program(lambda one: stack_copies(one, count))(one)
    seconds: dict[str, list[float]] = {}
    train = program(lambda key, models, clients: local.train(key, models, clients)[0])
    seconds["local training"] = timed(partial(train, key, start, clients), arguments.turns)
    trained = jax.block_until_ready(train(key, start, clients))
    organizing = self_organization(levels=LEVELS)
    organize = program(organizing.organize)
    before = unorganized(count, LEVELS, organizing.slots)
    seconds["clustering"] = timed(partial(organize, trained, *before), arguments.turns)
    tree, _ = organize(trained, *before)

    def aggregate(models, groups, tree):
        return average_and_mix(models, groups, tree, mix=[0.6] * (LEVELS + 1))

    # In a run they are written over the old ones too.
    mixed = program(aggregate, donate_argnums=(0, 1))
    first = program(lambda one: stack_copies(one, LEVELS + 1, organizing.slots))
    now = [trained, on_every_device(first(one))]
    del trained, start

    def aggregated():
        now[:] = mixed(*now, tree)
        return now

    aggregated()
    seconds["aggregation"] = timed(aggregated, arguments.turns)
    now.clear()
    state = whole.init(jax.random.fold_in(key, 0), clients)
    if count <= arguments.measures_to:
        look = program(lambda models, data: take(under_one_root(models, one), data).c_gen)
        seconds["measures of clients"] = timed(partial(look, state.client, clients), 1)
        state, _ = whole.round(key, jnp.int32(0), state, clients)
        seconds["measures"] = timed(partial(whole.measures, state, clients), 1)
    rounds = []
    for number in range(arguments.turns + 1):
        begin = time.perf_counter()
        state, _ = jax.block_until_ready(whole.round(key, jnp.int32(number), state, clients))
        rounds.append(time.perf_counter() - begin)
    seconds["whole round"] = rounds[1:]

    return seconds, whole, 4 * count * sum(leaf.size for leaf in jax.tree.leaves(one))


def report(out: Path) -> None:
    """A table and a figure of the points of a file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    result = json.loads(out.read_text())
    points = sorted(result["points"], key=lambda p: list(map(str, p["at"].values())))
    points.sort(key=lambda p: (p["at"]["model"], p["at"]["epochs"], p["at"]["clients"]))
    head = ["model", "E", "clients", "compiling, s", "training", "clustering", "aggregation"]
    head += ["measures", "whole round", "ms a client", "of product's rate", "of copy", "memory"]
    lines = ["# What a round costs", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for point in points:
        at, machine = point["at"], point["machine_rates"]
        median = {part: each["median"] for part, each in point["seconds"].items()}
        parts = [f"{median[part]:.3g} s" if part in median else "–" for part in PARTS]
        rate = point["rates"]["local training, GFLOP/s"] / machine["matrix_product_gflops"]
        copy = point["rates"]["aggregation, GB/s"] / machine["copy_gigabytes_per_second"]
        row = [at["model"], str(at["epochs"]), f"{at['clients']:,}"]
        row += [f"{point['compile_seconds']:.1f}", *parts, f"{median['whole round']:.3g} s"]
        row += [f"{1e3 * median['whole round'] / at['clients']:.2f}", f"{rate:.0%}", f"{copy:.0%}"]
        lines.append(f"| {' | '.join([*row, memory.gigabytes(point['memory_bytes'])])} |")
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in result["versions"].items())
    lines += ["", result["setting"], "", f"Machine: {machine}. Versions: {versions}.", ""]
    out.with_suffix(".md").write_text("\n".join(lines))

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    least = min(point["at"]["epochs"] for point in points)
    for model in dict.fromkeys(point["at"]["model"] for point in points):
        mine = [p for p in points if p["at"]["model"] == model and p["at"]["epochs"] == least]
        for part in PARTS:
            there = [p for p in mine if part in p["seconds"]]
            clients = [p["at"]["clients"] for p in there]
            each = [1e3 * p["seconds"][part]["median"] / p["at"]["clients"] for p in there]
            style = {"color": COLOURS[part], "marker": MARKERS[model], "markersize": 4}
            left.loglog(clients, each, label=f"{model}, {part}", **style)
        at = [f"{model}\n{p['at']['clients']:,}" for p in mine]
        foot = np.zeros(len(mine))
        for part in PARTS:
            each = np.array([p["seconds"].get(part, {"median": 0})["median"] for p in mine])
            total = [sum(p["seconds"].get(q, {"median": 0})["median"] for q in PARTS) for p in mine]
            right.bar(at, each / total, bottom=foot, color=COLOURS[part])
            foot += each / total
    every = sorted({point["at"]["clients"] for point in points})
    left.set_xticks(every, [f"{count:,}" for count in every])
    left.minorticks_off()
    left.set(xlabel="clients", ylabel="milliseconds a client", title="Parts of a round")
    left.grid(alpha=0.3)
    left.legend(fontsize=6.5, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    right.set(ylabel="share", title="Share of each part that was timed")
    right.tick_params(axis="x", labelsize=6.5)
    patches = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[part]) for part in PARTS]
    right.legend(
        patches, PARTS, fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16)
    )
    for ending in (".png", ".svg"):
        figure.savefig(out.with_suffix(ending), dpi=150)


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--clients", nargs="+", type=int, default=[50, 200, 1000, 5000])
    parser.add_argument("--epochs", nargs="+", type=int, default=[2])
    parser.add_argument("--examples", type=int, default=60, help="training examples of a client")
    parser.add_argument("--turns", type=int, default=3, help="how often each part is timed")
    parser.add_argument("--measures-to", type=int, default=200, help="most clients to measure")
    parser.add_argument("--devices", type=int, help="by default one for each core of a CPU, else 1")
    parser.add_argument("--quick", action="store_true", help="50 and 200 clients, linear and MLP")
    parser.add_argument("--add", action="store_true", help="keep OUT's other points")
    parser.add_argument("--report", action="store_true", help="table and figure of what OUT holds")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.models, arguments.clients, arguments.turns = ["linear", "mlp"], [50, 200], 2
    arguments.devices = take_devices(arguments.devices)
    out = arguments.out or results_file("round_cost")
    if arguments.report:
        report(out)
        return 0
    setting = f"{arguments.examples} made-up images of 28×28 a client, batches of {BATCH}, "
    setting += f"DemLearn of {LEVELS} levels; medians."
    result = empty_result(setting, arguments.devices)
    if arguments.add and out.exists():
        kept = json.loads(out.read_text())
        if {**kept, "points": []} != result:
            print(f"The points of {out} are of another machine, version or setting.")
            return 2
        result["points"] = kept["points"]
    for model in arguments.models:
        for epochs in arguments.epochs:
            for count in arguments.clients:
                parameters = {"linear": 7850, "mlp": 159_010, "cnn": 834_922}[model]
                present = memory.free()
                if present is not None and 5 * 4 * count * parameters > present:
                    print(f"{model}, {count} clients: left out, too large", flush=True)
                    continue
                point = measure_point(model, count, epochs, arguments)
                others = [old for old in result["points"] if old["at"] != point["at"]]
                result["points"] = [*others, point]
                keep(result, out)
                shown = {k: round(v["median"], 4) for k, v in point["seconds"].items()}
                print(model, count, epochs, shown, flush=True)
                jax.clear_caches()
    return 0


if __name__ == "__main__":
    sys.exit(main())
