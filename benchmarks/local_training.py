"""Seconds of one round of local training at the published MNIST setting: demjax and PyTorch.

    python benchmarks/local_training.py --data-dir DIR --torch-python TORCH_ENV/bin/python

``--torch-python`` is the Python of an environment with ``requirements-torch.txt``; PyTorch is
installed only there. Both sides train the same clients with the same number of steps on all cores,
demjax with a device for each (``--devices``), in turns (demjax, PyTorch, demjax, …), so that a
machine whose speed drifts treats them alike.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import optax

import demjax
from demjax.backend.sharding import compiler_options
from demjax.pytrees import stack_copies

RESULTS = Path(__file__).parent / "results" / "local_training.json"


def published_clients(data_dir: str) -> demjax.ClientData:
    """The published split of MNIST."""
    mnist = demjax.data.mnist(data_dir=data_dir)
    x = demjax.data.per_pixel(mnist.x)(mnist.x)
    return demjax.data.client_data(x, mnist.y, demjax.data.published_mnist(mnist.y))


def matrix_product_rate(size: int = 2048, repeats: int = 5) -> float:
    """GFLOP/s of a float32 matrix product, the best of a few: what the machine gives now."""
    a = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        product(a).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9


class DemjaxRounds:
    """Compiled local training, one round a call."""

    def __init__(self, clients: demjax.ClientData, devices: int):
        self.devices = devices
        task = demjax.classification(demjax.models.CNN(classes=10), clients.x[0])
        local = demjax.local_training(task, optax.sgd(0.05), epochs=2, batch_size=10)
        self.clients = clients
        self.server = local.init(jax.random.key(0))
        start = time.perf_counter()

        def one_round(key, server, clients):
            start = stack_copies(server, clients.n_clients)
            return local.train(key, start, clients)

        arguments = jax.random.key(0), self.server, clients
        with demjax.spread_over(devices):
            program = jax.jit(one_round, compiler_options=compiler_options())
            self.compiled = program.lower(*arguments).compile()
        self.compile_seconds = time.perf_counter() - start

    def seconds(self, number: int) -> float:
        """Time one round."""
        with demjax.spread_over(self.devices):
            start = time.perf_counter()
            key = jax.random.key(number)
            jax.block_until_ready(self.compiled(key, self.server, self.clients))
            return time.perf_counter() - start


def torch_seconds(python: str, split: Path, rounds: int) -> tuple[list[float], dict]:
    """Time some rounds of the plain PyTorch loop, in its own process after one warm-up round."""
    script = Path(__file__).parent / "torch_loop.py"
    command = [python, str(script), "--split", str(split), "--rounds", str(rounds), "--warmup", "1"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = json.loads(output.splitlines()[-1])
    return result["training_seconds"]["all"], result


def main() -> int:
    """Read what is asked, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="folder with MNIST's four IDX files")
    parser.add_argument("--torch-python", help="Python of an environment with PyTorch")
    parser.add_argument("--turns", type=int, default=3, help="how often the two take turns")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each in a turn")
    parser.add_argument("--devices", type=int, default=os.cpu_count(), help="one for each core")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()

    demjax.use_cores(arguments.devices)
    return compare(arguments)


def compare(arguments: argparse.Namespace) -> int:
    """Time both sides in turns, print and write."""
    clients = published_clients(arguments.data_dir)
    ours = DemjaxRounds(clients, arguments.devices)
    ours.seconds(0)
    demjax_seconds: list[float] = []
    torch_all: list[float] = []
    rates: list[float] = []
    torch_result: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        split = Path(folder) / "split.npz"
        np.savez(split, **{name: np.asarray(value) for name, value in clients._asdict().items()})
        for turn in range(arguments.turns):
            rates.append(matrix_product_rate())
            rounds = range(turn * arguments.rounds, (turn + 1) * arguments.rounds)
            demjax_seconds += [ours.seconds(number + 1) for number in rounds]
            if arguments.torch_python:
                more, torch_result = torch_seconds(arguments.torch_python, split, arguments.rounds)
                torch_all += more
    steps = int(2 * np.sum(-(-np.asarray(clients.train_size) // 10)))
    result = {
        "setting": "published MNIST split, 50 clients, CNN of 834,922 parameters, E = 2, B = 10",
        "steps_per_round": steps,
        "demjax": {
            "median_seconds": statistics.median(demjax_seconds),
            "all_seconds": demjax_seconds,
            "milliseconds_per_step": 1e3 * statistics.median(demjax_seconds) / steps,
            "compile_seconds": ours.compile_seconds,
        },
        "matrix_product_gflops": rates,
        "machine": {
            "cores": os.cpu_count(),
            "device": jax.devices()[0].device_kind,
            "devices": arguments.devices,
        },
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
    }
    if torch_all:
        ratio = statistics.median(torch_all) / statistics.median(demjax_seconds)
        result["torch"] = {
            "median_seconds": statistics.median(torch_all),
            "all_seconds": torch_all,
            "version": torch_result["torch"],
            "threads": torch_result["threads"],
        }
        result["torch_over_demjax"] = ratio
        result["machine"]["cpu"] = torch_result["cpu"]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
