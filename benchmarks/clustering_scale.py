"""Clustering thousands of clients: how near sketches and two stages come to the exact tree.

    python benchmarks/clustering_scale.py --data-dir MNIST            # about 40 minutes
    python benchmarks/clustering_scale.py --data-dir MNIST --errors linear:1000 --rounds
    python benchmarks/clustering_scale.py --report

*Errors*: DemLearn's clients of two labels each, which form 45 groups, or of labels by a Dirichlet
distribution, which form none, are clustered after ``--after`` rounds of MNIST by their weights:
exactly, from count sketches, and in two stages. Each tree is cut in the paper's way
into levels of up to 2, 4 and 8 groups, and into 10 and 45 clusters, whose adjusted Rand index
with those of the exact tree is told, and how its heights correlate with all exact distances.

*Rounds*: seconds of whole rounds, compiled before: the median of ``--timed`` by ``auto``, of two by
``exact``. All is written to OUT as it comes, ``benchmarks/results/clustering_scale.json``.
"""

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import scipy.cluster.hierarchy
from machine import empty_result, keep, results_file, take_devices
from sklearn.metrics import adjusted_rand_score

import demjax
from demjax import data, models
from demjax.backend.placement import on_every_device, state_shardings, stored_evenly, whole
from demjax.backend.sharding import compiler_options
from demjax.clustering import cophenetic_correlation, depth, self_organization, unorganized

ERRORS = (
    *("linear:1000", "mlp:1000", "linear:5000", "mlp:5000", "linear:10000", "linear:20000"),
    *("linear:1000:0.3", "mlp:1000:0.3", "linear:5000:0.3"),
)
WAYS = {
    "exact": {"clustering": "exact"},
    **{f"sketch of {d}": {"clustering": "sketch", "buckets": d} for d in (509, 1021, 2039, 4093)},
    **{
        f"two stages, {c} centroids": {"clustering": "two-stage", "centroids": c}
        for c in (512, 2048)
    },
}
ROUNDS = (("linear", 10_000, 100), ("linear", 20_000, None), ("mlp", 5_000, None))
"""Model, clients, and how many of them train in a round."""
MODELS = {"linear": partial(models.Linear, 10), "mlp": partial(models.MLP, 10)}


def setting(model: str, count: int, data_dir: str | None, alpha: float | None = None):
    """Clients of 60 training examples each, which they share, and how they train."""
    found, rng = data.mnist(data_dir=data_dir), np.random.default_rng(0)
    of_label = [np.flatnonzero(found.y == label) for label in range(10)]

    def rows():
        if alpha is None:
            shares = np.isin(np.arange(10), rng.choice(10, 2, replace=False)) / 2
        else:
            shares = rng.dirichlet(np.full(10, alpha))
        drawn = rng.choice(10, 62, p=shares)
        return np.array([rng.choice(of_label[label]) for label in drawn])

    given = [rows() for _ in range(count)]
    partition = data.Partition([r[:60] for r in given], [r[60:] for r in given])
    clients = data.client_data(found.x / np.float32(255), found.y, partition)
    task = demjax.classification(MODELS[model](), clients.x[0])
    return clients, demjax.local_training(task, optax.sgd(0.05), epochs=2, batch_size=10)


def rounds_of(algorithm: demjax.Algorithm, clients: demjax.ClientData, count: int):
    """The state after so many rounds, and the seconds of each."""
    clients, key = on_every_device(clients), jax.random.key(0)
    algorithm = stored_evenly(algorithm, clients)
    where = state_shardings(jax.eval_shape(algorithm.init, key, clients), clients.n_clients)
    program = partial(jax.jit, compiler_options=compiler_options())
    state = program(algorithm.init, out_shardings=where)(key, clients)
    one = program(algorithm.round, donate_argnums=1, out_shardings=(where, whole()))
    compiled = one.lower(key, state, clients).compile()
    seconds = []
    for number in range(count):
        start = time.perf_counter()
        state, _ = compiled(jax.random.key(number), state, clients)
        jax.block_until_ready(state)
        seconds.append(time.perf_counter() - start)
    return state, seconds


def errors_of(model: str, count: int, alpha: float | None, after: int, data_dir: str | None):
    """A row for each way."""
    clients, local = setting(model, count, data_dir, alpha)
    algorithm = demjax.demlearn(local, clustering="auto")
    seen = rounds_of(algorithm, clients, after)[0].client
    distances = jax.jit(demjax.clustering.euclidean)(seen)
    correlation = jax.jit(cophenetic_correlation)
    trees = {}
    for way, options in WAYS.items():
        if options.get("centroids", 0) >= count:
            continue
        organize = self_organization(**options).organize
        before = unorganized(count, 3, 8)
        compiled = jax.jit(organize).lower(seen, *before).compile()
        start = time.perf_counter()
        organization = jax.block_until_ready(compiled(seen, *before))[1]
        seconds = time.perf_counter() - start
        groups = cuts_of(organization.merges)
        trees[way] = groups
        yield {
            "model": model,
            "clients": count,
            "dirichlet": alpha,
            "way": way,
            "seconds": seconds,
            "correlation": float(correlation(organization.merges, distances)),
            "rand": {
                name: adjusted_rand_score(trees["exact"][name], groups[name]) for name in groups
            },
        }


