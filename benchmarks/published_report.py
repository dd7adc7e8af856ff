"""Table and figure of the published MNIST experiment rerun, from ``published_mnist.py``'s files.

    python benchmarks/published_report.py [--published CURVES.csv]

Writes ``results.md``, ``curves.svg`` and ``curves.png`` beside the runs; needs Matplotlib.
The published ends are written below; with ``--published``, a CSV of the curves published with the
paper (algorithm, round, c_spe, c_gen, global, …), the figure shows them over ours, and the table
compares rounds 25 and 50 as well.
"""

import argparse
import csv
import json
import statistics
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb

RESULTS = Path(__file__).parent / "results" / "published_mnist"
MEASURES = ("c_spe", "c_gen", "global")
NAMES = {
    "fedavg": "FedAvg",
    "fedprox": "FedProx, μ = 0.5",
    "demlearn-p": "DemLearn-P, no amplification",
    "demlearn": "DemLearn, no amplification",
    "demlearn-p-amplified": "DemLearn-P, amplified",
    "control": "control: FedAvg, clients mixed with α = 0.6",
    "by-updates": "DemLearn, grouped by updates",
    "pfedme": "pFedMe, λ = 10, K = 2",
}
# Ends after 99 rounds: Nguyen et al., arXiv 2007.03278, and the curves published with it. Those
# without amplification are of the authors' published code, run with it turned off; there is one
# for μ = 0.002, which stands for both.
PUBLISHED_ENDS = {
    "fedavg": (0.986, 0.786, 0.937),
    "fedprox": (0.972, 0.772, 0.928),
    "demlearn-p": (0.971, 0.867, 0.910),
    "demlearn": (0.971, 0.867, 0.910),
    "demlearn-p-amplified": (0.963, 0.888, 0.922),
    "pfedme": (0.956, 0.818, 0.901),
}
# After 25 and 50 rounds without amplification nothing is published; these are one run of another,
# independent reimplementation on the same split.
OTHER = {"demlearn-p": {25: (0.964, 0.690, 0.832), 50: (0.950, 0.792, 0.866)}}
CURVE_OF = {
    "fedavg": "fedavg",
    "fedprox": "fedprox",
    "demlearn-p-amplified": "demlearn-p",
}
# Okabe and Ito's colours, told apart by all.
COLOURS = {
    "fedavg": "#0072B2",
    "fedprox": "#56B4E9",
    "demlearn-p": "#D55E00",
    "demlearn": "#E69F00",
    "demlearn-p-amplified": "#CC79A7",
    "control": "#009E73",
    "by-updates": "#000000",
    "pfedme": "#8C8C8C",
}


THIN = {"linewidth": 0.8, "zorder": 3}
"""How published curves are drawn: over ours, which they would else vanish behind."""


def darker(colour: str) -> tuple[float, ...]:
    """A colour of half the brightness."""
    return tuple(part / 2 for part in to_rgb(colour))


def read_runs(folder: Path) -> dict[str, list[dict]]:
    """All finished runs, by algorithm."""
    runs = defaultdict(list)
    for path in sorted(folder.glob("*.json")):
        run = json.loads(path.read_text())
        runs[run["algorithm"]].append(run)
    return {name: runs[name] for name in NAMES if name in runs}


def values(runs: list[dict], measure: str, round_number: int) -> list[float]:
    """One measure of all seeds after some rounds, of those that did not diverge."""
    return [
        point[measure]
        for run in runs
        for point in run["curve"]
        if point["round"] == round_number and not point["diverged"]
    ]


def read_published(path: Path | None) -> dict[str, dict[int, tuple[float, ...]]]:
    """The published curves: algorithm, then round, then the three measures."""
    curves: dict[str, dict[int, tuple[float, ...]]] = defaultdict(dict)
    if path is not None:
        with path.open() as file:
            for row in csv.DictReader(file):
                if all(row[measure] for measure in MEASURES):
                    numbers = tuple(float(row[measure]) for measure in MEASURES)
                    curves[row["algorithm"]][int(row["round"])] = numbers
    return curves


def comparison(runs: list[dict], round_number: int, published: tuple | None) -> str:
    """``ours ± spread (published, difference)`` for the three measures, as table cells."""
    cells = []
    for position, measure in enumerate(MEASURES):
        ours = values(runs, measure, round_number)
        if not ours:
            cells.append("–")
            continue
        mean = statistics.fmean(ours)
        cell = f"{mean:.3f} ± {(max(ours) - min(ours)) / 2:.3f}"
        if published is not None:
            cell += f" ({published[position]:.3f}, {mean - published[position]:+.3f})"
        cells.append(cell)
    return " | ".join(cells)


def trend(curve: dict[int, tuple[float, ...]], at: int) -> tuple[float, ...]:
    """A published curve's last twenty rounds, drawn through by a line and read off at a round.

    One run's accuracy jumps by up to 0.01 from round to round; its trend jumps less.
    """
    rounds = sorted(curve)[-20:]
    ends = []
    for position in range(len(MEASURES)):
        line = statistics.linear_regression(rounds, [curve[r][position] for r in rounds])
        ends.append(line.slope * at + line.intercept)
    return tuple(ends)


