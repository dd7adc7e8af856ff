"""Three kinds of shift at once, FedRC's own setting: who is grouped by what, and does it pay?

    python benchmarks/three_shifts.py --data-dir DIR [--models linear mlp] [--seeds 3]
    python benchmarks/three_shifts.py --report

``DIR`` holds MNIST's four IDX files. 60 clients of 250 images, 50 of them for tests. As in the code
of FedRC's authors each client's labels are of proportions ``q ~ Dirichlet(p)``, ``p`` the labels'
own; a fifth of the clients has pictures as they are, a fifth changed pictures, a fifth labels
``9 - y``, a fifth labels ``y + 1``, and a tenth each changed pictures with such labels. So there
are three concepts, of 24, 18 and 18 clients. A client's pictures are changed in one way that is
drawn: turned by .2 to 1 rad either way, or with Gaussian noise of .08 to .38 (FedRC draws from 14
ways, of which these are two). FedRC is to part concepts and nothing else.

C-SPE   clients' models on their own test examples
C-GEN   clients' models on 2,000 pictures of the test part, unchanged, with the labels of their
        concept, which is what FedRC's authors score
Global  likewise, the model that a client would be sent: of its group, or the root's where there are
        no groups
Rand    adjusted Rand index of the groups with the three concepts, and with the six kinds of clients
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from groups_found import MODELS, NAMES, sent_to, systems
from machine import RESULTS

OUT = RESULTS / "three_shifts"
CLIENTS, TRAIN, TESTS, SCORED, CONCEPTS = 60, 200, 50, 2000, 3
KINDS = ((0, False, 12), (0, True, 12), (1, False, 12), (2, False, 12), (1, True, 6), (2, True, 6))
"""Concept, whether pictures are changed, and clients, of each kind."""
SHOWN = [name for name in NAMES if name != "fedavg, mixed"]


class Shifted(NamedTuple):
    """Clients of three shifts at once, and what they are scored on."""

    clients: Any
    concepts: np.ndarray  # of each client
    kinds: np.ndarray  # of each client
    x: Any  # unchanged pictures [S, ...]
    y: np.ndarray  # their labels in each concept [3, S]


def labels_in(concept: int, y: np.ndarray) -> np.ndarray:
    """What a concept calls the ten digits."""
    return (y, 9 - y, (y + 1) % 10)[concept]


def changed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A client's pictures, in 0…1, all turned by one angle or all with as much noise."""
    from scipy.ndimage import rotate

    severity = rng.integers(1, 6)
    if rng.random() < 0.5:
        noise = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
        return np.clip(x + noise * rng.standard_normal(x.shape), 0, 1)
    angle = np.degrees(0.2 * severity) * rng.choice([-1, 1])
    return np.clip(rotate(x, angle, axes=(1, 2), reshape=False, order=1), 0, 1)


def shifted(data_dir: str, seed: int) -> Shifted:
    """The clients, drawn by a seed."""
    from demjax import data

    mnist, rng = data.mnist(data_dir=data_dir), np.random.default_rng(seed)
    x, y = np.asarray(mnist.x), mnist.y
    left = [rng.permutation(np.flatnonzero(y[: mnist.train_count] == c)) for c in range(10)]
    common = np.array([len(pool) for pool in left]) / mnist.train_count
    kinds = np.repeat(np.arange(len(KINDS)), [count for _, _, count in KINDS])
    pictures, names = [], []
    for kind in kinds:
        share = rng.dirichlet(common)
        wanted = rng.multinomial(TRAIN + TESTS, share / share.sum())
        taken = [pool[: min(many, len(pool))] for pool, many in zip(left, wanted, strict=True)]
        short = TRAIN + TESTS - sum(map(len, taken))
        left = [pool[len(some) :] for pool, some in zip(left, taken, strict=True)]
        largest = int(np.argmax([len(pool) for pool in left]))
        taken.append(left[largest][:short])  # where a label has run out, another fills up
        left[largest] = left[largest][short:]
        mine = rng.permutation(np.concatenate(taken))
        look = x[mine] / np.float32(255)
        pictures.append(changed(look, rng) if KINDS[kind][1] else look)
        names.append(labels_in(KINDS[kind][0], y[mine]))
    rows = np.arange(CLIENTS * (TRAIN + TESTS)).reshape(CLIENTS, -1)
    parts = data.Partition(tuple(rows[:, :TRAIN]), tuple(rows[:, TRAIN:]))
    clients = data.client_data(
        np.concatenate(pictures).astype(np.float32), np.concatenate(names).astype(np.int32), parts
    )
    scored = rng.choice(np.arange(mnist.train_count, len(y)), SCORED, replace=False)
    concepts = np.array([concept for concept, _, _ in KINDS])[kinds]
    told = np.stack([labels_in(concept, y[scored]) for concept in range(CONCEPTS)])
    return Shifted(clients, concepts, kinds, x[scored] / np.float32(255), told)


