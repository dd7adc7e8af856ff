"""Seconds of clustering N clients: distances, linkage, cut, aggregation; and of other programs.

    pip install -r benchmarks/requirements-clustering.txt
    python benchmarks/clustering_cost.py                    # everything, for hours; --resume
    python benchmarks/clustering_cost.py --quick            # a small grid, in about two minutes
    python benchmarks/clustering_cost.py --clients 50 1000 --parameters 10000 --only linkage
    python benchmarks/clustering_cost.py --report           # table and figure of what OUT holds

The points are written to OUT as they come: ``benchmarks/results/clustering_cost.json``, on another
device than a CPU ``clustering_cost_gpu.json``. ``--report`` leaves a figure (``.png``, ``.svg``)
and a table (``.md``) beside it.

What is timed has run once before, and programs take turns (demjax, SciPy, …, demjax, SciPy, …), so
that a machine whose speed drifts treats them alike; times are medians. SciPy and fastcluster get
the condensed distances in float64, the same numbers as ours, made beforehand. scikit-learn gets the
square matrix, but for Ward, which it refuses there, the points: distances are then in its time.
"""

import argparse
import gc
import json
import math
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy
import scipy.cluster.hierarchy
from jax import lax
from machine import cpu_model
from scipy.spatial.distance import pdist, squareform

import demjax
from demjax import hierarchy as groups
from demjax.clustering import METHODS, counts, depth, euclidean, self_organization, unorganized
from demjax.clustering.linkage import linkage

RESULTS = Path(__file__).parent / "results"
PARTS = ("linkage", "cut", "aggregation", "distances")
CLIENTS = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
PARAMETERS = (10**4, 10**5, 10**6)
OURS = "demjax"
EVERY_METHOD_AT, MAIN_METHODS = (50, 1000), ("average", "ward", "single")
KINDS = {"spread": 3, "peeling": 1000}
"""Kinds of points, normal in so many dimensions. Peeling ones are stretched, each by a factor from
0.5 to 1.5, as models of clients with unlike amounts of data are: trees peel off single clients."""
MOST_PEELING, MOST_LEAVES = 5000, 1000
CUTS = {
    "depth 3": depth(3),
    "counts (12, 6, 3), min_size 3": counts((12, 6, 3), min_size=3),
}
MIX = 0.6
FIT_FROM = 500
CNN = ((5, 5, 1, 32), (32,), (5, 5, 32, 32), (32,), (1568, 512), (512,), (512, 10), (10,))
TARGETS = {"distances + linkage + cut": 60e-3, "linkage + cut": 1.5e-3}
"""Seconds for 50 clients with the CNN."""

# Okabe and Ito's colours, told apart by all.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = {
    OURS: {"linestyle": "-", "linewidth": 2, "marker": "o", "markersize": 3.5},
    "SciPy": {"linestyle": "--", "linewidth": 1},
    "fastcluster": {"linestyle": ":", "linewidth": 1.2},
    "scikit-learn": {"linestyle": "-.", "linewidth": 0.8},
}


