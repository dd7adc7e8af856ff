"""Does ``demjax plan`` for the CPU say what a round takes? Planned beside measured bytes. Linux.

    python benchmarks/plan_against_peak.py

Each row is a process of its own: it asks ``demjax.plan``, compiles the round, and from then on
every byte that the process holds more is the round's: data, state and what three rounds take beside
them, at the most. Leaves ``results/plan_against_peak.md``.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from load_cost import forget_largest, largest
from machine import RESULTS, cpu_model
from plans import EXAMPLES, TESTS

ROWS = (
    ("fedavg", "mlp", 1_000),
    ("demlearn", "mlp", 1_000),
    ("demlearn", "linear", 3_000),
    ("demlearn", "linear", 20_000),
    ("demlearn", "cnn", 300),
)
"""Algorithm, model, clients; the fourth is clustered in two stages."""


def resident() -> int:
    """Bytes that this process holds now."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if "VmRSS" in line)


def row(algorithm: str, model: str, clients: int) -> dict[str, int]:
    """Planned and measured bytes of a round."""
    import jax
    import jax.numpy as jnp

    import demjax

    made = {
        "cnn": demjax.models.CNN(classes=10),
        "mlp": demjax.models.MLP(classes=10, hidden=(200,)),
        "linear": demjax.models.Linear(classes=10),
    }[model]
    task = demjax.classification(made, jnp.zeros((28, 28, 1)), inputs=lambda x: x / 255.0)
    local = demjax.local_training(task, "sgd", lr=0.05)
    system = demjax.demlearn(local, levels=3) if algorithm == "demlearn" else demjax.fedavg(local)
    key, pooled = jax.random.key(0), (EXAMPLES + TESTS) * clients

    @jax.jit
    def data():
        rows = jnp.arange(pooled, dtype=jnp.int32).reshape(clients, -1)
        count = jnp.ones(clients, jnp.int32)
        return demjax.ClientData(
            x=jax.lax.broadcasted_iota(jnp.uint8, (pooled, 28, 28, 1), 0),
            y=jnp.arange(pooled, dtype=jnp.int32) % 10,
            train=rows[:, :EXAMPLES],
            train_size=EXAMPLES * count,
            test=rows[:, EXAMPLES:],
            test_size=TESTS * count,
        )

    shapes = jax.eval_shape(data)
    plan = demjax.plan(system, shapes, accelerator="cpu", largest=False)
    state = jax.eval_shape(system.init, key, shapes)
    # As a run has it: a state that a round does not read makes room for the new one all the same.
    one_round = jax.jit(system.round, donate_argnums=1, keep_unused=True)
    one_round = one_round.lower(key, state, shapes).compile()
    begin, make = jax.jit(system.init).lower(key, shapes).compile(), data.lower().compile()
    before = resident()
    examples = make()
    state = jax.block_until_ready(begin(key, examples))
    forget_largest()
    for _ in range(3):
        state, _ = jax.block_until_ready(one_round(key, state, examples))
    return {"planned": plan.needs_bytes, "measured": largest() - before}


def main() -> None:
    """Measure every row and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS / "plan_against_peak.json")
    parser.add_argument("--only", help="one row, as JSON")
    asked = parser.parse_args()
    if asked.only:
        return print(json.dumps(row(*json.loads(asked.only))))
    lines = ["| system | model | clients | planned, GB | measured, GB | planned / measured |"]
    lines += ["|---|---|---|---|---|---|"]
    found = []
    for given in ROWS:
        command = [sys.executable, __file__, "--only", json.dumps(given)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        one = json.loads(done.stdout.splitlines()[-1])
        found.append(one | dict(zip(("system", "model", "clients"), given, strict=True)))
        size = [f"{one[name] / 1e9:.3f}" for name in ("planned", "measured")]
        ratio = one["planned"] / one["measured"]
        lines.append(
            f"| {given[0]} | {given[1]} | {given[2]:,} | {' | '.join(size)} | {ratio:.3f} |"
        )
        print(lines[-1], flush=True)
    lines += ["", f"{cpu_model()}, one device, {EXAMPLES} training examples a client.", ""]
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    asked.out.with_suffix(".md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
