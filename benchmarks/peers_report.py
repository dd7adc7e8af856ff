"""The table of ``peers.py``: models and sides, seconds, start-up, memory, accuracy."""

import statistics
from pathlib import Path

OURS = "demjax"
NAMES = {"fedavg": "FedAvg", "demlearn": "DemLearn, with all measures"}
HEAD = (
    *("model", "side", "seconds a round", "over demjax", "by turn", "start-up, s"),
    *("compiling, s", "peak memory", "accuracy", "norm"),
)


def every(points: list[dict], key: str) -> list[float]:
    """A number of each point, or all of their lists of numbers."""
    found: list[float] = []
    for point in points:
        value = point[key]
        found += value if isinstance(value, list) else [value]
    return found


def median(points: list[dict], key: str) -> float:
    """Median over points, lists joined."""
    return statistics.median(every(points, key))


def fastest(points: list[dict]) -> list[dict]:
    """Those of a side's points that use the cores in its fastest way."""
    ways = dict.fromkeys(point["way"] for point in points)
    by_way = [[point for point in points if point["way"] == way] for way in ways]
    return min(by_way, key=lambda same: median(same, "round_seconds"), default=[])


def span(values: list[float], digits: int) -> str:
    """One number, or from the least to the largest."""
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low}–{high}"


def row(model: str, points: list[dict], ours: list[dict]) -> list[str]:
    """A side's numbers; ``points`` and ``ours`` are of one way."""
    seconds = median(points, "round_seconds")
    turns = {p["turn"]: statistics.median(p["round_seconds"]) for p in ours}
    ratios = [
        statistics.median(p["round_seconds"]) / turns[p["turn"]]
        for p in points
        if p["turn"] in turns
    ]
    uses = ", ".join(f"{name} {value}" for name, value in points[0]["uses"].items())
    return [
        model,
        f"{points[0]['side']} ({uses})",
        f"{seconds:.3g}",
        f"{seconds / median(ours, 'round_seconds'):.2f}" if ours else "–",
        span(ratios, 2) if ratios else "–",
        f"{median(points, 'startup_seconds'):.1f}",
        f"{median(points, 'compile_seconds'):.1f}",
        f"{max(every(points, 'peak_memory_bytes')) / 1e9:.2f} GB",
        span(every(points, "accuracy"), 3),
        span(every(points, "norm"), 2),
    ]


def difference(points: list[dict]) -> str:
    """How far sides are from demjax in what they learned, turn by turn."""
    ours = {p["turn"]: p for p in points if p["side"] == OURS}
    apart = [
        (abs(p["accuracy"] - mine["accuracy"]), abs(p["norm"] / mine["norm"] - 1), p["side"])
        for p in points
        if p["side"] != OURS and (mine := ours.get(p["turn"]))
    ]
    if not apart:
        return ""
    by_norm = max(apart, key=lambda each: each[1])
    return f"accuracy {max(apart)[0]:.3f} ({max(apart)[2]}), norm {by_norm[1]:.1%} ({by_norm[2]})"


def measures(points: list[dict]) -> str:
    """What DemLearn measured last, and how long that took, medians over the turns."""
    taken = [point["measures"] for point in points]
    score = {name: median(taken, name) for name in ("c_spe", "c_gen", "global")}
    seconds = f"{median(points, 'measure_seconds'):.3g} s"
    full = "measure_in_full_batches_seconds"
    if full in points[0]:
        seconds += f", in full batches {median(points, full):.3g} s"
    return (
        f"C-SPE {score['c_spe']:.3f}, C-GEN {score['c_gen']:.3f}, Global {score['global']:.3f}; "
        f"measured in {seconds}"
    )


def write_table(result: dict, path: Path) -> None:
    """Write what there is so far as Markdown."""
    good = [point for point in result["points"] if "error" not in point]
    lines = ["# The same round elsewhere", "", result["setting"] + ".", ""]
    apart, slower, measured = [], [], []
    for algorithm, name in NAMES.items():
        there = [point for point in good if point["algorithm"] == algorithm]
        if not there:
            continue
        lines += [f"## {name}", "", f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
        for model in dict.fromkeys(point["model"] for point in there):
            same = [point for point in there if point["model"] == model]
            ours = fastest([point for point in same if point["side"] == OURS])
            for side in dict.fromkeys(point["side"] for point in same):
                mine = [point for point in same if point["side"] == side]
                best = fastest(mine)
                if algorithm == "demlearn":
                    measured.append(f"{model}, {side}: {measures(best)}")
                lines.append(f"| {' | '.join(row(model, best, ours))} |")
                for way in dict.fromkeys(p["way"] for p in mine if p["way"] != best[0]["way"]):
                    other = median([p for p in mine if p["way"] == way], "round_seconds")
                    slower.append(f"{name.split(',')[0]}, {model}, {side}, {way}: {other:.3g} s")
            if text := difference(same):
                apart.append(f"{name.split(',')[0]}, {model}: {text}")
        lines.append("")
    lines += _list("Largest differences from demjax of what was learned:", apart)
    lines += _list("DemLearn's measures after the last round:", measured)
    lines += _list("Slower ways to use the cores:", slower)
    missing = list(result["left_out"].values())
    for point in result["points"]:
        if "error" in point:
            keys = ("side", "way", "algorithm", "model")
            missing.append(f"{', '.join(point[key] for key in keys)}: {point['error']}")
    lines += _list("Left out:", missing)
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    rounds = ", ".join(f"{name} {value}" for name, value in result["rounds"].items())
    lines += [f"Machine: {machine}. Rounds: {rounds}.", ""]
    for side in dict.fromkeys(point["side"] for point in good):
        versions = next(point["versions"] for point in good if point["side"] == side)
        listed = ", ".join(f"{name} {value}" for name, value in versions.items())
        lines.append(f"- {side}: {listed}")
    path.write_text("\n".join(lines) + "\n")


def _list(title: str, items: list[str]) -> list[str]:
    """A titled list, or nothing."""
    return [title, "", *[f"- {item}" for item in items], ""] if items else []
