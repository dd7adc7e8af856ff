"""A fifth of the clients break or lie: what each robust mean keeps, and whether groups tell them.

    python benchmarks/liars.py                                 # digits, a few minutes
    python benchmarks/liars.py --dataset mnist --data-dir DIR --partition published \
      --clients 50 --model cnn --rounds 60

A system is run without liars, and then with clients that send NaN, or their update turned around
and some times as long, under the plain mean, under each robust mean, and under the plain mean with
updates left out that are not finite. ``Global`` is the global model's score in the end. Of DemLearn
and other systems with groups the table also says how well the groups of level 1 tell liars from
others: the adjusted Rand index of groups and liars, and the share of the liars that are in a group
without an honest client.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

from demjax import simulate
from demjax.experiment import build, resolve
from demjax.experiment.faults import liars
from demjax.metrics import measure
from demjax.registry import ALGORITHMS, MEANS

OUT = Path(__file__).parent / "results" / "liars"
SYSTEMS = ("fedavg", "demlearn", "ifca")
LIES = ("nan", "sign_flip")
LEFT_OUT = "plain, not finite left out"


def run(options: dict[str, Any], share: float) -> dict[str, float]:
    """The global score of a run in the end, and how well its groups tell who lies."""
    experiment = resolve(options)
    with build.as_asked(experiment):
        built = build.build(experiment)
        count = built.clients.n_clients
        who = liars({"attackers": share, "seed": experiment.seed}, count)
        take = measure(built.task, built.clients, true_clusters=who.astype(np.int32))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # that a run diverges is the point
            history = simulate(
                built.algorithm,
                built.task,
                built.clients,
                rounds=experiment.rounds,
                key=jax.random.key(experiment.seed),
                eval_every=experiment.rounds,
                take_measures=take,
            )
    last = jax.tree.map(lambda leaf: np.asarray(leaf[-1]), history.measures)
    found = {"global": float(last.global_score)}
    groups = last.hierarchy.groups
    if len(groups) > 1:
        found["rand"] = float(last.structure.rand_true[0])
        found["none"] = float(np.mean(groups[0][who] < 0))
        found["alone"] = float(np.mean([alone(groups[0], who, n) for n in np.flatnonzero(who)]))
    return found


def alone(groups: np.ndarray, who: np.ndarray, client: int) -> bool:
    """Whether a liar is in a group of level 1 in which nobody is honest."""
    return groups[client] >= 0 and bool(who[groups == groups[client]].all())


def settings(lie: str | None, share: float, scale: float, norm: float) -> dict[str, dict]:
    """What is tried against a lie, by name."""
    if lie is None:
        return {"nobody lies": {}}
    attack = {"attack": lie, "attackers": share}
    attack |= {"attack_scale": scale} if lie == "sign_flip" else {}
    tried = {"plain": attack}
    if lie == "nan":
        tried[LEFT_OUT] = attack | {"leave_out_nonfinite": True}
    for name in MEANS:
        own = {"mean": name}
        if "beside" in MEANS[name].facts:
            own["mean_liars"] = share
        if "clipping" in name:
            own["mean_norm"] = norm
        tried[name] = attack | own
    return tried


def known(path: Path, title: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """Rows of an earlier call with the same settings, so that it can be gone on with."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    rows = kept["rows"] if kept["title"] == title else []
    return {(row["system"], row["lie"], row["mean"]): row for row in rows}


def shown(value: float) -> str:
    """A number of the table; what is no number is said."""
    return f"{value:.3f}" if np.isfinite(value) else "NaN"


def table(rows: list[dict[str, Any]], title: str) -> str:
    """The rows as Markdown."""
    lines = [f"# {title}", ""]
    lines.append("| system | liars send | mean | Global | Rand, level 1 | alone | in none |")
    lines.append("|---|---|---|---|---|---|---|")
    for row in rows:
        told = [
            shown(row[name]) if name in row else "" for name in ("global", "rand", "alone", "none")
        ]
        words = [ALGORITHMS[row["system"]].label, row["lie"], row["mean"], *told]
        lines.append("| " + " | ".join(words) + " |")
    lines += [
        "",
        "Rand: adjusted Rand index of the groups of level 1 and who lies, 0 by chance (without "
        "liars: of the clients who lie in the other rows). Alone: share of the liars whose group "
        "of level 1 has no honest client. In none: share of the liars that are in no group of "
        "level 1, but in one above it.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run all, write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--partition", default="dirichlet")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--model", default="linear")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--levels", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.2, help="share of the clients that lie")
    parser.add_argument("--scale", type=float, default=5.0, help="of updates turned around")
    parser.add_argument("--norm", type=float, default=1.0, help="of clipping")
    asked = parser.parse_args()
    names = ("dataset", "data_dir", "partition", "clients", "model", "rounds", "seed")
    common = {name: getattr(asked, name) for name in names}
    title = (
        f"{asked.share:.0%} liars: {asked.dataset}, {asked.clients} clients ({asked.partition}), "
        f"{asked.model}, round {asked.rounds}, seed {asked.seed}; updates turned around times "
        f"{asked.scale:g}, clipping at {asked.norm:g}"
    )
    out, rows = OUT.with_name(f"liars_{asked.dataset}"), []
    there = known(out.with_suffix(".json"), title)
    for system in (name for name in SYSTEMS if name in ALGORITHMS):
        own = {"algorithm": system} | ({"levels": asked.levels} if system == "demlearn" else {})
        for lie in (None, *LIES):
            tried = settings(lie, asked.share, asked.scale, asked.norm)
            for mean, options in tried.items():
                which = {"system": system, "lie": lie or "nothing", "mean": mean}
                row = there.get(tuple(which.values()))
                row = row or which | run(common | own | options, asked.share)
                rows.append(row)
                sys.stderr.write(f"{row}\n")
                kept = json.dumps({"title": title, "rows": rows}, indent=1)
                out.with_suffix(".md").write_text(table(rows, title), encoding="utf-8")
                out.with_suffix(".json").write_text(kept + "\n", encoding="utf-8")
    sys.stdout.write(table(rows, title))


if __name__ == "__main__":
    main()
