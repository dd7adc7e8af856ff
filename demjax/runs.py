"""The run folder: the config, the measures as they come, and a summary at the end.

========================= ====================================================================
``config.toml``           every option; ``demjax run --config`` reruns it exactly
``partition.npz``         which examples each client has, for ``data.load_partition``
``metrics.csv``           one row a measurement, the moment it is known
``clients.csv``           each client's measures and groups, likewise
``dendrograms.csv``       the merges of each dendrogram that clients were grouped by, likewise
``summary.json``          how the run ended, its last row, times, device and versions
========================= ====================================================================
"""

import csv
import io
import json
import math
import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from demjax import __version__
from demjax.base import Organization
from demjax.data import Partition, save_partition
from demjax.metrics import Measures

PINNED = ("round", "c_spe", "c_gen", "global")
CONFIG, METRICS, CLIENTS, SUMMARY = "config.toml", "metrics.csv", "clients.csv", "summary.json"
PARTITION, DENDROGRAMS = "partition.npz", "dendrograms.csv"
WRITTEN = (CONFIG, METRICS, CLIENTS, DENDROGRAMS, SUMMARY, PARTITION)
"""All files of a run folder."""

DRAWN_CLIENTS = 2000
"""Dendrograms of more clients are not written: nobody could see them, and they take much room."""


def check_free(out: Path) -> None:
    """Make sure that a folder can take a new run, without writing anything.

    Raises:
        ValueError: If it holds files already, is no folder, or cannot be written to.
    """
    if str(out) == ".":
        raise ValueError("The output folder has no name; possible is a new or empty folder.")
    try:
        if out.exists() and not out.is_dir():
            raise ValueError(f"The output {out} is a file; possible is a new or empty folder.")
        if out.is_dir() and any(out.iterdir()):
            what = "another run" if (out / CONFIG).exists() else "other files"
            raise ValueError(
                f"The output folder {out} already holds {what}, which would be overwritten; "
                "possible is a new or empty folder."
            )
        above = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        if not above.is_dir():
            raise ValueError(f"The output folder {out} cannot be written: {above} is a file.")
        if not os.access(above, os.W_OK | os.X_OK):
            raise ValueError(f"The output folder {out} cannot be written: no right to {above}.")
    except OSError as error:
        raise ValueError(f"The output folder {out} cannot be written: {error.strerror}.") from None


def create(
    out: Path, config: str, partition: Partition | None = None, y: np.ndarray | None = None
) -> None:
    """Make the run folder and write its ``config.toml`` and its ``partition.npz``.

    Args:
        out: The folder.
        config: What ``config.toml`` holds.
        partition: Which examples each client has; ``None`` writes no file of it.
        y: The labels that it was made for.

    Raises:
        ValueError: If the folder cannot take a new run.
    """
    check_free(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / CONFIG).open("x", encoding="utf-8") as file:
            file.write(config)
        if partition is not None and y is not None:
            save_partition(partition, out / PARTITION, y=y)
    except OSError as error:
        raise ValueError(f"The output folder {out} cannot be written: {error.strerror}.") from None


def discard(out: Path) -> None:
    """Take back what a run wrote, when it ended before anything was measured."""
    for name in WRITTEN:
        (out / name).unlink(missing_ok=True)
    if not any(out.iterdir()):
        out.rmdir()


STRUCTURE = {
    "groups": "groups",
    "largest": "largest",
    "smallest": "smallest",
    "singletons": "singletons",
    "rand_labels": "rand_kinds",
    "rand_before": "rand_before",
    "moved": "moved",
}
"""Columns of ``metrics.csv`` about the tree, one for each level, and their measures."""


