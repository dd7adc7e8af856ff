"""PFLlib's tables again: 20 clients on MNIST and CIFAR-10, personal models, the best round of each.

    python benchmarks/pfllib_tables.py --data-dir DIR --settings mnist_pat --rounds 2000
    python benchmarks/pfllib_tables.py --systems ditto fedavg-fine-tuned --data-dir DIR
    python benchmarks/pfllib_tables.py --report      # only the table, of what has been run

Each run leaves ``OUT/SETTING-SYSTEM-SEED.json``; one that is there already is not repeated. Every
registered system is one by its name, with its defaults, or as ``SYSTEMS`` has it. As there, batch
10, 1 epoch, rate .005, everybody takes part, and what counts is the share of all clients' test
examples that are right (C-SPE), in the best of the rounds measured: of the global model for FedAvg
and FedProx. CIFAR-10 is read from JPEG, whose pixels differ a little.

Zhang et al., arXiv 2312.04992; Zhang et al., FedALA, arXiv 2212.01197.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import mean, pstdev

from curves import curve
from machine import RESULTS, keep
from processes import run_each

SYSTEMS = {
    "fedavg": ("fedavg", {"measure_at": "averaged"}),
    "fedprox": ("fedprox", {"prox": 0.001, "measure_at": "averaged"}),
    "fedavg-fine-tuned": ("fedavg", {"measure_at": "fine-tuned"}),
    "fedrep": ("fedrep", {"head_epochs": 1, "weighting": "examples"}),  # as PFLlib has it
}
USUAL = ("fedavg", "fedprox", "fedavg-fine-tuned", "ditto", "fedrep", "fedala")
SETTINGS = {
    "mnist_pat": ("mnist", "pfllib_pat"),
    "mnist_dir": ("mnist", "pfllib_dir"),
    "cifar10_jpeg_pat": ("cifar10_jpeg", "pfllib_pat"),
    "cifar10_jpeg_dir": ("cifar10_jpeg", "pfllib_dir"),
}
PUBLISHED = {
    "mnist_pat": {
        "fedavg": 97.93,
        "fedprox": 98.01,
        "fedavg-fine-tuned": 99.79,
        "per_fedavg": 99.63,
        "pfedme": 99.75,
        "ditto": 99.81,
        "fedrep": 99.77,
        "fedala": 99.88,
    },
    "cifar10_jpeg_pat": {
        "fedavg": 55.09,
        "fedprox": 55.06,
        "fedavg-fine-tuned": 92.13,
        "per_fedavg": 89.63,
        "pfedme": 90.11,
        "ditto": 92.39,
        "fedrep": 91.93,
        "fedala": 92.44,
    },
    "cifar10_jpeg_dir": {
        "fedavg": 59.16,
        "fedprox": 59.21,
        "fedavg-fine-tuned": 90.34,
        "per_fedavg": 87.74,
        "pfedme": 88.09,
        "ditto": 90.59,
        "fedrep": 90.40,
        "fedala": 90.67,
    },
}
MODEL = {"filters": (32, 64), "hidden": 512}


def run_one(setting: str, system: str, seed: int, options: argparse.Namespace, out: Path) -> None:
    """One run, from the raw files to a JSON file of its curve."""
    import optax

    import demjax

    dataset, partition = SETTINGS[setting]
    found = demjax.data.load(dataset, data_dir=options.data_dir)
    x = demjax.data.centred(maximum=255.0 if found.x.dtype == "uint8" else 1.0)(found.x)
    clients = demjax.data.client_data(x, found.y, getattr(demjax.data, partition)(found.y))
    model = demjax.models.PFLlibCNN(classes=found.classes, **MODEL)
    task = demjax.classification(model, clients.x[0])
    local = demjax.local_training(task, optax.sgd(0.005), epochs=1, batch_size=10)
    name, its = SYSTEMS.get(system, (system, {}))
    algorithm = getattr(demjax, name)(local, **its)
    measured = sorted({*range(0, options.rounds, options.eval_every), options.rounds})
    rounds = {"rounds": options.rounds, "measured": measured}
    taken = curve(algorithm, task, clients, **rounds, seed=seed, name=f"{setting} {system}")
    keep({"setting": setting, "system": system, "seed": seed, **rounds, **taken}, out)


def best(run: dict) -> tuple[float, int]:
    """The best C-SPE of a run in per cent, and its round."""
    points = [point for point in run["curve"] if point["c_spe"] == point["c_spe"]]
    top = max(points, key=lambda point: point["c_spe"])
    return 100 * top["c_spe"], top["round"]


def table(folder: Path) -> str:
    """A row for each setting and system that has been run, beside the published number."""
    runs = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    lines = [
        "| setting | system | best C-SPE, % | in round | last | rounds | seeds | published |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        mine = [run for run in runs if run["setting"] == setting]
        for system in dict.fromkeys(run["system"] for run in mine):
            same = [run for run in mine if run["system"] == system]
            tops, last = [best(run) for run in same], [run["curve"][-1]["c_spe"] for run in same]
            spread = f" ± {pstdev(top for top, _ in tops):.2f}" if len(same) > 1 else ""
            rounds = "/".join(sorted({str(run["rounds"]) for run in same}))
            published = PUBLISHED.get(setting, {}).get(system, "")
            where = ", ".join(str(number) for _, number in tops)
            lines.append(
                f"| {setting} | {system} | {mean(top for top, _ in tops):.2f}{spread} | {where} | "
                f"{100 * mean(last):.2f} | {rounds} | {len(same)} | {published} |"
            )
    return "# PFLlib's tables\n\n" + "\n".join(lines) + "\n"


def run_all(options: argparse.Namespace) -> int:
    """Start every run that has no result yet, each in its own process, and write the table."""
    commands = []
    for seed in range(options.seeds):
        for setting in options.settings:
            for system in options.systems:
                if not (options.out / f"{setting}-{system}-{seed}.json").exists():
                    command = [sys.executable, __file__, "--data-dir", options.data_dir]
                    command += ["--rounds", str(options.rounds), "--out", str(options.out)]
                    command += ["--eval-every", str(options.eval_every)]
                    commands.append([*command, "--one", setting, system, str(seed)])
    failed = run_each(commands, jobs=options.jobs) if commands else 0
    (options.out / "results.md").write_text(table(options.out), encoding="utf-8")
    return int(failed > 0)


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder with MNIST's and CIFAR-10's files")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=tuple(SETTINGS))
    parser.add_argument("--systems", nargs="+", default=USUAL, help="registered, or of SYSTEMS")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 … SEEDS-1")
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--eval-every", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on its own core")
    parser.add_argument("--out", type=Path, default=RESULTS / "pfllib_tables")
    parser.add_argument("--report", action="store_true", help="only the table of what is there")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.report:
        (options.out / "results.md").write_text(table(options.out), encoding="utf-8")
        return 0
    if options.data_dir is None:
        parser.error("--data-dir is needed: a folder with the data sets' files")
    if options.one:
        setting, system, seed = options.one
        out = options.out / f"{setting}-{system}-{seed}.json"
        run_one(setting, system, int(seed), options, out)
        return 0
    return run_all(options)


if __name__ == "__main__":
    sys.exit(main())
