"""Redraw the figures of the DemLearn paper from runs of the published MNIST setting.

    python benchmarks/published_figures.py --data-dir DIR                  # all runs and figures
    python benchmarks/published_figures.py --data-dir DIR --figures levels # one, and what it needs
    python benchmarks/published_figures.py                                 # figures of runs in OUT
    python benchmarks/published_figures.py --data-dir DIR --jobs 2         # a run on each core

``DIR`` holds MNIST's four IDX files. Every run is one of ``demjax run --preset published`` with the
options below, measured every three of 30 rounds; its folder, in ``OUT/runs``, is not made again.
50 clients, the convolutional network, E = 2, B = 10, η = 0.05, α = 0.6, μ = 0.002, K = 3, τ = 1,
one seed, no amplification. Figures:

algorithms    all measures of DemLearn-P, FedAvg and FedProx, from ``published_mnist.py``'s files;
              thin lines with ``--published``, a CSV of the curves published with the paper
levels        K = 1 against K = 3
period        τ = 1 against τ = 5
fixed         a tree that is built once against one that organizes itself in each round
mix           α = 0.5, 0.6, 0.7, 0.8
prox          μ = 0.0005, 0.002, 0.005
metric        Euclidean against cosine distance, C-GEN of each client as a thin line
dendrograms   the tree at ten moments of a run

Leaves ``OUT/FIGURE.svg``, and ``OUT/results.md`` with the last measures of each run.
The figures are those of Nguyen et al., arXiv 2007.03278.
"""

import argparse
import csv
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from processes import run_each
from published_report import THIN, darker, read_runs

from demjax import plots
from demjax.experiment.config import read_options
from demjax.plots import curves, per_client
from demjax.plots.dendrograms import dendrograms
from demjax.plots.style import PAGE, new_figure, style

RESULTS = Path(__file__).parent / "results"
OUT = RESULTS / "published_figures"
RUNS: Mapping[str, Sequence[str]] = {
    "published": (),
    "levels-1": ("--levels", "1"),
    "period-5": ("--period", "5"),
    "fixed": ("--period", "{rounds}"),
    "cosine": ("--metric", "cosine"),
    "mix-0.5": ("--mix", "0.5"),
    "mix-0.7": ("--mix", "0.7"),
    "mix-0.8": ("--mix", "0.8"),
    "prox-0.0005": ("--prox", "0.0005"),
    "prox-0.005": ("--prox", "0.005"),
}
"""Each run's options besides those of the preset and ``--rounds``, by the name of its folder."""

SIDES = {"demlearn-p": "DemLearn-P", "fedavg": "FedAvg", "fedprox": "FedProx, μ = 0.5"}
MEASURES = ("c_spe", "c_gen", "g_spe_l1", "g_gen_l1", "global")


def of_point(point: Mapping, column: str) -> float | None:
    """A measure at a moment of ``published_mnist.py``'s files, which list those of groups."""
    name, _, level = column.partition("_l")
    if not level:
        return point[name]
    return point[name][int(level) - 1] if point[name] else None


def draw_algorithms(published: Mapping[str, Mapping[str, tuple]]):
    """All measures of three algorithms side by side: mean and range of seeds, and as published."""
    found = read_runs(RESULTS / "published_mnist")
    records, names = [], []
    for name, title in SIDES.items():
        for run in found[name]:
            points = run["curve"]
            records.append(
                plots.Record(
                    name=title,
                    round=np.array([point["round"] for point in points]),
                    measures={
                        column: np.array([of_point(point, column) for point in points], float)
                        for column in MEASURES
                        if of_point(points[-1], column) is not None
                    },
                    client_spe=None,
                    client_gen=None,
                    groups=None,
                    dendrograms={},
                    options={},
                    summary={},
                    folder=None,
                )
            )
            names.append(title)
    axes = curves.measures(records, names=names)
    for name, ax in zip(SIDES, axes, strict=True):
        for measure, (rounds, values) in published.get(name, {}).items():
            looks = curves.LOOKS[measure.removesuffix("_l1")]
            ax.plot(rounds, values, color=darker(looks["color"]), **THIN)
    return axes[0].figure


def draw_comparison(*names: str) -> Callable:
    """A figure of five panels, a line for each run."""
    return lambda folders: curves.comparison([folders[name] for name in names])[0].figure


@style()
def draw_metric(folders: Mapping[str, Path]):
    """C-GEN of every client, Euclidean distance at the left and cosine at the right."""
    figure = new_figure(None, (PAGE, 2.4))
    axes = figure.subplots(1, 2, sharey=True)
    for ax, name, title in zip(axes, ("published", "cosine"), ("Euclidean", "cosine"), strict=True):
        per_client.clients(folders[name], measure="c_gen", ax=ax)
        ax.set_title(title, pad=16)  # above the legend
    axes[1].set_ylabel("")
    axes[1].get_legend().remove()
    return figure


FIGURES: Mapping[str, tuple[Sequence[str], Callable]] = {
    "levels": (("levels-1", "published"), draw_comparison("levels-1", "published")),
    "period": (("published", "period-5"), draw_comparison("published", "period-5")),
    "fixed": (("published", "fixed"), draw_comparison("published", "fixed")),
    "mix": (
        ("mix-0.5", "published", "mix-0.7", "mix-0.8"),
        draw_comparison("mix-0.5", "published", "mix-0.7", "mix-0.8"),
    ),
    "prox": (
        ("prox-0.0005", "published", "prox-0.005"),
        draw_comparison("prox-0.0005", "published", "prox-0.005"),
    ),
    "metric": (("published", "cosine"), draw_metric),
    "dendrograms": (
        ("published",),
        lambda folders: dendrograms(folders["published"])[0].figure,
    ),
}
"""By name: the runs that a figure needs, and what draws it from their folders."""


