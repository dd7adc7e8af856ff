"""DemLearn's round on more and more devices and processes, and what it costs at 10³ to 10⁶ clients.

    python benchmarks/scaling.py                       # about half an hour
    python benchmarks/scaling.py --clients 64 --devices 1 2 --processes 1 2 --model-clients 200 400

*Strong and weak scaling*: a linear model, ``--clients`` clients in all, or as many on each device
as the first of ``--devices`` has of an eighth of them, on forced devices of a CPU and on several
processes. These share the cores of one machine, so that seconds say nothing; told are what a
round's program needs on a device, the bytes that each of its steps between devices makes, and by
how much its models differ from those of one device after three rounds.

*Cost*: seconds of a round's parts at ``--model-clients`` clients give the constants of a model of
cost, the median over these numbers, which is checked against whole rounds that are measured, and
told up to a million: ``T(N) = a N + s N P + c N² D + l N²`` below 5,000 clients, where ``D`` are
the numbers of a sketch, and ``T(N) = a N + s N P + g N C D + k`` above, with ``C`` centroids.
``a`` is a client's share of a round in which nobody is clustered: training, means and mixing; ``s``
a parameter's part of a sketch, ``c`` and ``g`` a multiplication and addition in distances and in
finding centroids, ``l`` a pair in linkage, ``k`` what follows once there are centroids. ``g`` and
``k`` are of points at random, all else of clients as they are in the round, who form no groups:
where they do, distances may take two or three passes. It is assumed that constants do not depend on
``N``, though caches are left behind, and that there is the memory (4 N P bytes of models); each is
the least of three times, for others may be at work on the machine.

Rows are written to OUT as they come, ``benchmarks/results/scaling.json``, and ``.md`` beside it;
those of both scalings that are there are not measured again.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np

EXAMPLES, ROUNDS = 60, 3
CENTROIDS, COARSE = 2048, 1021
"""Centroids of two stages, and numbers in their sketches."""
MEASURED, TOLD = (1_000, 3_000, 5_000, 20_000), (10**3, 10**4, 10**5, 10**6)
CONSTANTS = {
    "a": "of a client: training, means and mixing",
    "s": "of a parameter of a client in its sketch",
    "c": "of a number of a pair's sketches in distances",
    "g": "of a number of a client's and a centroid's sketches",
    "l": "of a pair in linkage",
    "k": "of linkage of centroids",
}
NOTES = """\
Devices and processes share the cores of this machine, which other work shared, too: bytes and
differences are what counts, seconds are rough. *State* is what a device has of models, which fall
as one over devices, and of 32 groups (1 MB) and clients' rows of indices, which all have whole;
examples are left out. *Work* is what a round takes beside it: matrices of pairs of clients, whole
on each device (1 MB each of 512 clients), and windows of columns of models, which one device does
not send. *Between devices* are bytes of the results of all steps between devices, each counted
once, however often a loop around it runs: all-to-all are the columns of models by which distances
are found, N P / D numbers for each of D devices, and a little more where windows overlap;
all-reduce are twice the distances, N² numbers, and the sums of groups, at fewer devices of some
columns at a time. Processes change nothing of it. Differences are those of single precision, whose
sums have another order, after three rounds.
"""
COST_NOTES = """\
T(N) = a N + s N P + c N² D + l N² below 5,000 clients, with sketches of D = 2,039 numbers, and
a N + s N P + g N C D + k from there on, with D = 1,021 and C = 2,048 centroids; P = 7,850. Assumed:
constants do not depend on N, clients form no groups (else distances take two or three passes), and
the models fit: those of a million clients are 31 GB, more than this machine has.
"""


def setting(count: int):
    """Made-up clients, and DemLearn with a linear model."""
    from round_cost import made_up

    import demjax

    clients = made_up(count, EXAMPLES)
    task = demjax.classification(demjax.models.Linear(10), clients.x[0])
    local = demjax.local_training(task, "sgd", lr=0.05, epochs=2, batch_size=10)
    return clients, local, demjax.demlearn(local)


def child(out: str, clients: int, devices: int, processes: int, number: int, port: int) -> None:
    """Be one process of a run; the first writes down what it saw."""
    import jax

    jax.config.update("jax_num_cpu_devices", devices)
    from demjax.backend.collectives import collectives
    from demjax.backend.placement import on_every_device, state_shardings, stored_evenly, whole
    from demjax.backend.processes import together
    from demjax.backend.sharding import spread_over

    join = together(f"localhost:{port}", processes, number) if processes > 1 else nullcontext()
    with join as seen, spread_over():
        data, _, algorithm = setting(clients)
        data, key = on_every_device(data), jax.random.key(0)
        algorithm = stored_evenly(algorithm, data)
        where = state_shardings(jax.eval_shape(algorithm.init, key, data), clients)
        state = jax.jit(algorithm.init, out_shardings=where)(key, data)
        one = jax.jit(algorithm.round, donate_argnums=1, out_shardings=(where, whole()))
        compiled = one.lower(key, state, data).compile()
        for each in range(ROUNDS):
            state, _ = compiled(jax.random.fold_in(key, each), state, data)
        last = jax.jit(lambda s: algorithm.models(s).client, out_shardings=whole())(state)
        leaves = [np.asarray(leaf).reshape(clients, -1) for leaf in jax.tree.leaves(last)]
        if seen is None or seen.writes:
            told = compiled.memory_analysis()
            between = {k: sum(v) for k, v in collectives(compiled.as_text()).items()}
            np.savez(
                out,
                models=np.concatenate(leaves, axis=1),
                state=told.argument_size_in_bytes - data.x.nbytes - data.y.nbytes,
                work=told.temp_size_in_bytes,
                between=json.dumps(between),
            )
        if seen is not None:
            seen.code = 0  # else the others are told that this one died


def spread(clients: int, devices: int, processes: int) -> dict[str, np.ndarray]:
    """What the processes of a run saw."""
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "seen.npz")
        given = [out, clients, devices, processes]
        begun = [
            subprocess.Popen(
                [sys.executable, __file__, "--child", json.dumps([*given, number, port])],
                stdout=subprocess.DEVNULL,
            )
            for number in range(processes)
        ]
        if any(process.wait() for process in begun):
            sys.exit(f"A run on {devices} devices of {processes} processes failed.")
        return dict(np.load(out))


def scalings(clients: int, devices: list[int], processes: list[int], done=()):
    """A row for each number of devices and processes, those that are done left out."""
    ways = [(d, 1) for d in devices] + [(2, p) for p in processes if p > 1]
    alone: dict[int, np.ndarray] = {}
    for kind in ("strong", "weak"):
        for each, count in ways:
            total = clients if kind == "strong" else clients // 8 * each * count
            if (kind, each * count, count, total) in done:
                continue
            if total not in alone:
                alone[total] = spread(total, 1, 1)["models"]
            seen = spread(total, each, count)
            yield {
                "kind": kind,
                "clients": total,
                "devices": each * count,
                "processes": count,
                "state_bytes": int(seen["state"]),
                "work_bytes": int(seen["work"]),
                "between_bytes": json.loads(str(seen["between"])),
                "difference": float(np.abs(seen["models"] - alone[total]).max()),
            }


def timed(function, *arguments) -> float:
    """Seconds of a function that is compiled before, the least of three: others may be at work."""
    import jax

    compiled, seconds = jax.jit(function).lower(*arguments).compile(), []
    for _ in range(3):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def constants(count: int) -> dict[str, float]:
    """The model's constants, from parts of a round of so many clients."""
    import jax

    import demjax
    from demjax.clustering import clusterings, count_sketch, euclidean
    from demjax.clustering.linkage import linkage

    clients, local, _ = setting(count)
    seldom, key = demjax.demlearn(local, period=10**6, measure_at="trained"), jax.random.key(0)
    state, _ = jax.jit(seldom.round)(key, seldom.init(key, clients), clients)  # in it all cluster
    models = seldom.models(state).client

    def sketched(models):
        return count_sketch(models, clusterings.BUCKETS)

    fine = jax.jit(sketched)(models)
    linked = timed(linkage, jax.jit(euclidean)(fine)) / count**2
    parameters = sum(leaf.size for leaf in jax.tree.leaves(local.init(key)))
    return {
        "a": timed(seldom.round, key, state, clients) / count,
        "s": timed(sketched, models) / (count * parameters),
        "c": timed(euclidean, fine) / (count**2 * clusterings.BUCKETS),
        "l": linked,
        "parameters": float(parameters),
    }


