"""Rerun the published MNIST experiment: 50 clients, 100 rounds, several seeds of each algorithm.

    python benchmarks/published_mnist.py --data-dir DIR            # everything; resumes
    python benchmarks/published_mnist.py --data-dir DIR --jobs 2   # one run on each of two cores

Each run leaves ``OUT/ALGORITHM-SEED.json``; a run that is there already is not repeated.
``published_report.py`` makes the table and the figure of the files. ``--jobs`` above 1 needs Linux.

The setting is that of Nguyen et al., arXiv 2007.03278, with 50 clients on MNIST.
"""

import argparse
import sys
import time
from pathlib import Path

from curves import curve
from machine import keep
from processes import run_each

ALGORITHMS = (
    "fedavg",
    "fedprox",
    "demlearn-p",
    "demlearn",
    "demlearn-p-amplified",
    "control",
    "by-updates",
    "pfedme",
)
RATES = {"pfedme": 0.08}
"""Local learning rates that are not the experiment's 0.05."""
MEASURED = (0, 2, 5, 10, 15, 25, 37, 50, 75, 100)
RESULTS = Path(__file__).parent / "results" / "published_mnist"


def algorithm_named(name: str, local):
    """The algorithms of the experiment with their published settings, and the control."""
    import demjax
    from demjax import clustering, hierarchy

    def by_updates():
        return demjax.demlearn(
            local,
            prox=0.002,
            features=clustering.updates(),
            metric=clustering.cosine,
            linkage="ward",
            cut=clustering.counts((10, 5, 2), min_size=3),
            start=hierarchy.from_root,
            weighting="examples",
            mix=(0.6, 0.3, 0.3, 0.3),
        )

    return {
        "by-updates": by_updates,
        "fedavg": lambda: demjax.fedavg(local),
        "fedprox": lambda: demjax.fedprox(local, prox=0.5),
        "demlearn": lambda: demjax.demlearn(local, levels=3, mix=0.6, prox=0.0),
        "demlearn-p": lambda: demjax.demlearn(local, levels=3, mix=0.6, prox=0.002),
        "demlearn-p-amplified": lambda: demjax.demlearn(
            local, levels=3, mix=0.6, prox=0.002, amplification=1.15
        ),
        "control": lambda: demjax.fedavg(local, mix=0.6),
        "pfedme": lambda: demjax.pfedme(
            local,
            prox=10.0,
            personal_lr=0.04,
            personal_steps=2,
            server_optimizer="sgd",
            server_lr=2.0,
        ),
    }[name]()


def run_one(name: str, seed: int, data_dir: str, rounds: int, out: Path) -> None:
    """One run, from the raw files to a JSON file of its curve."""
    import optax

    import demjax

    mnist = demjax.data.mnist(data_dir=data_dir)
    x = demjax.data.per_pixel(mnist.x)(mnist.x)
    clients = demjax.data.client_data(x, mnist.y, demjax.data.published_mnist(mnist.y))
    task = demjax.classification(demjax.models.CNN(classes=10), clients.x[0])
    rate = RATES.get(name, 0.05)
    # pFedMe's two local rounds are of one batch each, as in its algorithm 1.
    passes = {"epochs": 1, "batches_per_epoch": 2} if name == "pfedme" else {"epochs": 2}
    local = demjax.local_training(task, optax.sgd(rate), **passes, batch_size=10)
    measured = [number for number in MEASURED if number <= rounds]
    algorithm = algorithm_named(name, local)
    found = curve(algorithm, task, clients, rounds=rounds, seed=seed, measured=measured, name=name)
    keep({"algorithm": name, "seed": seed, "rounds": rounds, **found}, out)


def run_all(arguments: argparse.Namespace) -> int:
    """Start every run that has no result yet, ``--jobs`` at a time, each in its own process."""
    pairs = [(name, seed) for seed in range(arguments.seeds) for name in arguments.algorithms]
    command = [sys.executable, __file__, "--data-dir", arguments.data_dir]
    command += ["--rounds", str(arguments.rounds), "--out", str(arguments.out), "--one"]
    commands = [
        [*command, name, str(seed)]
        for name, seed in pairs
        if not (arguments.out / f"{name}-{seed}.json").exists()
    ]
    begin = time.time()
    failed = run_each(commands, jobs=arguments.jobs)
    print(f"{len(pairs)} runs, {failed} failed, {time.time() - begin:.0f} s")
    return int(failed > 0)


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder with MNIST's four IDX files")
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 … SEEDS-1")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on its own core")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=2, metavar=("ALGORITHM", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.data_dir is None:
        parser.error("--data-dir is needed: a folder with MNIST's four IDX files")
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        name, seed = arguments.one
        out = arguments.out / f"{name}-{seed}.json"
        run_one(name, int(seed), arguments.data_dir, arguments.rounds, out)
        return 0
    return run_all(arguments)


if __name__ == "__main__":
    sys.exit(main())