def scores(task: Any, algorithm: Any, state: Any, given: Shifted, key: Any) -> dict[str, Any]:
    """The measures of what a run ends with."""
    import jax
    import jax.numpy as jnp
    from sklearn.metrics import adjusted_rand_score

    clients = given.clients
    models = algorithm.models(state)
    if algorithm.before_scoring is not None:
        models = jax.jit(algorithm.before_scoring)(key, models, clients)
    own, sent, groups = sent_to(models)

    tests, seen = np.asarray(clients.test), given.y[given.concepts]

    def mean_score(stacked, x, y):
        """Over clients, each with labels of its own, and pictures of its own or everyone's."""

        def one(pair):
            model, number = pair
            return jnp.mean(task.score(model, x=x[number] if x.ndim == 5 else x, y=y[number]))

        return float(jnp.mean(jax.lax.map(one, (stacked, jnp.arange(CLIENTS)))))

    x = jnp.asarray(given.x)
    return {
        "c_spe": mean_score(own, clients.x[tests], clients.y[tests]),
        "c_gen": mean_score(own, x, jnp.asarray(seen)),
        "global": mean_score(sent, x, jnp.asarray(seen)),
        "rand": float(adjusted_rand_score(given.concepts, groups)),
        "rand_kinds": float(adjusted_rand_score(given.kinds, groups)),
        "groups": len(np.unique(groups)),
    }


def one_seed(asked: argparse.Namespace, model: str, seed: int) -> None:
    """All systems on the clients of a seed; those that are there are not repeated."""
    import jax
    import optax

    import demjax

    path = asked.out / f"{model}-{seed}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    made = systems(CONCEPTS)
    wanted = [name for name in asked.systems or SHOWN if name not in found]
    if not wanted:
        return
    given = shifted(asked.data_dir, seed)
    net = {"linear": demjax.models.Linear, "mlp": demjax.models.MLP, "cnn": demjax.models.CNN}
    task = demjax.classification(net[model](classes=10), given.clients.x[0])
    local = demjax.local_training(task, optax.sgd(0.05), epochs=2, batch_size=10)
    key, never = jax.random.key(seed), 10**6
    for name in wanted:
        algorithm, begin = made[name](local), time.perf_counter()
        history = demjax.simulate(
            algorithm,
            task,
            given.clients,
            rounds=asked.rounds,
            key=key,
            eval_every=asked.rounds,
            measures_every={"client": never, "group": never, "global": never},
        )
        found[name] = scores(task, algorithm, history.state, given, key)
        found[name] |= {"rounds": asked.rounds, "seconds": round(time.perf_counter() - begin, 1)}
        print(f"{model}, seed {seed}, {name}:", found[name], flush=True)
        new = path.with_suffix(".partial")
        new.write_text(json.dumps(found, indent=1) + "\n")
        new.replace(path)


def report(out: Path) -> str:
    """Means over seeds of what is there, as Markdown."""
    lines = [
        "# Three kinds of shift at once",
        "",
        f"{CLIENTS} clients of {TRAIN} MNIST images to train on and {TESTS} to test, E = 2,",
        "batches of 10, rate 0.05; three concepts (labels as they are, turned around, shifted by",
        "one), and changed pictures of 24 clients. Told: given that there are three. Made by",
        "`python benchmarks/three_shifts.py`, which says what is measured.",
        "",
    ]
    head = "| system | Rand, concepts | Rand, kinds | groups | C-SPE | C-GEN | Global |"
    for model in MODELS:
        kept = [json.loads(path.read_text()) for path in sorted(out.glob(f"{model}-*.json"))]
        rounds = {run["rounds"] for runs in kept for run in runs.values()}
        if kept:
            told = f"{len(kept)} seeds, {' and '.join(map(str, sorted(rounds)))} rounds"
            lines += [f"## {model}, {told}", "", head, "|---|---|---|---|---|---|---|"]
        for name in SHOWN if kept else []:
            runs = [found[name] for found in kept if name in found]

            def mean(what, runs=runs):
                return f"{np.mean([run[what] for run in runs]):.3f}"

            if not runs:
                continue
            cells = [NAMES[name], mean("rand"), mean("rand_kinds")]
            cells += [" ".join(str(run["groups"]) for run in runs)]
            cells += [mean(what) for what in ("c_spe", "c_gen", "global")]
            lines.append("| " + " | ".join(cells) + " |")
        lines += [""] if kept else []
    return "\n".join(lines)


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder with MNIST's four IDX files")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS[:2])
    parser.add_argument("--systems", nargs="+", help="only these, by the names in groups_found.py")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 … SEEDS-1")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--report", action="store_true", help="only make the table")
    asked = parser.parse_args()
    if not asked.report and asked.data_dir is None:
        parser.error("--data-dir is needed, the folder with MNIST's four IDX files.")
    asked.out.mkdir(parents=True, exist_ok=True)
    if not asked.report:
        for model in asked.models:
            for seed in range(asked.seeds):
                one_seed(asked, model, seed)
    asked.out.with_suffix(".md").write_text(report(asked.out), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
