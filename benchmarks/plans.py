"""What a round needs on accelerators, by ``demjax.plan``: memory beside the models, largest N.

python benchmarks/plans.py [--largest] [--rows 2] --out benchmarks/results/plans

Needs no accelerator, but ``pip install 'demjax[plan-gpu,plan-tpu]'``. A row takes one to five
minutes, for a compiler works on a whole round. Clients have 60 training and 15 test examples of
28×28 bytes.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROWS = (
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
    ("h100", "mlp", 10_000, 2, "demlearn"),
    ("h100", "mlp", 10_000, 8, "demlearn"),
    ("tpu-v5e", "mlp", 16_000, 16, "demlearn"),
)
"""Device, model, clients, devices, algorithm."""
EXAMPLES, TESTS = 60, 15


def row(accelerator: str, model: str, clients: int, devices: int, algorithm: str, largest: bool):
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
        found = demjax.plan(system, data, accelerator=accelerator, devices=devices, largest=largest)
    print(json.dumps(found._asdict()))


def main() -> None:
    """Plan all rows, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--largest", action="store_true")
    parser.add_argument("--rows", type=int, default=len(ROWS), help="how many of the rows")
    parser.add_argument("--only", help="one row, as JSON")
    given = parser.parse_args()
    if given.only:
        return row(*json.loads(given.only), given.largest)
    given.out.mkdir(parents=True, exist_ok=True)
    lines = [
        "| device | devices | algorithm | model | clients | models, GB | beside, GB | of the "
        "models | all of, GB | fits | largest | seconds to plan |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    plans = []
    for each in ROWS[: given.rows]:
        start = time.perf_counter()
        command = [sys.executable, __file__, "--only", json.dumps(each), "--out", str(given.out)]
        command += ["--largest"] if given.largest else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{each}: {done.stderr.strip().splitlines()[-1]}")
        plan = json.loads(done.stdout.strip().splitlines()[-1])
        plans.append({"model": each[1], "algorithm": each[4], **plan})
        beside, models = plan["temp_bytes"], plan["models_bytes"]
        cells = (
            plan["accelerator"],
            plan["devices"],
            each[4],
            each[1],
            f"{plan['clients']:,}",
            f"{models / 1e9:.2f}",
            "–" if beside is None else f"{beside / 1e9:.2f}",
            "–" if beside is None else f"{beside / models:.2f}",
            f"{plan['needs_bytes'] / 1e9:.1f} of {plan['device_bytes'] / 1e9:.1f}",
            "yes" if plan["fits"] else "no",
            "–" if plan["largest_clients"] is None else f"{plan['largest_clients']:,}",
            f"{seconds:.0f}",
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
        print(lines[-1], flush=True)
        (given.out / "plans.json").write_text(json.dumps(plans, indent=1))
        (given.out / "results.md").write_text("# Plans\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