def staged(counts=(5_000, 10_000)) -> dict[str, float]:
    """The constants of two stages, from points of two numbers of clients."""
    import jax

    from demjax.clustering.pivots import Kind
    from demjax.clustering.two_stage import two_stage_linkage
    from demjax.registry import LINKAGES

    def linked(points):
        return two_stage_linkage(points, Kind(root=True), LINKAGES["average"].make(), CENTROIDS)

    few, many = (
        timed(linked, jax.random.normal(jax.random.key(0), (count, COARSE))) for count in counts
    )
    each = max(0.0, many - few) / (counts[1] - counts[0])
    return {"g": each / (CENTROIDS * COARSE), "k": max(0.0, few - counts[0] * each)}


def says(model: dict[str, float], count: int) -> float:
    """Seconds of a round by the model of cost."""
    from demjax.clustering import clusterings

    common = (model["a"] + model["s"] * model["parameters"]) * count
    if count < clusterings.TWO_STAGE_FROM:
        pairs = float(count) ** 2
        return common + model["c"] * pairs * clusterings.BUCKETS + model["l"] * pairs
    return common + model["g"] * count * CENTROIDS * COARSE + model["k"]


def cost(at: list[int], measured: list[int]) -> dict:
    """Constants, rounds that were measured beside what the model says, and what it says of more."""
    import jax

    found = [constants(count) for count in at]
    model = {name: statistics.median(one[name] for one in found) for name in found[0]} | staged()
    checks = []
    for count in measured:
        clients, _, algorithm = setting(count)
        key = jax.random.key(0)
        state = jax.jit(algorithm.init)(key, clients)
        compiled = jax.jit(algorithm.round, donate_argnums=1).lower(key, state, clients).compile()
        seconds = []
        for number in range(3):
            start = time.perf_counter()
            state, _ = jax.block_until_ready(compiled(jax.random.key(number), state, clients))
            seconds.append(time.perf_counter() - start)
        checks.append({"clients": count, "seconds": min(seconds[1:])})
    return {
        "constants": model,
        "each": found,
        "measured": [row | {"model": says(model, row["clients"])} for row in checks],
        "told": [{"clients": n, "seconds": says(model, n)} for n in TOLD],
    }