def read_published(path: Path | None) -> dict[str, dict[str, tuple[list, list]]]:
    """The published curves, by algorithm and measure: rounds and values."""
    found: dict[str, dict[str, tuple[list, list]]] = {}
    for row in csv.DictReader(path.read_text().splitlines()) if path else ():
        for measure in MEASURES:
            if row[measure]:
                lists = found.setdefault(row["algorithm"], {}).setdefault(measure, ([], []))
                lists[0].append(int(row["round"]))
                lists[1].append(float(row[measure]))
    return found


def check(names: Sequence[str], runs: Path, rounds: int) -> None:
    """Refuse to set runs of different lengths side by side.

    Raises:
        ValueError: If a run that is there has another number of rounds.
    """
    for name in names:
        path = runs / name / "config.toml"
        if path.exists() and (found := read_options(path)["rounds"]) != rounds:
            raise ValueError(
                f"The run {runs / name} is of {found} rounds, but {rounds} were asked for; "
                "possible is --rounds with that number, or another --out."
            )


def make_runs(names: Sequence[str], arguments: argparse.Namespace) -> int:
    """Start the runs that are not there; each is whole before it has its name."""
    runs = arguments.out / "runs"
    missing = [name for name in names if not (runs / name).exists()]
    commands = []
    for name in missing:
        shutil.rmtree(partial := runs / f"{name}.partial", ignore_errors=True)
        command = [sys.executable, "-m", "demjax", "run", "--preset", "published"]
        command += [word.format(rounds=arguments.rounds) for word in RUNS[name]]
        command += ["--rounds", str(arguments.rounds), "--eval-every", str(arguments.every)]
        command += ["--data-dir", ".", "--out", str(partial.resolve())]
        commands.append([*command, *(["--devices", "1"] if arguments.jobs > 1 else [])])

    def keep(place: int) -> None:
        """Give a finished run its name, and leave out where the data were."""
        partial = runs / f"{missing[place]}.partial"
        config = partial / "config.toml"
        config.write_text(re.sub("(?m)^data_dir = .*$", 'data_dir = "."', config.read_text()))
        partial.rename(runs / missing[place])

    return run_each(commands, jobs=arguments.jobs, folder=arguments.data_dir, after=keep)


def table(runs: Path) -> str:
    """The last measures of each run that is there."""
    lines = ["# Options of the published setting, varied", ""]
    lines += ["| options | rounds | C-SPE | C-GEN | G-SPE(1) | G-GEN(1) | Global | s a round |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    places: dict[str, list[str]] = {}
    for name, options in RUNS.items():
        if not (runs / name).exists():
            continue
        record = plots.read(runs / name)
        last = [f"{record.measures[column][-1]:.3f}" for column in MEASURES]
        seconds = f"{record.summary['round_seconds']:.1f}"
        said = " ".join(options).format(rounds=record.round[-1]) or "as published"
        cells = [said, str(record.round[-1]), *last, seconds]
        lines.append(f"| {' | '.join(cells)} |")
        device, versions = record.summary["device"], record.summary["versions"]
        told = ", ".join(f"{package} {version}" for package, version in versions.items())
        used = f"{device['count']} × {device['kind']} of a machine of {device['cores']} cores"
        places.setdefault(f"{used}; {told}", []).append(said)
    lines += ["", "One seed."]
    for place, names in places.items():
        lines.append(f"{'All' if len(places) == 1 else ', '.join(names)}: {place}.")
    return "\n".join([*lines, ""])


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = ("algorithms", *FIGURES)
    parser.add_argument("--data-dir", type=Path, help="folder with MNIST's four IDX files")
    parser.add_argument("--figures", nargs="+", choices=every, default=every)
    parser.add_argument("--published", type=Path, help="CSV of the published curves")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--every", type=int, default=3, help="rounds between measurements")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on its own core")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    wanted = {name: FIGURES[name][0] for name in arguments.figures if name in FIGURES}
    needed = [run for run in RUNS if any(run in these for these in wanted.values())]
    if arguments.data_dir and not arguments.data_dir.is_dir():
        parser.error(f"--data-dir {arguments.data_dir} is no folder; possible is MNIST's.")
    try:
        check(needed, arguments.out / "runs", arguments.rounds)
    except ValueError as error:
        parser.error(str(error))
    (arguments.out / "runs").mkdir(parents=True, exist_ok=True)
    failed = make_runs(needed, arguments) if arguments.data_dir else 0
    folders = {name: arguments.out / "runs" / name for name in needed}
    for name in arguments.figures:
        missing = [run for run in wanted.get(name, ()) if not folders[run].exists()]
        if missing:
            print(f"{name} is not drawn: the run {missing[0]} is not there; add --data-dir.")
            failed += 1
            continue
        if name == "algorithms":
            figure = draw_algorithms(read_published(arguments.published))
        else:
            figure = FIGURES[name][1](folders)
        figure.savefig(arguments.out / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)
        print(arguments.out / f"{name}.svg")
    if any((arguments.out / "runs" / name).exists() for name in RUNS):
        (arguments.out / "results.md").write_text(table(arguments.out / "runs"))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