def metrics_row(round_number: int, measures: Measures, seconds: float) -> dict[str, float | None]:
    """One row of ``metrics.csv``; levels count from the lowest, 1; an empty level has no value.

    Args:
        round_number: Rounds done.
        measures: The measures then.
        seconds: Seconds since the run began, compiling left out.
    """
    levels = range(measures.g_spe.shape[0] - 1)
    row = {
        "round": round_number,
        "c_spe": _rounded(measures.c_spe),
        "c_gen": _rounded(measures.c_gen),
        "global": _rounded(measures.global_score),
    }
    row |= {f"g_spe_l{level + 1}": _rounded(measures.g_spe[level]) for level in levels}
    row |= {f"g_gen_l{level + 1}": _rounded(measures.g_gen[level]) for level in levels}
    row["seconds"] = round(seconds, 3)
    for column, name in STRUCTURE.items():
        values = getattr(measures.structure, name)
        row |= {f"{column}_l{level + 1}": _rounded(values[level]) for level in levels}
    if measures.organization is not None:
        row["cophenetic"] = _rounded(measures.organization.cophenetic)
    return row


def clients_rows(round_number: int, measures: Measures) -> list[dict[str, Any]]:
    """The rows of ``clients.csv``: each client's measures, and its group on each level."""
    spe, gen = np.asarray(measures.client_spe), np.asarray(measures.client_gen)
    groups = np.asarray(measures.hierarchy.groups)[:-1]
    return [
        {
            "round": round_number,
            "client": client,
            "c_spe": _rounded(spe[client]),
            "c_gen": _rounded(gen[client]),
            **{f"group_l{level + 1}": int(row[client]) for level, row in enumerate(groups)},
        }
        for client in range(spe.shape[0])
    ]


def dendrogram_rows(round_number: int, made: Organization, known: int) -> list[dict[str, Any]]:
    """The rows of ``dendrograms.csv``: SciPy's linkage matrix of the last grouping, if it is new.

    Args:
        round_number: Rounds done.
        made: How clients were organised then.
        known: How many times clients had organised themselves when rows were last made, else 0.

    Returns:
        A row a merge, lowest first: clients are ``0 … N − 1``, and merge ``i`` is ``N + i``. No
        rows without a new dendrogram, or of more than 2,000 clients, or where a distance is not
        finite.
    """
    if int(made.times) <= known or len(made.before[-1]) > DRAWN_CLIENTS:
        return []
    merges = np.asarray(made.merges)
    if not np.isfinite(merges).all():
        return []
    return [
        {"round": round_number, "left": int(a), "right": int(b), "distance": str(d), "size": int(n)}
        for a, b, d, n in merges
    ]


def append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows to a CSV file in one write, so that what is there is whole; header first."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    if not path.exists():
        writer.writeheader()
    writer.writerows(rows)
    before = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        if path.exists():  # half a row is worse than none
            os.truncate(path, before)
        raise


def write_summary(out: Path, summary: Mapping[str, Any]) -> None:
    """Write ``summary.json``, all of it or nothing."""
    partial = out / f".{SUMMARY}.partial"
    partial.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    partial.replace(out / SUMMARY)


def read_summary(out: Path) -> dict[str, Any]:
    """Read a run folder's summary.

    Raises:
        ValueError: If there is none, or it is damaged.
    """
    path = out / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        final = summary["final"] or {}
        if final and not all(isinstance(final[name], int | float) for name in PINNED):
            raise TypeError
        return {"status": "done", **summary}
    except OSError:
        raise ValueError(f"{out} is no finished run: it holds no readable {SUMMARY}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise ValueError(f"{path} is damaged: it is no summary of a run.") from None


def environment() -> dict[str, Any]:
    """The device a run is on, and the versions it runs with."""
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy")
    device = jax.devices()[0]
    return {
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
            "cores": os.cpu_count(),
        },
        "versions": {
            "python": platform.python_version(),
            "demjax": __version__,
            **{package: metadata.version(package) for package in packages},
        },
    }


def _rounded(value: Any) -> float | None:
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if np.issubdtype(np.asarray(value).dtype, np.integer) else round(number, 6)