def table(runs: dict[str, list[dict]], curves: dict) -> str:
    """The Markdown table: mean ± half the range over seeds (published, difference)."""
    lines = []
    lines.append(
        "\nMean ± half the range over seeds (published, difference). Published: Nguyen et al., "
        "arXiv 2007.03278, one run; without amplification after 25 and 50 rounds: one run of an "
        "independent reimplementation."
    )
    ends = [(100, "100 rounds (published: 99)")]
    if curves:
        ends += [(100, "100 rounds (published: the trend of rounds 80 to 99, at 100)")]
    for number, title in (*ends, (50, "50"), (25, "25")):
        lines += [
            f"\n## After {title}\n",
            "| algorithm | seeds still finite | C-SPE | C-GEN | Global |",
        ]
        lines.append("|---|---|---|---|---|")
        for name, these in runs.items():
            published = PUBLISHED_ENDS.get(name)
            if "trend" in title:
                if name not in CURVE_OF:
                    continue
                published = trend(curves[CURVE_OF[name]], 100)
            elif number < 100:
                published = curves.get(CURVE_OF.get(name, ""), OTHER.get(name, {})).get(number)
            finite = f"{len(values(these, 'global', number))} of {len(these)}"
            lines.append(f"| {NAMES[name]} | {finite} | {comparison(these, number, published)} |")
    lines += ["\n## Sizes of the groups at the last measurement, level 3 / 2 / 1\n"]
    for name, these in runs.items():
        for run in these:
            sizes = run["curve"][-1]["group_sizes"]
            if len(sizes) > 1:
                shown = " / ".join(" ".join(map(str, level)) for level in sizes[-2::-1])
                lines.append(f"- {NAMES[name]}, seed {run['seed']}: {shown}")
    diverged = [
        f"{NAMES[name]} seed {run['seed']} after {run['diverged_after']} rounds"
        for name, these in runs.items()
        for run in these
        if run["diverged_after"] is not None
    ]
    lines += ["\n## Not finite when measured\n", "; ".join(diverged) or "None of the runs."]
    any_run = next(iter(runs.values()))[0]
    machine = any_run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in any_run["versions"].items())
    lines += [
        f"\nMachine: {machine['cpu']}, {machine['cores']} core(s) a run. Versions: {versions}."
    ]
    return "\n".join(lines) + "\n"


def figure(runs: dict[str, list[dict]], curves: dict, path: Path) -> None:
    """Our means and ranges, and the published curves, a panel a measure."""
    plt.rcParams.update({"font.size": 11, "svg.hashsalt": "demjax", "svg.fonttype": "none"})
    titles = ("C-SPE: own data", "C-GEN: all data", "Global model")
    figure, panels = plt.subplots(1, 3, figsize=(7.6, 4.8), sharey=True)
    for panel, measure, title in zip(panels, MEASURES, titles, strict=True):
        position = MEASURES.index(measure)
        for name, published in CURVE_OF.items():
            if published in curves:
                rounds = sorted(curves[published])
                line = [curves[published][number][position] for number in rounds]
                panel.plot(rounds, line, color=darker(COLOURS[name]), **THIN)
        for name, these in runs.items():
            rounds = [point["round"] for point in these[0]["curve"]]
            every = [values(these, measure, number) for number in rounds]
            kept = [(n, v) for n, v in zip(rounds, every, strict=True) if v]
            rounds, every = [n for n, _ in kept], [v for _, v in kept]
            means = [statistics.fmean(v) for v in every]
            panel.plot(rounds, means, "o-", color=COLOURS[name], label=NAMES[name], markersize=3)
            low, high = [min(v) for v in every], [max(v) for v in every]
            panel.fill_between(rounds, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
        panel.set(title=title, xlabel="rounds", ylim=(0, 1), xlim=(0, 101))
        panel.set_xticks([0, 50, 100])
        panel.grid(alpha=0.25)
    panels[0].set_ylabel("accuracy")
    handles, labels = panels[0].get_legend_handles_labels()
    if curves:
        handles.append(plt.Line2D([], [], color="black", **THIN))
        labels.append("thin, dark: as published")
    figure.legend(handles, labels, loc="lower center", ncols=2, frameon=False)
    figure.tight_layout(rect=(0, 0.25, 1, 1), pad=0.5, w_pad=1.5)
    figure.savefig(path, metadata={"Date": None})
    figure.savefig(path.with_suffix(".png"), dpi=200)


def main() -> None:
    """Read the runs, write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--published", type=Path, help="CSV of the published curves")
    arguments = parser.parse_args()
    runs, curves = read_runs(arguments.results), read_published(arguments.published)
    if not runs:
        parser.error(f"no runs in {arguments.results}: run published_mnist.py first")
    text = "# The published MNIST experiment, rerun\n" + table(runs, curves)
    (arguments.results / "results.md").write_text(text)
    figure(runs, curves, arguments.results / "curves.svg")
    print(text)


if __name__ == "__main__":
    main()
