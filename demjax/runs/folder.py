"""The run folder: the config, the measures as they come, and a summary at the end.

- `config.toml`: every option; `demjax run --config` reruns it exactly
- `partition.npz`: which examples each client has, for `data.load_partition`
- `labels.csv`: how many training and test examples of each label each client has
- `metrics.csv`: one row a measurement, the moment it is known
- `clients.csv`: each client's measures and groups, likewise
- `dendrograms.csv`: the merges of each dendrogram that clients were grouped by, likewise
- `summary.json`: how the run ended, its last row, times, device and versions
- `events.out.tfevents.*`: the rows of `metrics.csv` for TensorBoard, if asked for
"""

import csv
import io
import json
import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from demjax._version import __version__
from demjax.data import Partition, save_partition
from demjax.runs.rows import labels_rows

PINNED = ("round", "c_spe", "c_gen", "global")
CONFIG, METRICS, CLIENTS, SUMMARY = "config.toml", "metrics.csv", "clients.csv", "summary.json"
PARTITION, LABELS, DENDROGRAMS = "partition.npz", "labels.csv", "dendrograms.csv"
WRITTEN = (CONFIG, METRICS, CLIENTS, DENDROGRAMS, SUMMARY, PARTITION, LABELS)
"""All files of a run folder."""


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
    """Make the run folder and write its ``config.toml``, ``partition.npz`` and ``labels.csv``.

    Args:
        out: The folder.
        config: What ``config.toml`` holds.
        partition: Which examples each client has; ``None`` writes no files of it.
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
            append(out / LABELS, labels_rows(partition, y))
    except OSError as error:
        raise ValueError(f"The output folder {out} cannot be written: {error.strerror}.") from None


def discard(out: Path) -> None:
    """Take back what a run wrote, when it ended before anything was measured."""
    for name in WRITTEN:
        (out / name).unlink(missing_ok=True)
    if not any(out.iterdir()):
        out.rmdir()


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


def write_whole(path: Path, text: str) -> None:
    """Write a file, all of it or nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_summary(out: Path, summary: Mapping[str, Any]) -> None:
    """Write ``summary.json``, all of it or nothing."""
    write_whole(out / SUMMARY, json.dumps(summary, indent=2) + "\n")


def read_summary(out: Path) -> dict[str, Any]:
    """Read a run folder's summary.

    Raises:
        ValueError: If there is none, or it is damaged.
    """
    path = out / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        final = summary["final"] or {}
        if final and not isinstance(final["round"], int | float):
            raise TypeError
        if final and not all(isinstance(final[name], int | float | None) for name in PINNED):
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
