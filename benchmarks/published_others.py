"""Run the published experiments on Fashion-MNIST, CIFAR-10 and FE-MNIST: DemLearn and FedAvg.

    python benchmarks/published_others.py --setting cifar10 --data-dir DIR
    python benchmarks/published_others.py --setting cifar10 --dataset cifar10_jpeg --data-dir DIR
    python benchmarks/published_others.py --report             # tables and figures of all there are

A setting is the preset ``published_…`` of ``demjax run``. Each run leaves
``results/published_DATASET/ALGORITHM-SEED.json``; one that is there already is not repeated.
The published numbers beside ours are those of Nguyen et al., arXiv 2007.03278, after 100 rounds.
"""

import argparse
import json
import sys
from pathlib import Path

from curves import curve
from machine import RESULTS, keep, take_devices

SETTINGS = ("cifar10", "fashion_mnist", "femnist")
ALGORITHMS = {
    "demlearn-p": {"algorithm": "demlearn"},
    "fedavg": {"algorithm": "fedavg"},
    "control": {"algorithm": "fedavg", "mix": 0.7},
}
LABELS = {"demlearn-p": "DemLearn-P", "fedavg": "FedAvg", "control": "FedAvg, mixed (control)"}
COLOURS = {"demlearn-p": "#0072B2", "fedavg": "#D55E00", "control": "#009E73"}
MEASURES = {"c_spe": "C-SPE", "c_gen": "C-GEN", "global": "Global"}
NAMES = {
    "cifar10": "CIFAR-10",
    "cifar10_jpeg": "CIFAR-10 (JPEG)",
    "fashion_mnist": "Fashion-MNIST",
    "leaf": "FE-MNIST",
}
PUBLISHED = {
    "cifar10": {"fedavg": (0.839, 0.299, 0.645), "demlearn-p": (0.791, 0.570, 0.625)},
    "fashion_mnist": {"fedavg": (0.988, 0.463, 0.781), "demlearn-p": (0.974, 0.653, 0.755)},
    "leaf": {"fedavg": (0.821, 0.757, 0.827), "demlearn-p": (0.835, 0.810, 0.813)},
}
PUBLISHED["cifar10_jpeg"] = PUBLISHED["cifar10"]


def run_one(name: str, seed: int, arguments: argparse.Namespace, out: Path) -> None:
    """One run of the setting by one algorithm."""
    import demjax
    from demjax.experiment import build, resolve
    from demjax.experiment.config import override, read_preset

    given = {"seed": seed, "rounds": arguments.rounds, "data_dir": arguments.data_dir}
    given |= ALGORITHMS[name] | {"store": arguments.store}
    if arguments.dataset:
        given["dataset"] = arguments.dataset
    resolved = resolve(override(read_preset(f"published_{arguments.setting}"), given))
    built = build.build(resolved)
    measured = range(0, resolved.rounds + 1, arguments.eval_every)
    with demjax.spread_over(arguments.devices), build.as_asked(resolved):
        found = curve(*built[:3], rounds=resolved.rounds, seed=seed, measured=measured, name=name)
    said = {key: value for key, value in resolved.values.items() if value is not None}
    said.pop("data_dir", None)
    keep({"experiment": said, "algorithm": name, "seed": seed, **found}, out)


def report(folder: Path) -> None:
    """The last measures beside the published ones, and the curves."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    dataset = folder.name.removeprefix("published_")
    runs = [json.loads(path.read_text()) for path in sorted(folder.glob("*-*.json"))]
    runs.sort(key=lambda run: list(ALGORITHMS).index(run["algorithm"]))
    lines = [f"# {NAMES[dataset]}, 50 clients, as published", ""]
    lines += [
        "| algorithm | seed | rounds | C-SPE | C-GEN | Global |",
        "|---" * 6 + "|",
    ]
    for run in runs:
        last = run["curve"][-1]
        values = " | ".join(f"{last[name]:.3f}" for name in MEASURES)
        row = f"{LABELS[run['algorithm']]} | {run['seed']} | {last['round']} | {values}"
        lines.append(f"| {row} |")
    for algorithm, values in PUBLISHED.get(dataset, {}).items():
        numbers = " | ".join(f"{value:.3f}" for value in values)
        lines.append(f"| {LABELS[algorithm]}, published | – | 100 | {numbers} |")
    versions = ", ".join(f"{name} {value}" for name, value in runs[0]["versions"].items())
    machine = ", ".join(f"{name} {value}" for name, value in runs[0]["machine"].items())
    lines += ["", f"Machine: {machine}. Versions: {versions}.", ""]
    (folder / "results.md").write_text("\n".join(lines))

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharex=True)
    for ax, (measure, title) in zip(axes, MEASURES.items(), strict=True):
        for run in runs:
            rounds = [point["round"] for point in run["curve"]]
            values = [point[measure] for point in run["curve"]]
            name = run["algorithm"]
            ax.plot(rounds, values, marker="o", ms=3, color=COLOURS[name], label=LABELS[name])
        ax.set(title=title, xlabel="rounds", ylim=(0, 1))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel(f"accuracy, {NAMES[dataset]}")
    handles, labels = axes[0].get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=3, fontsize=8)
    for ending in ("png", "svg"):
        figure.savefig(folder / f"curves.{ending}", dpi=150)


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setting", choices=SETTINGS)
    parser.add_argument("--dataset", help="another source of the same images: cifar10_jpeg")
    parser.add_argument("--data-dir", help="folder of the data set's files")
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=list(ALGORITHMS))
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0 … SEEDS-1")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--eval-every", type=int, default=5)
    parser.add_argument("--store", choices=("bytes", "floats"), default="floats")
    parser.add_argument("--devices", type=int, help="by default one for each core of a CPU, else 1")
    parser.add_argument("--report", action="store_true", help="tables and figures of what is there")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.report:
        for name in NAMES:
            if any((arguments.out / f"published_{name}").glob("*-*.json")):
                report(arguments.out / f"published_{name}")
        return 0
    if arguments.setting is None or arguments.data_dir is None:
        parser.error("--setting and --data-dir are needed, unless it is --report")
    arguments.devices = take_devices(arguments.devices)
    own = {"femnist": "leaf"}.get(arguments.setting, arguments.setting)
    folder = arguments.out / f"published_{arguments.dataset or own}"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(arguments.seeds):
        for name in arguments.algorithms:
            out = folder / f"{name}-{seed}.json"
            if not out.exists():
                run_one(name, seed, arguments, out)
    report(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
