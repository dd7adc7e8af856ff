r"""Do systems that group clients find planted conflicts across label skew, and does it pay?

    python benchmarks/groups_found.py --data-dir DIR                   # linear and MLP; resumes
    python benchmarks/groups_found.py --data-dir DIR --models cnn --seeds 1
    python benchmarks/groups_found.py --data-dir DIR --models cnn --rounds 3 \
        --systems recommended --out benchmarks/results/groups_found_cnn    # who is with whom
    python benchmarks/groups_found.py --data-dir DIR --models cnn --seeds 1 --after 10 --rounds 10 \
        --kinds "shifted in 5" --splits "Dirichlet 0.3" --systems recommended \
        --out benchmarks/results/groups_found_after    # from what everybody has learned
    python benchmarks/groups_found.py --report                         # tables of what is there

``DIR`` holds MNIST's four IDX files. 45 clients of 250 images, 50 of them for tests (by Dirichlet
as many on average), of some kinds of clients that conflict: images permuted, turned by quarters, or
labels shifted. Every system runs 20 rounds of E = 2, batches of 10, η = 0.05. Scored within kinds:

C-SPE   clients' models on their own test examples
C-GEN   clients' models on all test examples of their own kind
Global  the model that a client would be sent, of its group on the level under the root or of the
        root where there are no groups, on all test examples of its kind

Clustered rivals are scored as FedAvg is, by what clients last trained, which specializes most.

Rand    adjusted Rand index of the groups on that level and the kinds, and how many groups there are
        (of planted kinds one: how often more than one group is found)
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "groups_found"
KINDS = {
    "none": (1, None),
    "permuted in 2": (2, "permuted"),
    "permuted in 3": (3, "permuted"),
    "turned in 4": (4, "rotated"),
    "shifted in 5": (5, "relabelled"),
}
SPLITS = ("iid", "4 labels", "2 labels", "Dirichlet 0.3")
MODELS = ("linear", "mlp", "cnn")
CLIENTS, IMAGES, ROUNDS = 45, 250, 20
NAMES = {
    "recommended": "recommended",
    "demlearn, published": "DemLearn, published",
    "fedavg": "FedAvg",
    "fedavg, fine-tuned": "FedAvg, fine-tuned",
    "fedavg, mixed": "FedAvg, mixed",
    "ifca, told": "IFCA, told",
    "cfl": "CFL",
    "fedrc, told": "FedRC, told",
    "pacfl, told": "PACFL, told",
    "fl_hc, told": "FL+HC, told",
}
"""What tables call the systems; told: given the true number of kinds."""


def systems(kinds: int) -> dict[str, Callable[[Any], Any]]:
    """By name how each system is made of local training; some are told how many kinds there are."""
    from demjax.experiment.config import read_preset
    from demjax.registry import ALGORITHMS

    options, own = read_preset("recommended"), {"measure_at": "trained"}
    told = {"clusters": kinds, **own}
    made = {
        "recommended": (options.pop("algorithm"), options),
        "demlearn, published": ("demlearn", {}),
        "fedavg": ("fedavg", {}),
        "fedavg, fine-tuned": ("fedavg", {"measure_at": "fine-tuned"}),
        "fedavg, mixed": ("fedavg", {"mix": 0.6}),
        "ifca, told": ("ifca", told),
        "cfl": ("cfl", {"split_after": 5, **own}),
        "fedrc, told": ("fedrc", told),
        "pacfl, told": ("pacfl", told),
        "fl_hc, told": ("fl_hc", told),
    }

    def make(system, options, local):
        return ALGORITHMS[system].make(local, **options)

    return {name: partial(make, *how) for name, how in made.items()}


def clients_of(data_dir: str, kind: str, split: str, seed: int, images: int = IMAGES):
    """The data of a cell, and the kind of each client."""
    import numpy as np

    from demjax import data

    count, conflict = KINDS[kind]
    mnist = data.mnist(data_dir=data_dir)
    few = np.random.default_rng(seed).permutation(len(mnist.y))[: CLIENTS * images]
    x, y = mnist.x[few], mnist.y[few]
    common = {"clients": CLIENTS, "seed": seed}
    if split == "iid":
        parts = data.iid(y, **common)
    elif split.endswith("labels"):
        held = int(split.split()[0])
        parts = data.labels(y, labels_per_client=held, label_sigma=0.0, **common)
    else:
        parts = data.dirichlet(y, dirichlet_alpha=0.3, **common)
    if conflict == "relabelled":
        y = data.relabelled(y, parts, count, classes=10)
    elif conflict == "permuted":
        x = data.permuted(x, parts, count, seed=seed)
    elif conflict == "rotated":
        x = data.rotated(x, parts, count)
    x = data.unit()(x)
    return of_one_form(data.client_data(x, y, parts)), data.planted_clusters(CLIENTS, count)


def of_one_form(clients):
    """The same data with room for the largest client of any cell, so that programs are the same."""
    import jax.numpy as jnp

    def wide(rows, width):
        return jnp.pad(rows, ((0, 0), (0, max(width - rows.shape[1], 0))))

    return clients._replace(train=wide(clients.train, 800), test=wide(clients.test, 200))


def scores(task, algorithm, state, clients, kinds, key) -> dict[str, float]:
    """The measures within kinds of what a run ends with."""
    import jax
    import numpy as np
    from sklearn.metrics import adjusted_rand_score

    models = algorithm.models(state)
    if algorithm.before_scoring is not None:
        models = jax.jit(algorithm.before_scoring)(key, models, clients)
    client, sent, groups = sent_to(models)
    test, size = np.asarray(clients.test), np.asarray(clients.test_size)
    right = jax.jit(
        lambda stacked, x, y: jax.lax.map(partial(task.score, x=x, y=y), stacked)  # [models, T]
    )
    spe, gen, whole = [], [], []
    for kind in np.unique(kinds):
        # No model is scored on another kind's examples; one that many are sent is scored once.
        members = np.nonzero(kinds == kind)[0]
        real = np.arange(test.shape[1]) < size[members, None]
        examples, owners = test[members][real], members[np.nonzero(real)[0]]
        _, first, which = np.unique(groups[members], return_index=True, return_inverse=True)
        x, y = clients.x[examples], clients.y[examples]
        own = np.asarray(right(jax.tree.map(itemgetter(members), client), x, y))
        given = np.asarray(right(jax.tree.map(itemgetter(members[first]), sent), x, y))
        for row, member in enumerate(members):
            mine = owners == member
            if mine.any():
                spe.append(own[row, mine].mean())
            gen.append(own[row].mean())
            whole.append(given[which[row]].mean())
    return {
        "c_spe": float(np.mean(spe)),
        "c_gen": float(np.mean(gen)),
        "global": float(np.mean(whole)),
        "rand": float(adjusted_rand_score(kinds, groups)),
        "groups": len(np.unique(groups)),
    }


def sent_to(models):
    """Clients' models, those that clients would be sent, and everyone's group under the root.

    Who is in none there, or where there is no such level, is sent the root's.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    def plain(stacked):
        return stacked.as_pytree() if hasattr(stacked, "as_pytree") else stacked

    level = max(len(models.hierarchy.groups) - 2, 0)
    mine = models.hierarchy.groups[level]

    def sent(leaf):
        there = mine.reshape(-1, *[1] * (leaf.ndim - 2)) >= 0
        return jnp.where(there, leaf[level][mine], leaf[-1, 0])

    return plain(models.client), jax.tree.map(sent, plain(models.group)), np.asarray(mine)


