"""Which linkage, features, cut and mixing keep the tree balanced and let a hierarchy earn its keep?

    python benchmarks/organization_study.py --data-dir DIR            # everything; resumes
    python benchmarks/organization_study.py --data-dir DIR --data relabelled rotated --jobs 2

``DIR`` holds MNIST's four IDX files. Each of the data below is run with every setting, several
seeds as one compiled program, beside the control: FedAvg whose clients are set to
``(1 − α) own + α global``. Leaves ``OUT/DATA-SETTING.json``; what is there is not repeated.
``organization_report.py`` makes the table.

published   MNIST as published: 50 clients, two digits each
digits      1,797 digits of 8 × 8, 50 clients with two digits each, in log-normal amounts
relabelled  MNIST, 40 clients of 4 kinds, 100 images each; the kinds name the digits differently
rotated     the same, the kinds see the digits turned by 0, 90, 180 and 270 degrees

All: MLP 784-200-10 (64-200-10), E = 2, batch 10, η = 0.05.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import cpu_model
from processes import run_each

DATA = ("published", "digits", "relabelled", "rotated")
RESULTS = Path(__file__).parent / "results" / "organization"
LEVELS = {"published": (10, 5, 2), "digits": (10, 5, 2), "relabelled": (8, 4), "rotated": (8, 4)}
"""Groups on each level for cuts by number, from the lowest."""


def settings(data: str) -> dict[str, Callable[[Any], Any]]:
    """Every setting by its name: from local training to an algorithm."""
    import demjax
    from demjax import clustering, hierarchy

    counts = clustering.counts(LEVELS[data], min_size=3)
    levels = len(LEVELS[data])
    features = {
        "weights": clustering.weights(),
        "updates": clustering.updates(),
        "gradients": clustering.gradients(),
        "head": clustering.weights(clustering.layers("Dense_1")),
        "sketch": clustering.updates(clustering.sketch(256)),
    }
    metrics = {"euclidean": clustering.euclidean, "cosine": clustering.cosine}
    cuts = {
        "depth": clustering.depth(3),
        "depth3": clustering.depth(3, min_size=3),
        "counts": counts,
    }
    made: dict[str, Callable[[Any], Any]] = {
        "fedavg": lambda local: demjax.fedavg(local),
        "local": lambda local: demjax.local_only(local),
    }

    def add(name: str, **options: Any) -> None:
        made[name] = lambda local: demjax.demlearn(local, **{"prox": 0.002, **options})

    def control(mix: float) -> None:
        made[f"control-{mix}"] = lambda local: demjax.fedavg(local, mix=mix)

    for mix in (0.3, 0.6, 0.8):
        control(mix)
    # Structure, with the published mixing.
    for what, metric, method, cut in (
        ("weights", "euclidean", "average", "depth"),  # as published
        ("weights", "euclidean", "complete", "depth"),
        ("weights", "euclidean", "ward", "depth"),
        ("weights", "cosine", "average", "depth"),
        ("updates", "cosine", "average", "depth"),
        ("updates", "cosine", "ward", "depth"),
        ("gradients", "cosine", "average", "depth"),
        ("head", "cosine", "average", "depth"),
        ("weights", "euclidean", "average", "depth3"),
        ("updates", "cosine", "ward", "depth3"),
        ("weights", "euclidean", "average", "counts"),
        ("weights", "euclidean", "ward", "counts"),
        ("updates", "cosine", "average", "counts"),
        ("updates", "cosine", "ward", "counts"),
        ("gradients", "cosine", "ward", "counts"),
        ("sketch", "cosine", "ward", "counts"),
    ):
        add(
            f"{method}-{what}-{metric}-{cut}",
            features=features[what],
            metric=metrics[metric],
            linkage=method,
            cut=cuts[cut],
        )
    # Mixing and starting points, on the structure that finds groups.
    best = {"features": features["updates"], "metric": metrics["cosine"], "linkage": "ward"}
    best["cut"] = counts
    whole = [1.0] + [0.0] * levels
    half = [0.6] + [0.0] * levels
    gentle = [0.6] + [0.3] * levels
    steep = [0.6] + [0.6] * (levels - 1) + [0.1]
    for name, start, mix, weighting in (
        ("own-client-only", hierarchy.from_own, half, "clients"),
        ("own-gentle", hierarchy.from_own, gentle, "clients"),
        ("own-steep", hierarchy.from_own, steep, "clients"),
        ("parent-0.6", hierarchy.from_parent, 0.6, "clients"),
        ("parent-client-only", hierarchy.from_parent, half, "clients"),
        ("parent-gentle", hierarchy.from_parent, gentle, "clients"),
        ("parent-gentle-examples", hierarchy.from_parent, gentle, "examples"),
        ("parent-whole", hierarchy.from_parent, whole, "clients"),
        ("root-0.6", hierarchy.from_root, 0.6, "examples"),
        ("root-gentle", hierarchy.from_root, gentle, "examples"),
    ):
        add(f"ward-updates-{name}", start=start, mix=mix, weighting=weighting, **best)
    add(
        "recommended",
        features=clustering.label_gradients(),
        cut=clustering.gap(),
        start=hierarchy.from_parent,
        mix=(0.2, 0.0),
        weighting="examples",
        prox=0.0,
    )
    add("published-parent", start=hierarchy.from_parent)
    add("published-root", start=hierarchy.from_root, weighting="examples")
    return made


def load(data: str, data_dir: str) -> tuple[Any, Any]:
    """The clients of one of the data, and their kinds where they were planted."""
    import numpy as np

    from demjax import data as sets

    if data == "published":
        mnist = sets.mnist(data_dir=data_dir)
        split = sets.published_mnist(mnist.y)
        return sets.client_data(sets.per_pixel(mnist.x)(mnist.x), mnist.y, split), None
    if data == "digits":
        digits = sets.digits()
        split = sets.labels(digits.y, clients=50, labels_per_client=2, seed=0)
        known = np.concatenate(split.train)
        x = sets.overall(digits.x, rows=known, maximum=1.0)(digits.x)
        return sets.client_data(x, digits.y, split), None
    mnist = sets.mnist(data_dir=data_dir)
    few = np.random.default_rng(0).permutation(len(mnist.y))[:4000]
    x, y = mnist.x[few], mnist.y[few]
    split = sets.iid(y, clients=40, seed=0)
    if data == "relabelled":
        y = sets.relabelled(y, split, 4, classes=10)
    else:
        x = sets.rotated(x, split, 4)
    x = sets.unit()(x)
    x = sets.overall(x, rows=np.concatenate(split.train), maximum=1.0)(x)
    return sets.client_data(x, y, split), sets.planted_clusters(40, 4)


def run_one(data: str, setting: str, arguments: argparse.Namespace, out: Path) -> None:
    """All seeds of a setting, as one program, to a JSON file."""
    import jax
    import numpy as np
    import optax

    import demjax

    clients, kinds = load(data, arguments.data_dir)
    task = demjax.classification(demjax.models.MLP(classes=10), clients.x[0])
    local = demjax.local_training(task, optax.sgd(0.05), epochs=2, batch_size=10)
    algorithm = settings(data)[setting](local)
    take = demjax.measure(task, clients, true_clusters=kinds)
    moments = [round(arguments.rounds * share) for share in (0, 0.1, 0.25, 0.5, 1)]

    def one_seed(seed):
        return demjax.simulate(
            algorithm,
            task,
            clients,
            rounds=arguments.rounds,
            key=jax.random.key(seed),
            eval_every=moments,
            take_measures=take,
        ).measures

    begin = time.perf_counter()
    seeds = np.arange(arguments.seeds)
    measures = jax.jit(lambda seeds: jax.lax.map(one_seed, seeds))(seeds)
    measures = jax.device_get(measures)

    def numbers(leaf):
        rounded = np.round(np.asarray(leaf, float), 5)
        return np.where(np.isfinite(rounded), rounded, None).tolist()

    structure = {name: numbers(leaf) for name, leaf in measures.structure._asdict().items()}
    result = {
        "data": data,
        "setting": setting,
        "seeds": arguments.seeds,
        "rounds": sorted(set(moments)),
        "axes": "seed, measurement, level (the lowest first)",
        "c_spe": numbers(measures.c_spe),
        "c_gen": numbers(measures.c_gen),
        "global": numbers(measures.global_score),
        "g_spe": numbers(measures.g_spe[..., :-1]),
        "g_gen": numbers(measures.g_gen[..., :-1]),
        "diverged": numbers(measures.diverged),
        "structure": structure,
        "seconds": time.perf_counter() - begin,
        "machine": {"cpu": cpu_model(), "cores": len(os.sched_getaffinity(0))},
        "versions": {
            "python": platform.python_version(),
            **{name: sys.modules[name].__version__ for name in ("jax", "numpy", "demjax")},
        },
    }
    if measures.organization is not None:
        result["cophenetic"] = numbers(measures.organization.cophenetic)
    partial = out.with_suffix(".partial")
    partial.write_text(json.dumps(result) + "\n")
    partial.replace(out)
    print(
        f"{data:11s} {setting:42s} {result['seconds']:5.0f} s",
        *(f"{np.mean(np.asarray(leaf)[:, -1]):.3f}" for leaf in
          (measures.c_spe, measures.c_gen, measures.global_score)),
        np.asarray(measures.structure.rand_true)[:, -1].mean(axis=0).round(2),
        flush=True,
    )  # fmt: skip


def run_all(arguments: argparse.Namespace) -> int:
    """Each setting in its own process, ``--jobs`` at a time, each on its own core."""
    pairs = [(data, name) for data in arguments.data for name in settings(data)]
    if arguments.settings:
        pairs = [pair for pair in pairs if pair[1] in arguments.settings]
    command = [sys.executable, __file__, "--data-dir", arguments.data_dir]
    command += ["--rounds", str(arguments.rounds), "--seeds", str(arguments.seeds)]
    command += ["--out", str(arguments.out), "--one"]
    commands = [
        [*command, data, name]
        for data, name in pairs
        if not (arguments.out / f"{data}-{name}.json").exists()
    ]
    failed = run_each(commands, jobs=arguments.jobs)
    print(f"{len(pairs)} settings, {failed} failed")
    return int(failed > 0)


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="folder with MNIST's four IDX files")
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--settings", nargs="+", help="only these")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=2, help="seeds 0 … SEEDS-1")
    parser.add_argument(
        "--jobs", type=int, default=1, help="settings at once, each on its own core"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=2, metavar=("DATA", "SETTING"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        data, setting = arguments.one
        run_one(data, setting, arguments, arguments.out / f"{data}-{setting}.json")
        return 0
    return run_all(arguments)


if __name__ == "__main__":
    sys.exit(main())
