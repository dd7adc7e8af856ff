"""What finding groups label by label costs: of a round, and of thousands of clients.

    python benchmarks/groups_cost.py [--clients 5000] [--rounds 4]

A round of the paper's CNN, 50 clients of 60 MNIST-like images, E = 2, batches of 10, with groups by
label gradients in every round beside the same round by weights as published, in turns; then the
distances, the tree and the cut by gap of many clients' label gradients (257 numbers for each of 10
labels), which are drawn. Leaves ``results/groups_cost.md``.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from machine import cpu_model

import demjax
from demjax.base import ClientData
from demjax.clients.label_gradients import LabelGradients
from demjax.clustering import by_label, gap
from demjax.clustering.linkage import linkage

SETTINGS = {
    "weights, as published": {},
    "label gradients, gap": {
        "features": "label_gradients",
        "cut": "gap",
        "start": "parent",
        "mix": (0.2, 0.0),
    },
}


def images(clients: int, each: int) -> ClientData:
    """Clients with images of noise and two labels each."""
    rng = np.random.default_rng(0)
    count = clients * each
    rows = np.arange(count, dtype=np.int32).reshape(clients, each)
    held = np.stack([(np.arange(clients) + j) % 10 for j in range(2)], axis=1)
    y = held[np.arange(count) // each, rng.integers(0, 2, count)]
    return ClientData(
        x=jnp.asarray(rng.normal(size=(count, 28, 28, 1)), jnp.float32),
        y=jnp.asarray(y, jnp.int32),
        train=jnp.asarray(rows),
        train_size=jnp.full(clients, each, jnp.int32),
        test=jnp.asarray(rows[:, :1]),
        test_size=jnp.ones(clients, jnp.int32),
    )


def rounds(count: int) -> dict[str, list[float]]:
    """Seconds of rounds with each setting, in turns."""
    clients = images(50, 60)
    task = demjax.classification(demjax.models.CNN(classes=10), clients.x[0])
    local = demjax.local_training(task, optax.sgd(0.05), epochs=2, batch_size=10)
    key, programs, seconds = jax.random.key(0), {}, {}
    for name, options in SETTINGS.items():
        algorithm = demjax.demlearn(local, **options)
        state = jax.jit(algorithm.init)(key, clients)
        one_round = jax.jit(algorithm.round, donate_argnums=1)
        state, _ = jax.block_until_ready(one_round(key, state, clients))
        programs[name], seconds[name] = (one_round, state), []
    for number in range(count):
        for name, (one_round, state) in programs.items():
            begin = time.perf_counter()
            state, _ = one_round(jax.random.fold_in(key, number), state, clients)
            jax.block_until_ready(state)
            seconds[name].append(time.perf_counter() - begin)
            programs[name] = one_round, state
    return seconds


def clustering(clients: int) -> dict[str, float]:
    """Seconds of each step, after compiling, of clients of three kinds."""
    keys = jax.random.split(jax.random.key(0), 3)
    kind = jnp.arange(clients) * 3 // clients
    centre = jax.random.normal(keys[0], (3, 10, 257))
    held = jax.random.uniform(keys[1], (clients, 10)) < 0.2
    held = held | (jnp.arange(clients)[:, None] % 10 == jnp.arange(10))
    counts = jnp.where(held, 20.0, 0.0)
    mean = centre[kind] + 2 * jax.random.normal(keys[2], (clients, 10, 257)) / jnp.sqrt(20.0)
    mean = jnp.where(held[..., None], mean, 0.0)
    square = counts * jnp.sum(mean**2, axis=2) + 4 * 257 * jnp.maximum(counts - 1, 0)
    seen, seconds = LabelGradients(mean, counts, square), {}
    cut = gap()

    def timed(name, function, *arguments):
        compiled = jax.jit(function)
        jax.block_until_ready(compiled(*arguments))
        begin = time.perf_counter()
        found = jax.block_until_ready(compiled(*arguments))
        seconds[name] = time.perf_counter() - begin
        return found

    distances = timed("distances", by_label, seen)
    merges = timed("linkage", linkage, distances)
    found = timed("cut by gap", lambda m, d: cut.take(m, d).groups[0], merges, distances)
    assert [*np.bincount(found)] == [*np.bincount(kind)], np.bincount(found)
    return seconds


def main() -> None:
    """Read the command line, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    found, steps = rounds(arguments.rounds), clustering(arguments.clients)
    medians = {name: statistics.median(times) for name, times in found.items()}
    plain, ours = medians.values()
    lines = [
        "# What finding groups costs",
        "",
        f"Median of {arguments.rounds} rounds in turns, the paper's CNN, 50 clients of 60 images:",
        *(f"{name} {seconds:.2f} s;" for name, seconds in medians.items()),
        f"{ours / plain:.2f} times.",
        "",
        f"{arguments.clients:,} clients with three of ten labels each, after compiling: "
        + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in steps.items())
        + f"; together {sum(steps.values()):.1f} s.",
        "",
        f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores, jax {jax.__version__}. "
        "Made by `python benchmarks/groups_cost.py`.",
    ]
    text = "\n".join(lines) + "\n"
    (arguments.out / "groups_cost.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
