"""Accuracy against what is spent of privacy: three noise levels, of examples and of clients.

    python benchmarks/privacy.py          # digits, a few minutes

FedAvg and DemLearn are run on digits without privacy, and with the gradients of examples, or the
updates of clients, clipped and noised. Epsilon is the largest of all clients after the last round.
Of DemLearn's clients it does not cover the groups, which are found from models that nobody noised.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from demjax import simulate
from demjax.experiment import build, resolve
from demjax.simulation.privacy import epsilons

OUT = Path(__file__).parent / "results" / "privacy_digits"
SYSTEMS = {"fedavg": {}, "demlearn": {"levels": 2}}
NOISES = (1.0, 4.0, 16.0)
DATA = {"dataset": "digits", "partition": "iid", "model": "linear"}


def run(options: dict[str, Any]) -> dict[str, float]:
    """The scores of a run in the end, and the largest epsilon."""
    experiment = resolve(options)
    built = build.build(experiment)
    history = simulate(
        built.algorithm,
        built.task,
        built.clients,
        rounds=experiment.rounds,
        key=jax.random.key(experiment.seed),
        eval_every=experiment.rounds,
        take_measures=built.take_measures,
    )
    last = jax.tree.map(lambda leaf: np.asarray(leaf[-1]), (history.measures, history.info))
    measures, info = last
    found = {"global": float(measures.global_score), "c_gen": float(measures.c_gen)}
    spent = epsilons(info.privacy) if hasattr(info, "privacy") else {}
    for each in spent.values():
        found["epsilon"] = float(each.max())
    return found


def main() -> None:
    """Run all, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--clip", type=float, default=1.0)
    asked = parser.parse_args()
    common = DATA | {"clients": asked.clients, "rounds": asked.rounds, "epochs": 1}
    rows = []
    for system, own in SYSTEMS.items():
        for what in ("example", "client"):
            for noise in (None, *NOISES):
                private = {f"{what}_clip": asked.clip, f"{what}_noise": noise}
                if noise is None and what == "client":
                    continue
                options = common | own | {"algorithm": system} | (private if noise else {})
                found = run(options)
                shown = what if noise else "nothing"
                rows.append({"system": system, "protects": shown, "noise": noise, **found})
                sys.stderr.write(f"{rows[-1]}\n")
    lines = [
        f"# Privacy: digits, {asked.clients} clients (iid), linear, round {asked.rounds}, "
        f"clip {asked.clip:g}, delta 1e-5",
        "",
        "| system | protects | noise multiplier | epsilon | Global | C-GEN |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        noise = "" if row["noise"] is None else f"{row['noise']:g}"
        epsilon = f"{row['epsilon']:.3f}" if "epsilon" in row else ""
        words = [row["system"], row["protects"], noise, epsilon]
        words += [f"{row['global']:.3f}", f"{row['c_gen']:.3f}"]
        lines.append("| " + " | ".join(words) + " |")
    text = "\n".join([*lines, ""])
    OUT.with_suffix(".md").write_text(text, encoding="utf-8")
    OUT.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