class Results:
    """The points of a run, and the file that always holds those there are."""

    def __init__(self, out: Path, head: dict, resume: bool):
        self.out, self.result = out, {**head, "points": []}
        if resume and out.exists():
            before = json.loads(out.read_text())
            for name in ("machine", "versions", "quick"):
                if before[name] != head[name]:
                    raise SystemExit(f"{out} holds points of other {name}: choose another --out.")
            self.result["points"] = before["points"]
            self.result["left_out"] = before.get("left_out", [])
        self.done = {self.name(point["what"], point["at"]) for point in self.result["points"]}

    @staticmethod
    def name(what: str, at: dict) -> str:
        """One text for what a point measures, and where."""
        return json.dumps([what, at], sort_keys=True)

    def missing(self, what: str, **at) -> bool:
        """Whether a point is still to be measured."""
        return self.name(what, at) not in self.done

    def add(self, what: str, at: dict, seconds: dict[str, list[float]], **more) -> None:
        """Write a point down, in the file too."""
        self.done.add(self.name(what, at))
        self.forget(what, at)
        timed = {
            who: {"median": statistics.median(each), "all": each} for who, each in seconds.items()
        }
        point = {"what": what, "at": at, "seconds": timed, **more, "load": os.getloadavg()[0]}
        self.result["points"].append(point)
        self.result["exponents"] = exponents(self.result["points"])
        self.write()
        shown = ", ".join(f"{who} {quantity(each['median'])}" for who, each in timed.items())
        print(what, " ".join(map(str, at.values())), shown, sep=" | ", flush=True)

    def write(self) -> None:
        """Write the file anew, as a whole or not at all."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        partial_file = self.out.with_suffix(".partial")
        partial_file.write_text(json.dumps(self.result, indent=1) + "\n")
        partial_file.replace(self.out)

    def skip(self, what: str, at: dict, why: str) -> None:
        """Say that a point is not measured; another run may."""
        print(what, " ".join(map(str, at.values())), f"left out: {why}", sep=" | ", flush=True)
        self.forget(what, at)
        self.result.setdefault("left_out", []).append({"what": what, "at": at, "why": why})
        self.write()

    def forget(self, what: str, at: dict) -> None:
        """Drop that a point was left out before."""
        left = self.result.get("left_out", [])
        left[:] = [one for one in left if (one["what"], one["at"]) != (what, at)]


class Turns:
    """How often something is timed: so many turns, and more while they are short."""

    def __init__(self, quick: bool):
        self.quick = quick

    def number(self, clients: int) -> int:
        """Turns that a point of so many clients gets at least."""
        if self.quick:
            return 3
        return 5 if clients <= 2000 else 3 if clients <= 10000 else 1

    def time(self, calls: dict[str, Callable], clients: int) -> tuple[dict, dict]:
        """Seconds of each call, in turns; and what each gave when it was warmed up."""
        given = {who: jax.block_until_ready(call()) for who, call in calls.items()}
        seconds: dict[str, list[float]] = {who: [] for who in calls}
        begin, turn = time.perf_counter(), 0
        enough, most = (0.1, 10) if self.quick else (1.0, 50)
        while turn < self.number(clients) or (turn < most and time.perf_counter() - begin < enough):
            for who, call in calls.items():
                start = time.perf_counter()
                jax.block_until_ready(call())
                seconds[who].append(time.perf_counter() - start)
            turn += 1
        return seconds, given


def available_bytes() -> float:
    """Memory that is free now, where the system tells it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        return math.inf


def cores() -> int:
    """Cores this process may use."""
    there = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if there else os.cpu_count() or 1


class Program:
    """A function compiled for such arguments, how long that took, and the memory it needs.

    Attributes:
        seconds: Seconds of tracing and compiling.
        bytes: Memory beside the arguments.
    """

    def __init__(self, function: Callable, *arguments):
        start = time.perf_counter()
        self.run = jax.jit(function).lower(*arguments).compile()
        self.seconds = time.perf_counter() - start
        memory = self.run.memory_analysis()
        self.bytes = memory.temp_size_in_bytes + memory.output_size_in_bytes

    def __call__(self, *arguments):
        """Run it."""
        return self.run(*arguments)

    def matrices(self, clients: int) -> float:
        """Its memory in N × N matrices of float32."""
        return self.bytes / (4 * clients**2)


def times_transposed(x):
    """``x xᵀ`` in float32, on every device."""
    return jnp.matmul(x, x.T, precision=lax.Precision.HIGHEST)


def matrix_product_rate(size: int = 2048, repeats: int = 5) -> float:
    """GFLOP/s of a float32 matrix product, the best of a few: what the machine gives now."""
    a = jax.random.normal(jax.random.key(0), (size, size))
    product = Program(times_transposed, a)
    jax.block_until_ready(product(a))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(product(a))
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9


@partial(jax.jit, static_argnums=(0, 1))
def random_models(clients: int, shape: tuple[int, ...]):
    """Normal numbers ``[N, *shape]``, a client at a time, so that they need no memory twice."""
    keys = jax.random.split(jax.random.key(0, impl="rbg"), clients)
    return lax.map(lambda key: jax.random.normal(key, shape), keys)


