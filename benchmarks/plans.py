"""What a round needs on accelerators, by ``demjax.plan``: memory beside the models, largest N.

    python benchmarks/plans.py --out benchmarks/results/plans                   # all tables
    python benchmarks/plans.py --tables devices --out benchmarks/results/plans

Needs no accelerator, but ``pip install 'demjax[plan-gpu,plan-tpu]'``. A compilation takes one to
ten minutes, for a compiler works on a whole round; a row of ``largest`` takes one or two. What is
in OUT already is not planned again. Clients have 60 training and 15 test examples of 28×28 bytes.

- *rounds*: the published model and an MLP on one device and several, and other systems;
- *devices*: 10,240 clients with the CNN on 1 to 64 devices;
- *largest*: about as many clients as fit: what a client's model and examples leave of the device,
  compiled for; asked again where that needs more than the device has, or less than LARGEST_LEAST.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from demjax.backend.accelerators import ACCELERATORS

ROUNDS = (
    ("h100", "cnn", 10_000, 1, "demlearn"),
    ("h100", "mlp", 10_000, 1, "demlearn"),
    ("tpu-v5e", "cnn", 2_000, 1, "demlearn"),
    ("tpu-v5e", "cnn", 4_000, 1, "demlearn"),
    ("tpu-v5e", "mlp", 16_000, 1, "demlearn"),
    ("tpu-v5p", "cnn", 10_000, 1, "demlearn"),
    ("tpu-v5p", "cnn", 24_000, 1, "demlearn"),
    ("h100", "mlp", 10_000, 1, "fedavg"),
    ("h100", "mlp", 10_000, 1, "fedprox"),
    ("h100", "mlp", 10_000, 1, "local_only"),
    ("h100", "mlp", 10_000, 1, "ditto"),
    ("h100", "mlp", 10_000, 8, "demlearn"),
    ("tpu-v5e", "mlp", 16_000, 16, "demlearn"),
)
"""Device, model, clients, devices, algorithm."""
DEVICES = tuple(("h100", "cnn", 10_240, 2**k, "demlearn") for k in range(7))
LARGEST = tuple(
    (device, model, devices, "demlearn")
    for devices in (1, 8)
    for model in ("cnn", "mlp", "linear")
    for device in ("h100", "tpu-v5e", "h200", "tpu-v5p")
)
"""Device, model, devices, algorithm; how many clients is what is asked."""
TABLES = {"rounds": ROUNDS, "devices": DEVICES, "largest": LARGEST}
EXAMPLES, TESTS = 60, 15
IMAGE_BYTES, INDEX_BYTES = 28 * 28, 4
LARGEST_BESIDE, LARGEST_AIM, LARGEST_LEAST = 0.05, 0.97, 0.93
"""Of a device: what a round is first taken to need beside models and data, and what is filled."""
PARAMETERS = {"cnn": 834_922, "mlp": 159_010, "linear": 7_850}


def row(accelerator: str, model: str, clients: int, devices: int, algorithm: str):
    """One plan, in this process, for the compilers of two TPUs do not share one."""
    import jax
    import jax.numpy as jnp

    import demjax

    def shape(*sizes, dtype=jnp.int32):
        return jax.ShapeDtypeStruct(sizes, dtype)

    pooled = (EXAMPLES + TESTS) * clients
    data = demjax.ClientData(
        x=shape(pooled, 28, 28, 1, dtype=jnp.uint8),
        y=shape(pooled),
        train=shape(clients, EXAMPLES),
        train_size=shape(clients),
        test=shape(clients, TESTS),
        test_size=shape(clients),
    )
    made = {
        "cnn": demjax.models.CNN(classes=10),
        "mlp": demjax.models.MLP(classes=10, hidden=(200,)),
        "linear": demjax.models.Linear(classes=10),
    }[model]
    task = demjax.classification(made, jnp.zeros((28, 28, 1)), inputs=lambda x: x / 255.0)
    local = demjax.local_training(task, "sgd", lr=0.05)
    system = demjax.demlearn(local, levels=3) if algorithm == "demlearn" else None
    system = system or getattr(demjax, algorithm)(local)
    with jax.default_matmul_precision("float32"):
        found = demjax.plan(system, data, accelerator=accelerator, devices=devices, largest=False)
    print(json.dumps(found._asdict()))


def planned(*asked: str | int) -> dict:
    """A plan, by a process of its own; ``seconds`` is what it took."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--only", json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{asked}: {done.stderr.strip().splitlines()[-1]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return found | {
        "model": asked[1],
        "algorithm": asked[4],
        "seconds": time.perf_counter() - start,
    }


def largest(known: list[dict], device: str, model: str, devices: int, algorithm: str) -> dict:
    """The plan of about as many clients as fit, begun from what another device holds."""
    memory = ACCELERATORS[device].memory
    each = 4 * PARAMETERS[model] + (IMAGE_BYTES + 2 * INDEX_BYTES) * (EXAMPLES + TESTS)
    for plan in known:
        if asked_for(plan, "largest")[1:] == (model, devices, algorithm):
            each = plan["needs_bytes"] * devices / plan["clients"]
    clients = int(memory * (1 - LARGEST_BESIDE) / each)  # of one device
    for tries in range(5):
        found = planned(device, model, clients * devices, devices, algorithm)
        used = found["needs_bytes"] / memory
        if found["fits"] and (used >= LARGEST_LEAST or tries == 4):
            return found
        print(f"{device}, {model}: {clients:,} a device would be {used:.3f} of it", flush=True)
        clients = int(clients * LARGEST_AIM / used)
    sys.exit(f"{device}, {model}, {devices} devices: no number of clients was found that fits.")


def asked_for(plan: dict, table: str) -> tuple:
    """The row of a table that a plan is the answer to."""
    names = ("accelerator", "model", "clients", "devices", "algorithm")
    return tuple(plan[name] for name in names if (name, table) != ("clients", "largest"))


def line(plan: dict) -> str:
    """A row of a table in Markdown."""
    beside, models = plan["temp_bytes"], plan["models_bytes"]
    cells = (
        plan["accelerator"],
        plan["devices"],
        plan["algorithm"],
        plan["model"],
        f"{plan['clients']:,}",
        f"{models / 1e9:.2f}",
        "–" if beside is None else f"{beside / 1e9:.2f}",
        "–" if beside is None else f"{beside / models:.2f}",
        f"{plan['data_bytes'] / 1e9:.2f}",
        f"{plan['needs_bytes'] / 1e9:.1f} of {plan['device_bytes'] / 1e9:.1f}",
        "yes" if plan["fits"] else "no",
        f"{plan['seconds']:.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def report(tables: dict) -> str:
    """All tables in Markdown."""
    lines = [
        "# Plans",
        "",
        "Bytes are of one device; examples are whole on each, or in parts where a run would divide "
        "them.",
        "",
    ]
    for name, plans in tables.items():
        lines += [f"## {name.capitalize()}", ""]
        lines.append(
            "| device | devices | algorithm | model | clients | models, GB | beside, GB | of the "
            "models | data, GB | all of, GB | fits | seconds to plan |"
        )
        lines += ["|---|---|---|---|---|---|---|---|---|---|---|---|", *map(line, plans), ""]
    return "\n".join(lines)


def main() -> None:
    """Plan all rows that are missing, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--accelerators", nargs="+", default=list(ACCELERATORS))
    parser.add_argument("--only", help="one row, as JSON")
    given = parser.parse_args()
    if given.only:
        return row(*json.loads(given.only))
    if given.out is None:
        parser.error("--out is needed: a folder for the tables")
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "plans.json"
    tables = json.loads(kept.read_text()) if kept.exists() else {}
    for name in given.tables:
        plans = tables.setdefault(name, [])
        there = {asked_for(plan, name) for plan in plans}
        for asked in TABLES[name]:
            if asked in there or asked[0] not in given.accelerators:
                continue
            plans.append(largest(plans, *asked) if name == "largest" else planned(*asked))
            print(line(plans[-1]), flush=True)
            kept.write_text(json.dumps(tables, indent=1) + "\n")
            (given.out / "results.md").write_text(report(tables))


if __name__ == "__main__":
    main()
