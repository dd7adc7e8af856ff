"""Hand-written run folders: as small as they can be, or as large as they get."""

import csv
import io
import json

import numpy as np

FINAL = {"round": 2, "c_spe": 0.91239, "c_gen": 0.5, "global": 0.75}


def table(path, rows):
    """Write rows of one sort as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())


def small(out, *, finished=True, labels=True, **options):
    """Five clients, two levels, three measured rounds: {0 1} {2 3} {4}, then {0 1 2} {3 4}."""
    out.mkdir(parents=True)
    config = {"algorithm": "demlearn", "rounds": 2, "clients": 5, "dataset": "digits", **options}
    lines = [f"{name} = {json.dumps(value)}" for name, value in config.items()]
    (out / "config.toml").write_text("\n".join(lines))
    measured = [("0.1", "0.1", "0.1", "", ""), ("0.8", "0.4", "0.7", "0.65", "0.612349")]
    measured += [("0.91239", "0.5", "0.75", "0.71", "0.7")]
    columns = ("c_spe", "c_gen", "global", "g_spe_l1", "g_spe_l2")
    rows = [dict(zip(columns, row, strict=True)) for row in measured]
    table(out / "metrics.csv", [{"round": i, **row} for i, row in enumerate(rows)])
    level1 = [[-1] * 5, [2, 2, 5, 5, -1], [2, 2, 2, 5, 5]]
    level2 = [[-1] * 5, [0, 0, 1, 1, 1], [0, 0, 0, 1, 1]]
    clients = [
        {
            "round": i,
            "client": client,
            "c_spe": "" if client == 4 else round(0.1 + 0.3 * i + 0.01234 * client, 6),
            "c_gen": round(0.1 + 0.2 * i + 0.001 * client, 6),
            "group_l1": level1[i][client],
            "group_l2": level2[i][client],
        }
        for i in range(3)
        for client in range(5)
    ]
    table(out / "clients.csv", clients)
    held = [(0, 3, 4, 1), (0, 7, 2, 0), (1, 3, 5, 1), (2, 8, 6, 2), (3, 8, 1, 1), (4, 9, 3, 0)]
    if labels:
        names = ("client", "label", "train", "test")
        table(out / "labels.csv", [dict(zip(names, row, strict=True)) for row in held])
    if finished:
        device = {"platform": "cpu", "kind": "cpu", "count": 1, "cores": 2}
        times = dict.fromkeys(("compile_seconds", "round_seconds", "measure_seconds"), 0.5)
        summary = {"status": "done", "rounds_done": 2, "final": FINAL, **times, "total_seconds": 9}
        summary |= {"device": device, "versions": {"demjax": "0.1.0"}}
        (out / "summary.json").write_text(json.dumps(summary))
    return out


def large(out, *, clients, rounds, levels=3):
    """Many clients, who move between groups at random in every round."""
    out.mkdir(parents=True)
    random = np.random.default_rng(0)
    (out / "config.toml").write_text(f"rounds = {rounds}\nclients = {clients}\n")
    measures = random.random((rounds + 1, 3)).round(6).tolist()
    metrics = [["round", "c_spe", "c_gen", "global"]]
    metrics += [[i, *row] for i, row in enumerate(measures)]
    lines = [["round", "client", "c_spe", "c_gen", *(f"group_l{k + 1}" for k in range(levels))]]
    for i in range(rounds + 1):
        lowest = random.integers(0, 2**levels, clients)
        scores = random.random((clients, 2)).round(6)
        groups = [lowest >> k for k in range(levels)]
        for client in range(clients):
            mine = [int(group[client]) for group in groups]
            lines.append([i, client, *scores[client].tolist(), *mine])
    held = [["client", "label", "train", "test"]]
    held += [[client, label, 20, 5] for client in range(clients) for label in (0, client % 10 + 1)]
    for name, rows in (("metrics", metrics), ("clients", lines), ("labels", held)):
        text = "\n".join(",".join(map(str, row)) for row in rows)
        (out / f"{name}.csv").write_text(f"{text}\n")
    return out
