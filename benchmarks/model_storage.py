"""What storing clients' models in 16 bits costs in accuracy, and how it changes the groups.

    python benchmarks/model_storage.py              # some ten minutes on two cores
    python benchmarks/model_storage.py --quick      # a few rounds of one system
    python benchmarks/model_storage.py --report     # the table of what OUT holds

The built-in digits, 50 clients of two labels each, an MLP, 60 rounds of two local epochs; the same
runs, from the same keys, with models in ``float32`` and in ``bf16`` (``demjax.storing_models``). A
learning rate of .05 is the default; at .002 a round's steps are hardly larger than what 16 bits
round away. *bf16, to the nearest* rounds as a conversion does, in place of up or down at random.
*float32, chunks of 5* is the run in single precision again, with sums in another order: how far
rounding alone brings two runs apart. The Rand index is the adjusted one between its groups
and those of ``float32``, the mean over the last ten rounds and the levels below the root. The
clients' labels make clear groups; in *demlearn, iid* all have their share of every label, so that
there are none to be found, and as little as rounding decides who is with whom.

The points are written to OUT as they come, ``benchmarks/results/model_storage.json``, those of
other systems left there; the table stands beside it.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from machine import empty_result, keep, results_file

import demjax
from demjax.backend import narrow
from demjax.experiment.build import build
from demjax.experiment.experiment import resolve
from demjax.metrics.tree import adjusted_rand

SYSTEMS: dict[str, Callable] = {
    "demlearn": lambda local: demjax.demlearn(local, levels=3),
    "demlearn, iid": lambda local: demjax.demlearn(local, levels=3),
    "fedavg": demjax.fedavg,
    "ditto": demjax.ditto,
}
RATES = (0.05, 0.002)
WAYS = ("float32", "bf16", "bf16, to the nearest", "float32, chunks of 5")
"""Of systems without groups only the first three."""
MEASURES = ("c_spe", "c_gen", "global_score")
LAST = 10
"""How many rounds at the end the groups are compared in."""


def digits(partition: str) -> tuple[demjax.Task, demjax.ClientData]:
    """The digits of 50 clients, and an MLP to learn them."""
    built = build(resolve({"model": "mlp", "clients": 50, "partition": partition, "seed": 0}))
    return built.task, built.clients


def runs(system: str, way: str, given: argparse.Namespace) -> tuple[list[dict], float]:
    """What the runs of all seeds came to, for each learning rate, and how many seconds all took."""
    task, clients = digits("iid" if "iid" in system else "labels")
    take = demjax.measure(task, clients)

    def run(chosen: dict, clients: demjax.ClientData) -> dict:
        chunk = 5 if "chunks" in way else None
        local = demjax.local_training(task, optax.sgd(chosen["rate"]), chunk=chunk)
        found = demjax.simulate(
            SYSTEMS[system](local),
            task,
            clients,
            rounds=given.rounds,
            key=jax.random.key(chosen["seed"]),
            eval_every=range(max(1, given.rounds - LAST + 1), given.rounds + 1),
            take_measures=take,
        ).measures
        tree = found.hierarchy
        return {name: getattr(found, name) for name in MEASURES} | {
            "groups": tree.groups[1:, :-1],
            "slots": jnp.zeros(tree.size.shape[-1]),
        }

    start = time.perf_counter()
    nearest = mock.patch.object(narrow, "dithered", lambda x, place: lax.reduce_precision(x, 8, 7))
    rounded = nearest if "nearest" in way else nullcontext()
    with demjax.storing_models(way.split(",")[0]), rounded:
        found = demjax.sweep(run, demjax.grid(rate=given.rates, seed=given.seeds), clients)
    found = jax.tree.map(np.asarray, found)
    count = len(given.seeds)
    each = [
        jax.tree.map(lambda leaf, n=n: leaf[n * count : (n + 1) * count], found)
        for n in range(len(given.rates))
    ]
    return each, time.perf_counter() - start


def alike(one: dict, other: dict) -> list[float] | None:
    """For each seed the Rand index of the groups of two ways; ``None`` without groups."""
    slots = one["slots"].shape[-1]
    if not one["groups"].size:
        return None
    rand = jax.vmap(lambda a, b: adjusted_rand(a, b, slots, slots))
    count = one["groups"].shape[-1]
    pairs = [
        rand(*(way["groups"][seed].reshape(-1, count) for way in (one, other)))
        for seed in range(len(one["groups"]))
    ]
    return [float(jnp.mean(pair)) for pair in pairs]


def take_points(system: str, given: argparse.Namespace) -> list[dict]:
    """All ways of one system."""
    ways = WAYS if "demlearn" in system else WAYS[:3]
    found = {way: runs(system, way, given) for way in ways}
    return [
        {"at": {"algorithm": system, "rate": rate, "store": way, "rounds": given.rounds}}
        | {name: found[way][0][place][name][:, -1].tolist() for name in MEASURES}
        | {"rand": alike(found["float32"][0][place], found[way][0][place])}
        | {"seconds_of_all_rates": found[way][1]}
        for place, rate in enumerate(given.rates)
        for way in ways
    ]


def report(out: Path) -> None:
    """The table of the points of a file."""
    result = json.loads(out.read_text())
    points = sorted(result["points"], key=lambda p: list(SYSTEMS).index(p["at"]["algorithm"]))
    head = ["algorithm", "learning rate", "models in", "C-SPE", "C-GEN", "Global"]
    head += ["furthest from float32", "Rand index, mean and least"]
    lines = ["# Models in 16 bits", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for point in points:
        at, whole = point["at"], point
        for other in points:
            if other["at"] == {**at, "store": "float32"}:
                whole = other
        apart = [np.subtract(point[name], whole[name]) for name in MEASURES]
        cells = [at["algorithm"], f"{at['rate']}", at["store"]]
        cells += [f"{np.mean(point[name]):.3f}" for name in MEASURES]
        cells += [f"{np.abs(apart).max():.3f}" if whole is not point else "–"]
        rand = point["rand"] if whole is not point else None
        cells += [f"{np.mean(rand):.2f}, {min(rand):.2f}" if rand else "–"]
        lines.append(f"| {' | '.join(cells)} |")
    machine, first = result["machine"], points[0]
    lines += [
        "",
        f"{result['setting']}; {first['at']['rounds']} rounds, means of {len(first['c_gen'])} "
        "seeds. *Furthest* is the largest difference of a seed's C-SPE, C-GEN or Global. "
        f"Machine: {machine['cpu']}, {machine['cores']} cores; jax {result['versions']['jax']}, "
        f"Python {result['versions']['python']}.",
    ]
    out.with_suffix(".md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Take all points, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    out = given.out or results_file("model_storage")
    if given.quick:
        given.systems, given.rates, given.rounds = ["demlearn"], [0.05], 3
    if not given.report:
        result = empty_result("The built-in digits, 50 clients, an MLP", 1)
        before = json.loads(out.read_text())["points"] if out.exists() else []
        for system in given.systems:
            before = [point for point in before if point["at"]["algorithm"] != system]
            result["points"] = [*before, *take_points(system, given)]
            before = result["points"]
            keep(result, out)
    report(out)


if __name__ == "__main__":
    main()