def report(result: dict) -> str:
    """Both parts in Markdown."""
    lines = [
        "# Scaling",
        "",
        "| scaling | clients | devices | processes | state of a device, MB | work, MB | between "
        "devices, MB | largest difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["points"]:
        between = ", ".join(f"{k} {v / 1e6:.3g}" for k, v in row["between_bytes"].items()) or "–"
        lines.append(
            f"| {row['kind']} | {row['clients']:,} | {row['devices']} | {row['processes']} | "
            f"{row['state_bytes'] / 1e6:.3g} | {row['work_bytes'] / 1e6:.3g} | {between} | "
            f"{row['difference']:.1e} |"
        )
    lines += ["", *NOTES.splitlines()]
    found = result.get("cost")
    if found:
        lines += ["", "## Cost of a round, linear model, one device", ""]
        lines += ["| constant | seconds | at each number of clients |", "|---|---|---|"]
        for name, what in CONSTANTS.items():
            each = ", ".join(f"{one[name]:.2g}" for one in found["each"] if name in one) or "–"
            lines.append(f"| {name}, {what} | {found['constants'][name]:.3g} | {each} |")
        lines += ["", "| clients | measured, s | the model says, s |", "|---|---|---|"]
        measured = {row["clients"] for row in found["measured"]}
        lines += [
            f"| {r['clients']:,} | {r['seconds']:.3g} | {r['model']:.3g} |"
            for r in found["measured"]
        ]
        told = [row for row in found["told"] if row["clients"] not in measured]
        lines += [f"| {r['clients']:,} | – | {r['seconds']:.3g} |" for r in told]
        lines += ["", *COST_NOTES.splitlines()]
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in result["versions"].items())
    return "\n".join([*lines, "", f"Machine: {machine}. Versions: {versions}.", ""])


def main() -> int:
    """Measure both parts, and write them down as they come."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clients", type=int, default=1024, help="of strong scaling")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--model-clients", type=int, nargs="+", default=[1_000, 2_000, 4_000])
    parser.add_argument("--measured", type=int, nargs="*", default=list(MEASURED))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*json.loads(given.child))
        return 0
    from machine import RESULTS, empty_result, keep

    out = given.out or RESULTS / "scaling.json"
    result = empty_result("DemLearn, linear model, made-up images", max(given.devices))
    if out.exists():  # rows that are there are not measured again
        result["points"] = json.loads(out.read_text())["points"]
    names = "kind", "devices", "processes", "clients"
    done = {tuple(row[name] for name in names) for row in result["points"]}
    for row in scalings(given.clients, given.devices, given.processes, done):
        result["points"].append(row)
        print(json.dumps(row), flush=True)
        keep(result, out)
        out.with_suffix(".md").write_text(report(result))
    result["cost"] = cost(given.model_clients, given.measured)
    print(json.dumps(result["cost"]), flush=True)
    keep(result, out)
    out.with_suffix(".md").write_text(report(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
