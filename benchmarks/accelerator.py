"""Seconds of DemLearn's rounds on the accelerator that is here, beside what its makers promise.

    python benchmarks/accelerator.py                                    # under ten minutes
    python benchmarks/accelerator.py --torch-python TORCH_ENV/bin/python
    python benchmarks/accelerator.py --scale 0.01                        # try it on a CPU

The day a GPU or TPU is at hand, this is what to run. A row is a model, a number of clients with 60
made-up training examples each, and one device or all of them. It has the median of ``--rounds``
rounds after one to warm up; the roofline that ``demjax.plan`` draws, from the maker's figures where
the device is known and else from the fastest product that was measured here; and what a plain
PyTorch loop takes for the local training alone on the same device, from a few of the clients,
scaled. A row that the device has no memory for says so. ``--torch-python`` is the Python of an
environment with PyTorch; without it that column is empty. Rows are written to OUT as they come:
``benchmarks/results/accelerator.json`` and ``.md``, of a CPU ``accelerator_cpu``.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROWS = (("cnn", 50), ("cnn", 1_000), ("cnn", 10_000), ("linear", 100_000))
"""Models and numbers of clients; the first is the published setting's."""
EXAMPLES, EPOCHS, BATCH = 60, 2, 10
LOOPED = 10
"""Clients that the PyTorch loop trains."""
CPU_NOTES = """\
A trial of what is to be run the day a GPU or TPU is at hand, at small sizes. The roofline is of all
products of a round at the rate of the fastest one that this machine does on all of its cores, which
one device may use as well as two. A round is training, clustering, means and mixing; the loop is
training alone, on one thread. Other work shared the cores, so that seconds are rough.
"""


def loop_seconds(model: str, clients: int) -> float:
    """Seconds of a PyTorch loop over so many clients; for an interpreter that has PyTorch."""
    import torch
    from torch_loop import MODELS, Examples, train_client

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":  # on batches of ten more threads gain nothing, and wait for one another
        torch.set_num_threads(1)
    network = MODELS[model]().to(device)
    x = torch.randn(EXAMPLES, 1, 28, 28, device=device)
    data = Examples(x, torch.randint(10, (EXAMPLES,), device=device))
    train_client(network, data, 0.0)  # to warm up
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(LOOPED):
        train_client(network, data, 0.0)
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / LOOPED * clients


def product_rate(size: int = 4096) -> float:
    """Operations a second of a product in single precision, the best of a few."""
    import jax

    a = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda a: jax.lax.dot(a, a, precision="highest"))
    product(a).block_until_ready()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        product(a).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def known_device():
    """What the maker says of the device that is here, if it is one of those known."""
    import jax

    from demjax.backend.accelerators import ACCELERATORS

    kind = jax.devices()[0].device_kind.lower().replace("lite", "e").replace(" ", "")
    kind = "tpuv5p" if kind == "tpuv5" else kind  # as JAX calls it
    for name, device in ACCELERATORS.items():
        if name.removeprefix("tpu-") in kind:
            return device
    return None


def measured(model: str, count: int, devices: int, rounds: int, rate: float) -> dict:
    """A row: seconds of rounds that are done here, or why they are not."""
    import jax
    from round_cost import MODELS, made_up

    import demjax
    from demjax.backend import memory, policy
    from demjax.backend.placement import on_every_device
    from demjax.simulation.operations import work_of
    from demjax.simulation.programs import programs

    row = {"model": model, "clients": count, "devices": devices}
    clients, key = made_up(count, EXAMPLES), jax.random.key(0)
    with jax.default_matmul_precision("float32"):
        task = demjax.classification(MODELS[model](), clients.x[0])
        local = demjax.local_training(task, "sgd", lr=0.05, epochs=EPOCHS, batch_size=BATCH)
        algorithm = demjax.demlearn(local)
        state = jax.eval_shape(algorithm.init, key, clients)
        traced = jax.make_jaxpr(algorithm.round)(key, state, clients)
    work, maker = work_of(traced, steps=-(-EXAMPLES // BATCH)), known_device()
    moved = work.bytes / maker.bandwidth if maker else 0.0
    together = 1 if policy.devices_are_cores() else devices  # these share what was measured
    row["roofline"] = max(work.operations / (maker.operations if maker else rate), moved) / together
    with demjax.spread_over(devices), jax.default_matmul_precision("float32"):
        clients = on_every_device(clients)
        try:
            take = demjax.measure(task, clients, measures=("global",))
            made = programs(algorithm, task, clients, key=key, take_measures=take)
            needs, free = memory.planned(made.round), memory.free()
            row |= {"compile_seconds": made.seconds, "needs_bytes": needs}
            if free is not None and needs > free:
                return row | {"why": f"needs {needs / 1e9:.1f} of {free / 1e9:.1f} GB"}
            state, seconds = made.init(key, clients), []
            for number in range(rounds + 1):
                start = time.perf_counter()
                state, _ = jax.block_until_ready(made.round(key, number, state, clients))
                seconds.append(time.perf_counter() - start)
        except jax.errors.JaxRuntimeError as error:
            return row | {"why": str(error).splitlines()[0][:100]}
    return row | {"seconds": statistics.median(seconds[1:]), "all": seconds}


def report(result: dict) -> str:
    """The table in Markdown."""
    machine = result["machine"]
    cpu = machine["device"] == "cpu"
    kind = f"a CPU, which is no accelerator: {machine['cpu']}" if cpu else machine["device"]
    lines = [
        f"# DemLearn on {kind}",
        "",
        "| model | clients | devices | seconds a round | roofline | PyTorch loop, training alone |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["points"]:
        done = f"{row['seconds']:.3g}" if "seconds" in row else row["why"]
        loop = f"{row['loop']:.3g}" if row.get("loop") else "–"
        lines.append(
            f"| {row['model']} | {row['clients']:,} | {row['devices']} | {done} | "
            f"{row['roofline']:.3g} | {loop} |"
        )
    lines += ["", CPU_NOTES.rstrip() if cpu else ""]
    told = ", ".join(f"{name} {value}" for name, value in machine.items())
    versions = ", ".join(f"{name} {value}" for name, value in result["versions"].items())
    return "\n".join([*lines, "", f"Machine: {told}. Versions: {versions}.", ""])


def main() -> int:
    """Measure all rows, and write them down as they come."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are timed")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on numbers of clients")
    parser.add_argument("--torch-python", help="Python of an environment that has PyTorch")
    parser.add_argument("--out", type=Path, help="where the rows go")
    parser.add_argument("--loop", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.loop:
        print(loop_seconds(given.loop[0], int(given.loop[1])))
        return 0
    import jax
    from machine import RESULTS, empty_result, keep, take_devices

    take_devices(None)
    cpu = jax.default_backend() == "cpu"
    out = given.out or RESULTS / f"accelerator{'_cpu' if cpu else ''}.json"
    result, rate = empty_result("DemLearn, made-up images", jax.device_count()), product_rate()
    scaled = [(model, max(16, int(n * given.scale) // 16 * 16)) for model, n in ROWS]
    for model, count in dict.fromkeys(scaled):
        loop = None
        if given.torch_python:
            command = [given.torch_python, __file__, "--loop", model, str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"The PyTorch loop failed: {done.stderr.strip().splitlines()[-1]}")
            loop = float(done.stdout)
        for devices in sorted({1, jax.device_count()}):
            row = measured(model, count, devices, given.rounds, rate)
            result["points"].append(row | {"loop": loop})
            print(json.dumps(result["points"][-1]), flush=True)
            keep(result, out)
            out.with_suffix(".md").write_text(report(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
