"""The table and the figure of ``organization_study.py``'s results.

    python benchmarks/organization_report.py            # results.md, results.svg, results.png

Beside the accuracies at the end stand what the tree looks like then (means over seeds): share of
clients that are alone on the lowest level, the largest group of that level, the adjusted Rand index
against the clients' kinds (planted kinds, else label sets) on the level where it is highest, the
one against the tree a round before, and how many clients moved in the last round.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results" / "organization"
PUBLISHED, CONTROL = "average-weights-euclidean-depth", "control-0.6"
TITLES = {
    "published": "published MNIST, two digits each",
    "digits": "digits, two digits each",
    "relabelled": "MNIST, 4 kinds that name digits differently",
    "rotated": "MNIST, 4 kinds that see digits turned",
}
MEASURES = ("c_spe", "c_gen", "global")
SLACK = 0.002
"""Dominating means better or as good, to within this, in all three and better in one by more."""


def read(folder: Path) -> dict[str, dict[str, dict]]:
    """All results: data, then setting."""
    found: dict[str, dict[str, dict]] = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        found.setdefault(result["data"], {})[result["setting"]] = result
    return {data: found[data] for data in TITLES if data in found}


def ends(result: dict) -> np.ndarray:
    """C-SPE, C-GEN and Global after the last round, a row a seed; NaN where a run diverged."""
    rows = np.array([np.array(result[name], float)[:, -1] for name in MEASURES]).T
    lost = np.array(result["diverged"], float)[:, -1] > 0
    return np.where(lost[:, None], np.nan, rows)


def dominates(one: dict, other: dict) -> bool:
    """Whether the means of one are as good as the other's in all three, and better in one."""
    gap = ends(one).mean(axis=0) - ends(other).mean(axis=0)
    return bool((gap >= -SLACK).all() and (gap > SLACK).any())


def tree(result: dict) -> list[str]:
    """What the tree looks like at the end, as cells of the table."""
    structure = {name: np.array(v, float) for name, v in result["structure"].items()}
    if structure["groups"].shape[-1] == 0:
        return ["–"] * 6
    last = {name: values[:, -1].mean(axis=0) for name, values in structure.items()}
    best = int(np.nanargmax(last["rand_true"]))
    return [
        "/".join(f"{count:.0f}" for count in last["groups"]),
        f"{last['largest'][0]:.0f}",
        f"{last['singletons'][0]:.2f}",
        f"{last['rand_true'][best]:.2f}",
        f"{last['rand_before'][best]:.2f}",
        f"{last['moved'][best]:.0f}",
    ]


def table(data: str, results: dict[str, dict]) -> str:
    """One data set's settings, the best mean of the three measures first."""
    lines = [
        "| setting | C-SPE | C-GEN | Global | mean of the three | groups by level | largest "
        "| alone | Rand, kinds | Rand, before | moved | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    published, control = results.get(PUBLISHED), results.get(CONTROL)
    order = sorted(results, key=lambda name: -np.nan_to_num(ends(results[name]).mean()))
    for name in order:
        result = results[name]
        rows = ends(result)
        cells = [
            f"{mean:.3f} ± {spread / 2:.3f}"
            for mean, spread in zip(rows.mean(axis=0), np.ptp(rows, axis=0), strict=True)
        ]
        notes = []
        if published and control and name not in (PUBLISHED, CONTROL):
            beaten = [word for word, other in (("published", published), ("control", control))
                      if dominates(result, other)]  # fmt: skip
            notes = [f"beats {' and '.join(beaten)}"] if beaten else []
        label = {PUBLISHED: " (published)", CONTROL: " (the control)"}.get(name, "")
        cells = [f"{name}{label}", *cells, f"{rows.mean():.3f}", *tree(result), *notes]
        lines.append("| " + " | ".join(cells) + (" |" if notes else " | |"))
    return "\n".join(lines)


def figure(found: dict[str, dict[str, dict]], out: Path) -> None:
    """Specialization against generalization, a panel for each of the data."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, len(found), figsize=(4.2 * len(found), 4.4), squeeze=False)
    for axis, (data, results) in zip(axes[0], found.items(), strict=True):
        place = {name: ends(result).mean(axis=0) for name, result in results.items()}
        groups = [name for name in place if name.split("-")[0] in ("average", "complete", "ward")]
        rooted = [name for name in place if "root" in name]
        groups = [name for name in groups if name not in rooted]
        structure = [name for name in groups if not name.startswith("ward-updates-")
                     or name.startswith("ward-updates-cosine")]  # fmt: skip
        mixing = [name for name in groups if name not in structure and name != PUBLISHED]
        blue, orange, green = "#0072B2", "#D55E00", "#009E73"
        for names, color, marker, label in (
            (structure, blue, "o", "other structure, published mixing"),
            (mixing, orange, "^", "Ward on updates, other mixing"),
            (rooted, green, "D", "trained from the root"),
        ):
            names = [name for name in names if name != PUBLISHED]
            xy = np.array([place[name][:2] for name in names]).reshape(-1, 2)
            axis.scatter(
                xy[:, 0], xy[:, 1], s=28, alpha=0.8, color=color, marker=marker, label=label
            )
        controls = sorted(name for name in place if name.startswith("control"))
        xy = np.array([place[name][:2] for name in controls]).reshape(-1, 2)
        axis.plot(xy[:, 0], xy[:, 1], "k-s", ms=5, lw=1, label="control, α = .3 .6 .8")
        for name, marker, label in (
            (PUBLISHED, "*", "published DemLearn"),
            ("fedavg", "x", "FedAvg"),
            ("local", "+", "alone"),
        ):
            if name in place:
                size = 160 if marker == "*" else 60
                axis.scatter(*place[name][:2], marker=marker, s=size, color="k", label=label)
        axis.set_title(TITLES[data], fontsize=10)
        axis.set_xlabel("C-SPE, specialization of clients")
        axis.grid(alpha=0.25)
    axes[0, 0].set_ylabel("C-GEN, generalization of clients")
    named = {}  # not every setting is in every panel
    for axis in axes[0]:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    place = {"loc": "lower center", "ncol": 7, "fontsize": 9, "frameon": False}
    fig.legend(list(named.values()), list(named), **place)
    fig.tight_layout(rect=(0, 0.07, 1, 1))
    for kind in ("svg", "png"):
        fig.savefig(out / f"results.{kind}", dpi=110)


def main() -> int:
    """Read the results, write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    found = read(arguments.results)
    if not found:
        print(f"{arguments.results} holds no results; run organization_study.py.", file=sys.stderr)
        return 2
    one = next(iter(next(iter(found.values())).values()))
    parts = [
        "# Which linkage, features, cut and mixing?\n",
        f"Means and half ranges of {one['seeds']} seeds after {one['rounds'][-1]} rounds; how to "
        "read the columns, and the data, stand in `organization_study.py` and "
        "`organization_report.py`. *Beats* means: in C-SPE, C-GEN and Global as good to within "
        f"{SLACK}, and better in one. {one['machine']['cpu']}, one core a run; "
        + ", ".join(f"{name} {version}" for name, version in one["versions"].items())
        + ".\n",
    ]
    for data, results in found.items():
        parts += [f"## {TITLES[data][0].upper()}{TITLES[data][1:]}\n", table(data, results) + "\n"]
    (arguments.results / "results.md").write_text("\n".join(parts))
    figure(found, arguments.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