def path_of(out: Path, model: str, kind: str, split: str, seed: int) -> Path:
    """Where a cell's results are kept."""
    return out / f"{model}-{kind}-{split}-{seed}.json".replace(" ", "_")


def one_cell(arguments, model: str, kind: str, split: str, seed: int) -> None:
    """All systems on one cell; those that are there are not repeated."""
    import jax
    import optax

    import demjax

    path = path_of(arguments.out, model, kind, split, seed)
    found = json.loads(path.read_text()) if path.exists() else {}
    wanted = {
        name: make
        for name, make in systems(KINDS[kind][0]).items()
        if name not in found and (not arguments.systems or name in arguments.systems)
    }
    if not wanted:
        return
    clients, kinds = clients_of(arguments.data_dir, kind, split, seed, arguments.images)
    net = {
        "linear": demjax.models.Linear,
        "mlp": demjax.models.MLP,
        "cnn": demjax.models.CNN,
    }[model](classes=10)
    task = demjax.classification(net, clients.x[0])
    local = demjax.local_training(task, optax.sgd(0.05), epochs=2, batch_size=10)
    key, never = jax.random.key(seed), 10**6

    def ends_with(algorithm, key, rounds):
        return demjax.simulate(
            algorithm,
            task,
            clients,
            rounds=rounds,
            key=key,
            eval_every=rounds,
            measures_every={"client": never, "group": never, "global": never},
        ).state

    if arguments.after:
        fedavg = demjax.fedavg(local)
        _, sent, _ = sent_to(fedavg.models(ends_with(fedavg, key, arguments.after)))
        shared = jax.tree.map(itemgetter(0), sent)
        task = task._replace(init=lambda key: shared)
        local = demjax.local_training(task, optax.sgd(0.05), epochs=2, batch_size=10)
        key = jax.random.fold_in(key, arguments.after)
    for name, make in wanted.items():
        algorithm, begin = make(local), time.perf_counter()
        state = ends_with(algorithm, key, arguments.rounds)
        found[name] = scores(task, algorithm, state, clients, kinds, key)
        found[name]["seconds"] = round(time.perf_counter() - begin, 1)
        found[name] |= {"rounds": arguments.rounds, "after": arguments.after}
        print(f"{model}, {kind}, {split}, seed {seed}, {name}:", found[name], flush=True)
        new = path.with_suffix(".partial")
        new.write_text(json.dumps(found, indent=1) + "\n")
        new.replace(path)


def present(cells: dict[tuple[str, str, str], list[dict]]) -> list[str]:
    """The systems that were run, in the order of tables, in whatever order they were."""
    there = {name for runs in cells.values() for run in runs for name in run}
    return [name for name in NAMES if name in there]


