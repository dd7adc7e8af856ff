"""What each system keeps for a client, and what 2,000 MLP clients take: memory, and time of work.

    python benchmarks/system_memory.py                             # all systems, half an hour
    python benchmarks/system_memory.py --systems fedavg,scaffold   # some, added to those there
    python benchmarks/system_memory.py --report                    # the table of what OUT holds

Each system has a process of its own, in which everybody trains one epoch in each round. Clients
have 60 made-up images of 28×28 and one to be tested on; the model has a hidden layer of 200, and
where a system needs batch normalization, such a layer behind it. Bytes a client are what a state of
2,000 clients has over one of 1,000, divided by 1,000; what else is kept is there once. Peak memory
is that of the whole process: data, programs, a first state and its copies. Seconds are those that
both cores computed, which other programs that run beside change little; work is the products that a
round's program multiplies, so that a system with two models for each client does twice as much.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from machine import empty_result, keep, results_file, take_devices

import demjax
from demjax.backend.placement import on_every_device
from demjax.base import ClientData
from demjax.pytrees import stored_bytes
from demjax.registry import ALGORITHMS
from demjax.simulation.operations import work_of
from demjax.simulation.run import programs

CLIENTS, EXAMPLES, BATCH, ROUNDS = 2_000, 60, 10, 3
OPTIONS = {"fixed_tree": {"groups": (20, 4)}, "hierfavg": {"edges": 10}}
"""What systems are given that they do not know by default."""


class NormalizedMLP(nn.Module):
    """The MLP with batch normalization behind its hidden layer."""

    @nn.compact
    def __call__(self, x, train: bool):  # noqa: D102
        x = nn.Dense(200)(x.reshape(len(x), -1))
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return nn.Dense(10)(nn.relu(x))


def data(count: int) -> ClientData:
    """Everybody's made-up images and labels, by numbers that need no generator."""
    pooled = count * (EXAMPLES + 1)
    x = (np.arange(pooled * 784, dtype=np.uint32) * 2654435761 >> 24).astype(np.uint8)
    rows = np.arange(pooled, dtype=np.int32).reshape(count, EXAMPLES + 1)
    size = np.ones(count, np.int32)
    return ClientData(
        x=x.reshape(pooled, 28, 28, 1),
        y=(np.arange(pooled) % 10).astype(np.int32),
        train=rows[:, :EXAMPLES],
        train_size=size * EXAMPLES,
        test=rows[:, EXAMPLES:],
        test_size=size,
    )


def shapes(tree):
    """A pytree's shapes alone."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def bytes_of(tree) -> int:
    """Bytes of all arrays of a pytree."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def point(name: str, *, clients: int, devices: int | None) -> dict:
    """One system, in this process."""
    devices = take_devices(devices)
    normalized = name == "fedbn"
    model = NormalizedMLP() if normalized else demjax.models.MLP(classes=10, hidden=(200,))
    task = demjax.classification(model, jnp.zeros((28, 28, 1)), inputs=lambda x: x / 255.0)
    local = demjax.local_training(task, "sgd", lr=0.05, epochs=1, batch_size=BATCH)
    system = ALGORITHMS[name].make(local, **OPTIONS.get(name, {}))
    key, given = jax.random.key(0), data(clients)

    # what one epoch of a client takes, or of all clients' examples together
    steps = EXAMPLES * (clients if "pooled" in ALGORITHMS[name].facts else 1) // BATCH

    def state_of(count):
        return bytes_of(jax.eval_shape(system.init, key, shapes(data(count))))

    half = state_of(clients // 2)
    each = (state_of(clients) - half) / (clients - clients // 2)
    traced = jax.make_jaxpr(system.round)(
        key, jax.eval_shape(system.init, key, shapes(given)), shapes(given)
    )
    with demjax.spread_over(devices):
        placed = on_every_device(given)
        compiled = programs(
            system, task, placed, key=key, rounds=ROUNDS, eval_every=ROUNDS, take_measures=once
        )
        state = jax.block_until_ready(compiled.init(key, placed))
        times = []
        for number in range(ROUNDS):
            start = time.process_time()
            state, _ = jax.block_until_ready(compiled.round(key, jnp.int32(number), state, placed))
            times.append(time.process_time() - start)
    one = stored_bytes(jax.eval_shape(system.models, state).client)
    return {
        "system": name,
        "clients": clients,
        "model_bytes": one,
        "client_bytes": each,
        "shared_bytes": half - each * (clients // 2),
        "operations": work_of(traced, steps=steps).operations,
        "cpu_seconds": statistics.median(times[1:]),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def once(models, clients):
    """No measure: rounds alone are looked at."""
    return jnp.zeros(())


def report(result: dict) -> str:
    """The points as a Markdown table."""
    points = {point["system"]: point for point in result["points"]}
    base = points.get("fedavg")
    lines = [
        "| system | bytes kept a client | of a model's | kept once, of a model's | peak memory, GB "
        "| work, of FedAvg's | CPU seconds a round, of FedAvg's | seconds for equal work |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in ALGORITHMS:
        if name not in points:
            continue
        one = points[name]
        work = one["operations"] / base["operations"] if base else float("nan")
        took = one["cpu_seconds"] / one.get("fedavg_cpu_seconds", float("nan"))
        cells = (
            ALGORITHMS[name].label,
            f"{one['client_bytes']:,.0f}",
            f"{one['client_bytes'] / one['model_bytes']:.2f}",
            f"{one['shared_bytes'] / one['model_bytes']:.1f}",
            f"{one['peak_bytes'] / 1e9:.2f}",
            f"{work:.2f}",
            f"{took:.2f}",
            f"{took / work:.2f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    machine = result["machine"]
    lines += [
        "",
        f"{result['setting']}; {machine['cpu']}, {machine['devices']} devices, JAX "
        f"{result['versions']['jax']}.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure the systems that are asked for, each in a process, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", help="names, with commas between; by default all")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--devices", type=int)
    parser.add_argument("--report", action="store_true", help="only write the table")
    parser.add_argument("--only", help="one system, in this process")
    asked = parser.parse_args()
    if asked.only:
        print(json.dumps(point(asked.only, clients=asked.clients, devices=asked.devices)))
        return
    devices = take_devices(asked.devices)
    out = results_file("system_memory")
    setting = f"{asked.clients:,} clients, {EXAMPLES} images each, one epoch in batches of {BATCH}"
    result = json.loads(out.read_text()) if out.exists() else empty_result(setting, devices)
    names = [] if asked.report else (asked.systems or ",".join(ALGORITHMS)).split(",")
    for name in sorted(names, key=lambda name: name != "fedavg"):
        words = [sys.executable, __file__, "--only", name, "--clients", str(asked.clients)]
        words += ["--devices", str(asked.devices)] if asked.devices else []
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        result["points"] = [one for one in result["points"] if one["system"] != name] + [found]
        for one in result["points"]:
            if one["system"] == "fedavg":  # of the same call, if that has one: machines vary
                found["fedavg_cpu_seconds"] = one["cpu_seconds"]
        keep(result, out)
        print(f"{name}: {found}", file=sys.stderr)
    out.with_suffix(".md").write_text(report(result))
    print(report(result))


if __name__ == "__main__":
    main()