def few_leaves(clients: int, parameters: int) -> list:
    """Models of four leaves: 70, 20, 9 and 1 percent of the parameters."""
    sizes = [parameters * percent // 100 for percent in (70, 20, 9)]
    sizes.append(parameters - sum(sizes))
    return [random_models(clients, (size,)) for size in sizes]


class Points:
    """Points and their distances, as each program wants them."""

    def __init__(self, kind: str, clients: int):
        self.kind = kind
        self.points = np.random.default_rng(0).normal(size=(clients, KINDS[kind]))
        if kind == "peeling":
            self.points *= np.random.default_rng(1).uniform(0.5, 1.5, (clients, 1))
        # Rounded before they are made double: everybody starts from the same numbers.
        short = pdist(self.points).astype(np.float32)
        self.condensed = short.astype(np.float64)
        self.square = squareform(short)
        self.distances = jnp.asarray(self.square)


def scikit_learn(data: Points, method: str) -> Callable | None:
    """scikit-learn's clustering, where it has the method."""
    from sklearn.cluster import AgglomerativeClustering

    if method == "weighted":
        return None
    metric, x = ("euclidean", data.points) if method == "ward" else ("precomputed", data.square)
    model = AgglomerativeClustering(
        n_clusters=2, metric=metric, linkage=method, compute_full_tree=True
    )
    return lambda: model.fit(x)


def check_heights(ours: np.ndarray, theirs: np.ndarray, whose: str, where: str, most: float):
    """Largest relative difference of the heights; ends the run if that is too much."""
    apart = np.abs(ours[:, 2] - theirs[:, 2]) / np.maximum(theirs[:, 2], 1e-30)
    if not np.max(apart) <= most:
        raise SystemExit(
            f"The heights of demjax and {whose} differ: {where}, by {np.max(apart):.2g}, "
            f"{np.mean(apart > most):.2%} of them by more than {most:g}. Nothing more is timed."
        )
    return float(np.max(apart))


def peeled(merges: np.ndarray) -> float:
    """Share of the merges that add a single client to several."""
    clients = len(merges) + 1
    size = np.concatenate([np.ones(clients), merges[:, 3]])[merges[:, :2].astype(int)]
    return float(np.mean((size.min(axis=1) == 1) & (size.max(axis=1) > 1)))


def time_linkage(results: Results, turns: Turns, spread: Points, tolerance: float) -> None:
    """Linkage of given distances: ours and the others'."""
    import fastcluster

    clients = len(spread.points)
    methods = METHODS if clients in EVERY_METHOD_AT else MAIN_METHODS
    kinds = [kind for kind in KINDS if kind == "spread" or clients <= MOST_PEELING]
    places = [(kind, method) for kind in kinds for method in methods]
    places = [
        (kind, method)
        for kind, method in places
        if results.missing("linkage", clients=clients, method=method, points=kind)
    ]
    programs: dict[str, Program] = {}
    data = spread
    for kind, method in places:
        if kind != data.kind:
            data = Points(kind, clients)
        at = {"clients": clients, "method": method, "points": kind}
        if method not in programs:
            programs[method] = Program(partial(linkage, method=method), data.distances)
        calls = {
            OURS: partial(programs[method], data.distances),
            "SciPy": partial(scipy.cluster.hierarchy.linkage, data.condensed, method),
            "fastcluster": partial(fastcluster.linkage, data.condensed, method),
        }
        other = scikit_learn(data, method)
        # It makes two whole numbers for each pair before it starts.
        if other is not None and 20 * clients**2 < 0.8 * available_bytes():
            calls["scikit-learn"] = other
        seconds, given = turns.time(calls, clients)
        ours, where = np.asarray(given[OURS]), f"{method}, {clients} clients, {kind}"
        apart = {
            who: check_heights(ours, given[who], who, where, tolerance)
            for who in ("SciPy", "fastcluster")
        }
        median = {who: statistics.median(each) for who, each in seconds.items()}
        results.add(
            "linkage",
            at,
            seconds,
            demjax_over={who: median[OURS] / median[who] for who in median if who != OURS},
            memory_in_matrices=programs[method].matrices(clients),
            compile_seconds=programs[method].seconds,
            heights_apart=apart,
            peeled=peeled(ours),
        )


def time_cuts(results: Results, turns: Turns, data: Points, merges) -> None:
    """Cutting a dendrogram, alone and in one program with linkage."""
    clients = len(data.points)
    for name, cut in CUTS.items():
        at = {"clients": clients, "cut": name}
        if results.missing("cut", **at):
            alone = Program(cut.take, merges, data.distances)
            seconds, _ = turns.time({OURS: partial(alone, merges, data.distances)}, clients)
            results.add("cut", at, seconds, compile_seconds=alone.seconds)
        if results.missing("linkage + cut", **at):
            both = Program(lambda d, cut=cut: cut.take(linkage(d), d), data.distances)
            seconds, _ = turns.time({OURS: partial(both, data.distances)}, clients)
            results.add("linkage + cut", at, seconds, compile_seconds=both.seconds)


def time_together(results: Results, turns: Turns, data: Points) -> None:
    """All of it in one program for the published CNN, against the targets."""
    clients = len(data.points)
    if not results.missing("together", clients=clients):
        return
    cut = CUTS["depth 3"]
    models = [random_models(clients, shape) for shape in CNN]

    def from_distances(distances):
        return cut.take(linkage(distances), distances)

    everything = Program(lambda models: from_distances(euclidean(models)), models)
    some = Program(from_distances, data.distances)
    before = unorganized(clients, 3, 8)
    organize = Program(lambda models: self_organization(levels=3).organize(models, *before), models)
    calls = {
        "distances + linkage + cut": partial(everything, models),
        "linkage + cut": partial(some, data.distances),
        "the same and the cophenetic correlation": partial(organize, models),
    }
    seconds, _ = turns.time(calls, clients)
    met = {who: statistics.median(seconds[who]) <= most for who, most in TARGETS.items()}
    results.add(
        "together",
        {"clients": clients},
        seconds,
        targets=TARGETS,
        met=met,
        compile_seconds=everything.seconds,
    )


def time_aggregation(results: Results, turns: Turns, hierarchy, parameters: int, most: float):
    """Means of all groups, and mixing down."""
    clients = hierarchy.groups.shape[1]
    at = {"clients": clients, "parameters": parameters}
    size = 4 * clients * parameters
    if not results.missing("aggregation", **at):
        return
    if size > most or 3.5 * size > 0.8 * available_bytes():
        results.skip("aggregation", at, f"models of {size / 1e9:.1f} GB, and twice more")
        return

    def aggregate(models, hierarchy):
        means = groups.group_means(models, hierarchy)
        return groups.mix_down(models, means, hierarchy, [MIX] * hierarchy.size.shape[0])

    models = random_models(clients, (parameters,))
    program = Program(aggregate, models, hierarchy)
    seconds, _ = turns.time({OURS: partial(program, models, hierarchy)}, clients)
    beside = program.bytes / size
    rate = 2 * size / statistics.median(seconds[OURS]) / 1e9
    results.add(
        "aggregation",
        at,
        seconds,
        memory_in_models=beside,
        gigabytes_per_second=rate,
        compile_seconds=program.seconds,
    )


def time_distances(
    results: Results, turns: Turns, clients: int, parameters: int, most: float, longest: float
) -> None:
    """Distances of stacked models, beside a plain matrix product of the same size."""
    operations, size = 2 * clients**2 * parameters, 4 * clients * parameters
    for leaves in (1, 4):
        at = {"clients": clients, "parameters": parameters, "leaves": leaves}
        if not results.missing("distances", **at) or (leaves > 1 and clients > MOST_LEAVES):
            continue
        if size > most or 1.2 * size + 12 * clients**2 > 0.8 * available_bytes():
            results.skip("distances", at, f"models of {size / 1e9:.1f} GB")
            continue
        rate = matrix_product_rate(repeats=3)
        if operations / rate / 1e9 > longest:
            results.skip("distances", at, f"about {operations / rate / 1e9:.0f} s")
            continue
        if leaves == 1:
            models = [random_models(clients, (parameters,))]
        else:
            models = few_leaves(clients, parameters)
        ours = Program(euclidean, models)
        calls = {OURS: partial(ours, models)}
        if leaves == 1:
            product = Program(times_transposed, models[0])
            calls["matrix product"] = partial(product, models[0])
        seconds, given = turns.time(calls, clients)
        if not np.isfinite(np.asarray(given[OURS][0])).all():
            raise SystemExit(f"Distances of {clients} clients are not finite.")
        del given
        gflops = {who: operations / statistics.median(each) / 1e9 for who, each in seconds.items()}
        share = {"the product of 2048³": gflops[OURS] / rate}
        if leaves == 1:
            share["the product of its size"] = gflops[OURS] / gflops["matrix product"]
        results.add(
            "distances",
            at,
            seconds,
            gflops=gflops,
            matrix_product_gflops=rate,
            share_of=share,
            memory_in_matrices=ours.matrices(clients),
            compile_seconds=ours.seconds,
        )


def measure(arguments: argparse.Namespace, out: Path) -> None:
    """Time all that is asked for, from few clients to many."""
    import fastcluster
    import sklearn

    head = {
        "setting": "medians of seconds, in turns; linkage of float32 distances, made beforehand",
        "quick": arguments.quick,
        "machine": {
            "platform": jax.default_backend(),
            "device": jax.devices()[0].device_kind,
            "cpu": cpu_model(),
            "cores": cores(),
        },
        "versions": {
            "python": platform.python_version(),
            **{
                module.__name__: module.__version__
                for module in (demjax, jax, np, scipy, sklearn, fastcluster)
            },
        },
        "matrix_product_gflops": matrix_product_rate(),
    }
    results = Results(out, head, arguments.resume)
    turns, most = Turns(arguments.quick), arguments.memory_gb * 1e9
    asked = set(arguments.only)
    for clients in sorted(arguments.clients):
        if asked & {"linkage", "cut", "aggregation"}:
            data = Points("spread", clients)
            if "linkage" in asked:
                time_linkage(results, turns, data, arguments.tolerance)
            merges = jax.jit(linkage)(data.distances)
            tree = jax.jit(lambda merges: CUTS["depth 3"].take(merges, None))(merges)
            if "cut" in asked:
                time_cuts(results, turns, data, merges)
                if clients == 50:
                    time_together(results, turns, data)
            del data, merges
            gc.collect()
        for parameters in sorted(arguments.parameters):
            if "aggregation" in asked:
                time_aggregation(results, turns, tree, parameters, most)
            if "distances" in asked:
                longest = arguments.seconds
                time_distances(results, turns, clients, parameters, most, longest)
            gc.collect()
        jax.clear_caches()
    print(f"{len(results.result['points'])} points in {out}; --report draws them.")


def exponents(points: list[dict]) -> list[dict]:
    """Slope of log seconds on log clients (``FIT_FROM`` or more) or parameters, by series."""
    fitted = []
    for over in ("clients", "parameters"):
        series: dict[str, list] = defaultdict(list)
        for point in points:
            others = {name: value for name, value in point["at"].items() if name != over}
            if over in point["at"] and (over != "clients" or point["at"][over] >= FIT_FROM):
                for who, seconds in point["seconds"].items():
                    name = json.dumps([point["what"], who, others])
                    series[name].append((point["at"][over], seconds["median"]))
        for name, pairs in series.items():
            if len({x for x, _ in pairs}) > 1:
                slope = float(np.polyfit(*np.log(np.array(sorted(pairs))).T, 1)[0])
                what, who, at = json.loads(name)
                line = {"what": what, "of": who, "at": at, "over": over}
                fitted.append({**line, "exponent": slope, "points": len(pairs)})
    return fitted


def quantity(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            digits = max(0, 2 - math.floor(math.log10(seconds / size)))
            return f"{seconds / size:.{digits}f} {unit}"
    raise AssertionError


def power_of_ten(number: int) -> str:
    """10⁴ for 10000; other numbers as they are."""
    exponent = len(str(number)) - 1
    if number != 10**exponent:
        return f"{number:,}"
    return "10" + str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def rows_of(
    points: list[dict], what: str, order: tuple[str, ...] = ()
) -> Iterator[tuple[dict, dict, dict]]:
    """Points of one kind, sorted by where they are: where, median seconds, everything."""
    some = [point for point in points if point["what"] == what]
    for point in sorted(some, key=lambda point: [point["at"][name] for name in order]):
        medians = {who: each["median"] for who, each in point["seconds"].items()}
        yield point["at"], medians, point


def markdown(header: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table; the numbers to the right."""
    lines = [f"| {' | '.join(header)} |", "|" + "---|" + "---:|" * (len(header) - 1)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def linkage_table(points: list[dict]) -> list[str]:
    """Linkage, by points and method."""
    others = [who for who in STYLES if who != OURS]
    rows = []
    for at, medians, point in rows_of(points, "linkage", ("points", "method", "clients")):
        row = [f"{at['points']}, {at['method']}", f"{at['clients']:,}"]
        row += [quantity(medians[who]) if who in medians else "–" for who in STYLES]
        ratios = point["demjax_over"]
        row += [f"{ratios[who]:.2f}" if who in ratios else "–" for who in others]
        rows.append([*row, f"{point['peeled']:.0%}", f"{point['memory_in_matrices']:.2f}"])
    header = ["points, method", "clients", *STYLES, *(f"demjax / {who}" for who in others)]
    note = (
        "Points: `spread`: normal, in 3 dimensions; `peeling`: in 1,000, each "
        "stretched. Peeled: share of the "
        "merges that add a single client to several. Memory: beside the distances, in N × N "
        "matrices of float32. SciPy and fastcluster start from condensed distances in float64, "
        "demjax and scikit-learn from a square matrix, but scikit-learn's Ward from the points."
    )
    return ["\n## Linkage\n", note, "", *markdown([*header, "peeled", "memory"], rows)]


def distance_table(points: list[dict]) -> list[str]:
    """Distances, by parameters."""
    rows = []
    for at, medians, point in rows_of(points, "distances", ("leaves", "parameters", "clients")):
        leaves = "1 leaf" if at["leaves"] == 1 else f"{at['leaves']} leaves"
        row = [f"{power_of_ten(at['parameters'])}, {leaves}", f"{at['clients']:,}"]
        row.append(quantity(medians[OURS]))
        row.append(quantity(medians["matrix product"]) if len(medians) > 1 else "–")
        shares = list(point["share_of"].values())
        row += [f"{point['gflops'][OURS]:.0f}", f"{shares[0]:.2f}"]
        row += [f"{shares[1]:.2f}" if len(shares) > 1 else "–"]
        rows.append([*row, f"{point['memory_in_matrices']:.2f}"])
    note = (
        "Euclidean, of random models. Counted are 2 N² P operations, as for the product of the "
        "models with their transpose; half of them would do, so that shares may be above 1."
    )
    header = ["parameters", "clients", OURS, "matrix product", "GFLOP/s", "share of 2048³"]
    header += ["share of the product", "memory"]
    return ["\n## Distances\n", note, "", *markdown(header, rows)]


def small_tables(points: list[dict]) -> list[str]:
    """Cut, aggregation, all together."""
    alone = {tuple(at.values()): medians[OURS] for at, medians, _ in rows_of(points, "cut")}
    rows = [
        [at["cut"], f"{at['clients']:,}", quantity(alone[tuple(at.values())]), quantity(both[OURS])]
        for at, both, _ in rows_of(points, "linkage + cut", ("cut", "clients"))
        if tuple(at.values()) in alone
    ]
    lines = ["\n## Cut (spread points, linkage average)\n"]
    lines += markdown(["cut", "clients", "cut", "linkage + cut"], rows)
    rows = [
        [
            power_of_ten(at["parameters"]),
            f"{at['clients']:,}",
            quantity(medians[OURS]),
            f"{point['gigabytes_per_second']:.1f}",
            f"{point['memory_in_models']:.2f}",
        ]
        for at, medians, point in rows_of(points, "aggregation", ("parameters", "clients"))
    ]
    lines += [
        "\n## Aggregation\n",
        "Means of all groups of a tree of 3 levels, and mixing down. GB/s: reading all models once "
        "and writing them once. Memory: beside the models, in copies of them.\n",
        *markdown(["parameters", "clients", "seconds", "GB/s", "memory"], rows),
    ]
    for _, medians, point in rows_of(points, "together"):
        rows = [
            [
                who,
                quantity(seconds),
                quantity(TARGETS[who]) if who in TARGETS else "–",
                {True: "yes", False: "no"}.get(point["met"].get(who), "–"),
            ]
            for who, seconds in medians.items()
        ]
        lines += ["\n## 50 clients with the published CNN of 834,922 parameters\n"]
        lines += markdown(["in one program", "seconds", "target", "met"], rows)
    return lines


def table(result: dict) -> str:
    """The Markdown page."""
    points = result["points"]
    lines = ["# What clustering costs"]
    if result["quick"]:
        lines.append("\n**A quick run of few repetitions: not to be quoted.**")
    lines += linkage_table(points) + distance_table(points) + small_tables(points)
    rows = [
        [
            ", ".join([line["what"], *(f"{name} {value}" for name, value in line["at"].items())]),
            line["of"],
            f"{line['over']}{f' ≥ {FIT_FROM}' if line['over'] == 'clients' else ''}",
            f"{line['exponent']:.2f}",
            str(line["points"]),
        ]
        for line in result.get("exponents", [])
    ]
    lines += ["\n## Exponents\n", "Least squares of log seconds on the log of what grows.\n"]
    lines += markdown(["what", "of", "on", "exponent", "points"], rows)
    if result.get("left_out"):
        lines += ["\n## Left out\n"]
        for line in result["left_out"]:
            where = ", ".join(f"{name} {value:,}" for name, value in line["at"].items())
            lines.append(f"- {line['what']}, {where}: {line['why']}")
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    load = max(point["load"] for point in points)
    lines.append(
        f"\nMachine: {machine['cpu']}, {machine['cores']} cores; device: {machine['platform']} "
        f"({machine['device']}), {result['matrix_product_gflops']:.0f} GFLOP/s for a product of "
        f"2048³ in float32. Load average while it ran: at most {load:.1f}. Versions: {versions}."
    )
    return "\n".join(lines) + "\n"


def curve(measured: list[dict], what: str, who: str, **at) -> tuple[list[int], list[float]]:
    """Clients and median seconds of one series."""
    pairs = sorted(
        (where["clients"], medians[who])
        for where, medians, _ in rows_of(measured, what)
        if who in medians and all(where[name] == value for name, value in at.items())
    )
    return [n for n, _ in pairs], [s for _, s in pairs]


def figure(result: dict, path: Path) -> None:
    """Seconds over clients: linkage on the left, the rest on the right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "demjax", "svg.fonttype": "none"})
    points = result["points"]
    drawing, (left, right) = plt.subplots(1, 2, figsize=(10.5, 5.6), sharey=True)
    line = partial(plt.Line2D, [], [])
    for colour, method in zip(COLOURS, MAIN_METHODS, strict=False):
        for who, style in STYLES.items():
            xy = curve(points, "linkage", who, method=method, points="spread")
            left.plot(*xy, color=colour, **style)
        xy = curve(points, "linkage", OURS, method=method, points="peeling")
        left.plot(*xy, color=colour, linestyle="", marker="x", markersize=6)
    keys = [
        line(color=colour, linewidth=3, label=method)
        for colour, method in zip(COLOURS, MAIN_METHODS, strict=False)
    ]
    keys += [line(color="#555555", label=who, **style) for who, style in STYLES.items()]
    crosses = {"linestyle": "", "marker": "x", "markersize": 6}
    keys.append(line(color="#555555", label="demjax, peeling points", **crosses))
    left.set_title("Linkage of given distances")

    sizes = sorted({at["parameters"] for at, *_ in rows_of(points, "distances")})
    sizes = sorted({*sizes, *(at["parameters"] for at, *_ in rows_of(points, "aggregation"))})
    marks = ("o", "s", "^", "D", "v")
    for mark, size in zip(marks, sizes, strict=False):
        label = f"{power_of_ten(size)} parameters"
        style = {"marker": mark, "markersize": 4}
        xy = curve(points, "distances", OURS, parameters=size, leaves=1)
        right.plot(*xy, color=COLOURS[0], label=f"distances, {label}", **style)
        xy = curve(points, "aggregation", OURS, parameters=size)
        style |= {"linestyle": "--", "linewidth": 1}
        right.plot(*xy, color=COLOURS[1], label=f"aggregation, {label}", **style)
    for style, name in zip(("-", ":"), CUTS, strict=True):
        xy = curve(points, "cut", OURS, cut=name)
        right.plot(*xy, style, color=COLOURS[2], label=f"cut, {name}", linewidth=1.4)
    for at, medians, _ in rows_of(points, "together"):
        label = "CNN: distances + linkage + cut"
        y = medians["distances + linkage + cut"]
        right.plot(at["clients"], y, "*", color=COLOURS[6], markersize=10, label=label)
    right.set_title("Distances, aggregation, cut")

    ticks = sorted({point["at"]["clients"] for point in points})
    for panel in (left, right):
        panel.set(xscale="log", yscale="log", xlabel="clients")
        panel.set_xticks(ticks, [f"{n:,}" for n in ticks], rotation=45)
        panel.minorticks_off()
        panel.grid(alpha=0.25)
        panel.tick_params(labelleft=True)
    left.set_ylabel("seconds")
    below = {"frameon": False, "fontsize": 8, "loc": "upper center", "bbox_to_anchor": (0.5, -0.2)}
    left.legend(handles=keys, ncols=2, **below)
    right.legend(ncols=2, **below)
    machine = result["machine"]
    where = machine["device"] if machine["platform"] != "cpu" else machine["cpu"]
    quick = "; a quick run, not to be quoted" if result["quick"] else ""
    drawing.suptitle(f"What clustering costs on {where}, {machine['cores']} cores{quick}")
    drawing.tight_layout()
    drawing.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    drawing.savefig(path.with_suffix(".png"), dpi=150)


def main() -> int:
    """Measure, or report what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", help="numbers of clients")
    parser.add_argument("--parameters", type=int, nargs="+", help="sizes of models")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="what to time")
    parser.add_argument("--memory-gb", type=float, default=6, help="most that models may take")
    parser.add_argument("--seconds", type=float, default=60, help="most for distances, as guessed")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="how far heights may differ")
    parser.add_argument("--quick", action="store_true", help="a small grid, few repetitions")
    parser.add_argument("--resume", action="store_true", help="keep the points that OUT holds")
    parser.add_argument("--report", action="store_true", help="table and figure of what OUT holds")
    parser.add_argument("--out", type=Path, help="by default in benchmarks/results")
    arguments = parser.parse_args()
    quick = arguments.quick
    arguments.clients = arguments.clients or ((50, 500) if quick else CLIENTS)
    arguments.parameters = arguments.parameters or ((10**4,) if quick else PARAMETERS)
    kind = jax.default_backend()
    out = arguments.out or RESULTS / f"clustering_cost{'' if kind == 'cpu' else '_' + kind}.json"
    if not arguments.report:
        measure(arguments, out)
        return 0
    if not out.exists():
        parser.error(f"there is no {out}: run this without --report first")
    result = json.loads(out.read_text())
    text = table(result)
    out.with_suffix(".md").write_text(text)
    figure(result, out)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
