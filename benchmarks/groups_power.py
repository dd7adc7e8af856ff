"""How often ``demjax.groups`` finds as many groups as there are, and with how many examples.

    python benchmarks/groups_power.py --data-dir DIR       # resumes
    python benchmarks/groups_power.py --report             # table and figure of what is there

``DIR`` holds MNIST's four IDX files. 45 clients of one kind, or of four that see digits turned by
quarters; a linear model, one round of training. With 200 training examples a client there are
``--draws`` draws, a quarter of them by each way to give labels; with fewer examples as many again.
Each draw has examples, labels and an initial model of its own.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from groups_found import CLIENTS, SPLITS, clients_of

RESULTS = Path(__file__).parent / "results"
EXAMPLES = (200, 100, 60, 40, 20)
KINDS = ("none", "turned in 4")


def one_draw(data_dir: str, kind: str, split: str, draw: int, examples: int) -> dict:
    """What is found in one draw."""
    import jax
    import numpy as np
    import optax
    from sklearn.metrics import adjusted_rand_score

    import demjax

    clients, kinds = clients_of(data_dir, kind, split, draw, examples * 5 // 4)
    task = demjax.classification(demjax.models.Linear(classes=10), clients.x[0])
    local = demjax.local_training(task, optax.sgd(0.05), epochs=2, batch_size=10)
    begin = time.perf_counter()
    found = demjax.groups(local, clients, rounds=1, key=jax.random.key(draw))
    return {
        "groups": found.n_groups,
        "rand": float(adjusted_rand_score(kinds, found.groups)),
        "jump": float(np.max(found.ratio)),
        "limit": found.limit,
        "stability": found.stability,
        "seconds": round(time.perf_counter() - begin, 1),
    }


def report(found: dict[str, dict]) -> str:
    """The table."""
    lines = [
        "# How many groups are found",
        "",
        f"{CLIENTS} clients with MNIST, of one kind or of four that see digits turned by quarters;",
        "a linear model, one round of training. Made by `python benchmarks/groups_power.py`.",
        "",
        "| training examples a client | draws without kinds | more than one group found | draws "
        "with four kinds | four groups found | all clients in the right one |",
        "|---|---|---|---|---|---|",
    ]
    for examples in EXAMPLES:
        none, four = (
            [one for name, one in found.items() if name.startswith(f"{kind}|{examples}|")]
            for kind in KINDS
        )
        if none or four:
            lines.append(
                f"| {examples} | {len(none)} | {sum(one['groups'] > 1 for one in none)} | "
                f"{len(four)} | {sum(one['groups'] == 4 for one in four)} | "
                f"{sum(one['rand'] == 1 for one in four)} |"
            )
    return "\n".join(lines) + "\n"


def draw_figure(found: dict[str, dict], path: Path) -> None:
    """Shares of draws against examples."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    fig, ax = plt.subplots(figsize=(4.5, 2.8), layout="constrained")
    for kind, label, colour, marker in (
        ("turned in 4", "four kinds: four groups found", "#0072B2", "o"),
        ("none", "one kind: one group found", "#D55E00", "s"),
    ):
        right = 4 if kind != "none" else 1
        shares = {
            examples: np.mean([one["groups"] == right for one in some])
            for examples in EXAMPLES
            if (some := [o for n, o in found.items() if n.startswith(f"{kind}|{examples}|")])
        }
        ax.plot(list(shares), list(shares.values()), color=colour, marker=marker, label=label)
    ax.set(xlabel="training examples a client", ylabel="share of draws", ylim=(0, 1.05))
    ax.set_xscale("log")
    ax.set_xticks(EXAMPLES, [str(n) for n in EXAMPLES])
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    fig.savefig(path, dpi=150)


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder with MNIST's four IDX files")
    parser.add_argument("--draws", type=int, default=20, help="of each kind and number [20]")
    parser.add_argument("--examples", type=int, nargs="+", default=EXAMPLES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="only make table and figure")
    arguments = parser.parse_args()
    path = arguments.out / "groups_power.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    if not arguments.report:
        if arguments.data_dir is None:
            parser.error("--data-dir is needed, a folder with MNIST's four IDX files")
        import jax

        jax.config.update("jax_compilation_cache_dir", str(arguments.out / "programs"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        for examples in arguments.examples:
            for draw in range(arguments.draws):
                for kind in KINDS:
                    split = SPLITS[draw % len(SPLITS)]
                    name = f"{kind}|{examples}|{split}|{draw}"
                    if name not in found:
                        found[name] = one_draw(arguments.data_dir, kind, split, draw, examples)
                        print(name, found[name], flush=True)
                        path.write_text(json.dumps(found, indent=1) + "\n")
    (arguments.out / "groups_power.md").write_text(report(found))
    draw_figure(found, arguments.out / "groups_power.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