def cuts_of(merges: jax.Array) -> dict[str, np.ndarray]:
    """Clients' groups by each cut."""
    levels = depth(3).take(merges, None).groups
    merges = np.asarray(merges, np.float64)
    return {
        **{f"{2 ** (3 - k)} by depth": np.asarray(levels[k]) for k in (2, 1, 0)},
        **{
            f"{n} clusters": scipy.cluster.hierarchy.fcluster(merges, n, "maxclust")
            for n in (10, 45)
        },
    }


def cost_of(
    model: str, count: int, cohort: int | None, ways: list[str], timed: int, data_dir: str | None
):
    """A row for each way, clients on all devices."""
    clients, local = setting(model, count, data_dir)
    for way in ways:
        algorithm = demjax.demlearn(local, clustering=way, cohort=cohort)
        with demjax.spread_over():
            seconds = rounds_of(algorithm, clients, timed if way == "auto" else 2)[1]
        yield {
            "model": model,
            "clients": count,
            "cohort": cohort,
            "clustering": way,
            "seconds": statistics.median(seconds),
            "all": seconds,
        }


def labels_of(row: dict) -> str:
    """How labels are distributed, where that is not two a client."""
    return f", Dirichlet {row['dirichlet']}" if row.get("dirichlet") else ""


def report(result: dict) -> str:
    """Both tables in Markdown."""
    lines = ["| model, clients | way | seconds | cophenetic correlation | adjusted Rand index |"]
    lines += ["|---|---|---|---|---|"]
    for row in result["errors"]:
        rand = ", ".join(f"{name} {value:.2f}" for name, value in row["rand"].items())
        lines.append(
            f"| {row['model']}, {row['clients']:,}{labels_of(row)} | {row['way']} | "
            f"{row['seconds']:.2f} | {row['correlation']:.4f} | {rand} |"
        )
    lines += ["", "| model, clients, cohort | clustering | seconds a round | each |"]
    lines += ["|---|---|---|---|"]
    for row in result["rounds"]:
        cohort = "all" if row["cohort"] is None else row["cohort"]
        each = ", ".join(f"{s:.1f}" for s in row["all"])
        lines.append(
            f"| {row['model']}, {row['clients']:,}, {cohort} | {row['clustering']} | "
            f"{row['seconds']:.1f} | {each} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is asked for, and write it down as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", help="folder with MNIST's files")
    parser.add_argument(
        "--errors", nargs="*", default=list(ERRORS), metavar="MODEL:CLIENTS[:ALPHA]"
    )
    parser.add_argument("--rounds", nargs="*", default=None, metavar="MODEL:CLIENTS:COHORT")
    parser.add_argument("--after", type=int, default=3, help="rounds before errors are looked at")
    parser.add_argument("--timed", type=int, default=5, help="rounds that are timed by auto")
    parser.add_argument("--by", nargs="+", default=["auto", "exact"], help="what rounds cluster by")
    parser.add_argument("--out", default=None)
    parser.add_argument("--report", action="store_true", help="write the tables of OUT alone")
    given = parser.parse_args()
    devices = take_devices(None)
    out = Path(given.out) if given.out else results_file("clustering_scale")
    fresh = empty_result("DemLearn, MNIST", devices)
    result = json.loads(out.read_text()) if out.exists() else fresh | {"errors": [], "rounds": []}
    if not given.report:
        for each in given.errors:
            model, count, *alpha = each.split(":")
            shares = float(alpha[0]) if alpha else None
            for row in errors_of(model, int(count), shares, given.after, given.data_dir):
                result["errors"].append(row)
                print(row, flush=True)
                keep(result, out)
        asked = [tuple(r.split(":")) for r in given.rounds] if given.rounds else ROUNDS
        if given.rounds != []:
            for model, count, cohort in asked:
                size = None if cohort in (None, "all") else int(cohort)
                for row in cost_of(model, int(count), size, given.by, given.timed, given.data_dir):
                    result["rounds"].append(row)
                    print(row, flush=True)
                    keep(result, out)
    out.with_suffix(".md").write_text(report(result))


if __name__ == "__main__":
    main()