def draw(cells: dict[tuple[str, str, str], list[dict]], path: Path) -> None:
    """Rand index and Global of each system, over all cells with kinds."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    shown = {
        cell: runs for cell, runs in cells.items() if cell[0] == "linear" and cell[1] != "none"
    }
    names = present(shown)
    fig, axes = plt.subplots(2, 1, figsize=(7.2, 5.6), sharex=True, layout="constrained")
    for ax, what, title in (
        (axes[0], "rand", "adjusted Rand index of groups and true kinds"),
        (axes[1], "global", "Global within kinds"),
    ):
        values = np.array(
            [
                [
                    np.mean([run[name][what] for run in runs if name in run])
                    for runs in shown.values()
                ]
                for name in names
            ]
        )
        image = ax.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            dark = "white" if value < 0.6 else "black"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=dark, fontsize=6)
        ax.set_yticks(range(len(names)), [NAMES[name] for name in names], fontsize=7)
        ax.set_title(title, fontsize=8)
        fig.colorbar(image, ax=ax, shrink=0.8)
    ticks = [f"{kind}, {split}" for _, kind, split in shown]
    axes[1].set_xticks(range(len(ticks)), ticks, rotation=60, ha="right", fontsize=7)
    fig.savefig(path, dpi=150)


def report(out: Path) -> str:
    """Tables and the figure of what is there: means over seeds, a row for each cell."""
    import numpy as np

    cells: dict[tuple[str, str, str], list[dict]] = {}
    for model in MODELS:
        for kind in KINDS:
            for split in SPLITS:
                paths = sorted(
                    out.glob(path_of(Path(), model, kind, split, 0).stem[:-1] + "*.json")
                )
                if paths:
                    cells[model, kind, split] = [json.loads(path.read_text()) for path in paths]
    names = present(cells)
    lines = ["# Groups found, and what they are worth", "", *settings(cells), ""]

    def table(title, cell):
        lines.extend(
            [
                f"## {title}",
                "",
                "| model, kinds, labels, seeds | "
                + " | ".join(NAMES[name] for name in names)
                + " |",
            ]
        )
        lines.append("|---|" + "---|" * len(names))
        for (model, kind, split), runs in cells.items():
            row = []
            for name in names:
                there = [run[name] for run in runs if name in run]
                fewer = f" ({len(there)})" if 0 < len(there) < len(runs) else ""
                row.append((cell(there) if there else "") + fewer)
            lines.append(f"| {model}, {kind}, {split}, {len(runs)} | " + " | ".join(row) + " |")
        lines.append("")

    def mean(runs, what):
        return f"{np.mean([run[what] for run in runs]):.3f}".lstrip("0")

    table(
        "Rand index with the true kinds / groups found",
        lambda runs: (
            f"{np.mean([run['rand'] for run in runs]):.2f} / "
            + " ".join(str(run["groups"]) for run in runs)
        ),
    )
    table(
        "C-SPE / C-GEN / Global, within kinds",
        lambda runs: " / ".join(mean(runs, what) for what in ("c_spe", "c_gen", "global")),
    )
    if any(model == "linear" and kind != "none" for model, kind, _ in cells):
        draw(cells, out.with_suffix(".png"))
    return "\n".join(lines)


def settings(cells: dict[tuple[str, str, str], list[dict]]) -> list[str]:
    """What was run; results that do not say how many rounds are of ``ROUNDS``."""
    every = [one for runs in cells.values() for run in runs for one in run.values()]
    spent = sorted({(one.get("rounds", ROUNDS), one.get("after", 0)) for one in every})
    rounds = " or ".join(
        f"{own} rounds" + f" after {before} of FedAvg" * (before > 0) for own, before in spent
    )
    return [
        f"{CLIENTS} clients of {IMAGES} MNIST images, 50 of them for tests, {rounds},",
        "E = 2, batches of 10, rate 0.05. Told: given the true number of kinds. In brackets: of so",
        "many seeds, where they are fewer than the row has. Made by",
        "`python benchmarks/groups_found.py`, which says what is measured.",
    ]


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder with MNIST's four IDX files")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS[:2])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=SPLITS)
    parser.add_argument(
        "--after", type=int, default=0, help="begin with the model of so many rounds of FedAvg [0]"
    )
    parser.add_argument("--systems", nargs="+", help="only these, by the names in the tables")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 … SEEDS-1")
    parser.add_argument("--images", type=int, default=IMAGES, help="of each client")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="only make the tables")
    arguments = parser.parse_args()
    if not arguments.report and arguments.data_dir is None:
        parser.error("--data-dir is needed, a folder with MNIST's four IDX files")
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        import jax

        # Cells differ in numbers alone, so that most of their programs are the same.
        jax.config.update("jax_compilation_cache_dir", str(arguments.out / "programs"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        for seed in range(arguments.seeds):
            for model in arguments.models:
                for kind in arguments.kinds:
                    for split in arguments.splits:
                        one_cell(arguments, model, kind, split, seed)
    arguments.out.with_suffix(".md").write_text(report(arguments.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
