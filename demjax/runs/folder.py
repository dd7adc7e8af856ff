"""The run folder: the config, the measures as they come, and a summary at the end.

- `config.toml`: every option; `demjax run --config` reruns it exactly
- `partition.npz`: which examples each client has, for `data.load_partition`
- `labels.csv`: how many training and test examples of each label each client has
- `metrics.csv`: one row a measurement, the moment it is known
- `clients.csv`: each client's measures and groups, likewise
- `dendrograms.csv`: the merges of each dendrogram that clients were grouped by, likewise
- `summary.json`: how the run ended, its last row, times, device and versions
- `events.out.tfevents.*`: the rows of `metrics.csv` for TensorBoard, if asked for
- `checkpoints`: the state after some rounds, from which the run can go on
- `run.lock`: held by the process that writes, as long as it does
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from demjax.data import Partition, save_partition
from demjax.runs.new_files import PARTLY, check_folder, is_there, whole_file
from demjax.runs.rows import labels_rows
from demjax.simulation.lock import LOCK, held

PINNED = ("round", "c_spe", "c_gen", "global")
CONFIG, METRICS, CLIENTS, SUMMARY = "config.toml", "metrics.csv", "clients.csv", "summary.json"
PARTITION, LABELS, DENDROGRAMS = "partition.npz", "labels.csv", "dendrograms.csv"
WRITTEN = (CONFIG, METRICS, CLIENTS, DENDROGRAMS, SUMMARY, PARTITION, LABELS)
"""All files of a run folder."""
CHECKPOINTS = "checkpoints"
"""The folder in it of states that the run can go on from."""
NUMBERS = (
    *("clients", "parameters", "rounds_done", "compile_seconds", "round_seconds"),
    *("measure_seconds", "total_seconds"),
)
WORDS = ("status", "score", "measured_at")
"""What a summary says in one number or one word, as far as it is read."""
OWN = (*WRITTEN, CHECKPOINTS, LOCK)
"""All that a run may have left in its folder."""


def holds_anything(out: Path) -> bool:
    """Whether there is more in a folder than a run leaves that was killed before it wrote a file.

    That is a lock, and the beginning of a file.

    Raises:
        OSError: If it cannot be read.
    """
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    return any(name != LOCK and not PARTLY.fullmatch(name) for name in names)


def check_free(out: Path) -> None:
    """Make sure that a folder can take a new run, without writing anything.

    Raises:
        ValueError: If it holds files already, is no folder, or cannot be written to.
    """
    if str(out) == ".":
        raise ValueError("The output folder has no name; possible is a new or empty folder.")
    if is_there(out) and out.is_file():
        raise ValueError(f"The output {out} is a file; possible is a new or empty folder.")
    try:
        holds = holds_anything(out)
    except OSError as error:
        raise ValueError(f"The output folder {out} cannot be read: {error.strerror}.") from None
    if holds:
        what = "another run" if (out / CONFIG).exists() else "other files"
        raise ValueError(
            f"The output folder {out} already holds {what}, which would be overwritten; "
            "possible is a new or empty folder."
        )
    check_folder(out)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Make a run's folder if need be, and let no other process write into it meanwhile.

    A folder in which nothing stays goes, too, and with it those that were made for it. Beginnings
    of files, which a process left that was killed, are taken away.

    Raises:
        ValueError: If another process writes into it.
        OSError: If it cannot be made or held.
    """
    made = [folder for folder in (out, *out.absolute().parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with held(out):
            for path in out.iterdir():
                if PARTLY.fullmatch(path.name):
                    with suppress(OSError):
                        path.unlink()
            yield
    finally:
        for folder in made or [out]:
            with suppress(OSError):  # something is in it
                folder.rmdir()


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
        OSError: If it cannot be written after all, as when the disk is full; nothing stays.
    """
    check_free(out)
    fill(out, config, partition, y)


def fill(
    out: Path, config: str, partition: Partition | None = None, y: np.ndarray | None = None
) -> None:
    """Write what ``create`` does, whatever else the folder holds; arguments and errors likewise."""
    made = [folder for folder in (out, *out.absolute().parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_config(out, config)
        if partition is not None and y is not None:
            save_partition(partition, out / PARTITION, y=y)
            append(out / LABELS, labels_rows(partition, y))
    except BaseException as error:
        discard(out, made)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror or str(error), str(out)) from None
        raise


def discard(out: Path, made: Iterable[Path] = ()) -> None:
    """Take back what a run wrote, when it ended before anything was measured.

    Args:
        out: The run's folder, which goes too where nothing else is in it.
        made: Further folders that were made for it, the innermost first.
    """
    for name in WRITTEN:
        (out / name).unlink(missing_ok=True)
    forget_checkpoints(out)
    for folder in (out, *made):
        with suppress(OSError):  # it is another's as well, or gone
            folder.rmdir()


def forget_checkpoints(out: Path) -> None:
    """Remove all checkpoints of a run; what cannot be removed stays."""
    if not (out / CHECKPOINTS).is_symlink():
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)


def append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows to a CSV file in one write, so that what is there is whole; header first."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    if not path.exists():
        writer.writeheader()
    writer.writerows(rows)
    before = path.stat().st_size if path.exists() else None
    try:
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        if before is not None:  # half a row is worse than none
            os.truncate(path, before)
        else:
            path.unlink(missing_ok=True)
        raise


def write_config(out: Path, config: str) -> None:
    """Write ``config.toml``, all of it or nothing."""
    with whole_file(out / CONFIG) as partial:
        partial.write_text(config, encoding="utf-8")


def write_summary(out: Path, summary: Mapping[str, Any]) -> None:
    """Write ``summary.json``, all of it or nothing."""
    with whole_file(out / SUMMARY) as partial:
        partial.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def read_summary(out: Path) -> dict[str, Any]:
    """Read a run folder's summary.

    Raises:
        ValueError: If there is none, or it is damaged.
    """
    path = out / SUMMARY
    try:
        summary = {"status": "done", **json.loads(path.read_text(encoding="utf-8-sig"))}
        _check_summary(summary)
        return summary
    except OSError:
        raise ValueError(f"{out} is no finished run: it holds no readable {SUMMARY}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise ValueError(f"{path} is damaged: it is no summary of a run.") from None


def _check_summary(summary: Mapping[str, Any]) -> None:
    """Refuse what no run writes, of all that is read of a summary; any error says so."""
    final = summary["final"] or {}
    if final:
        int(final["round"])
    numbers = [final[name] for name in PINNED if final] + [*final.values()]
    numbers += [summary.get(name) for name in NUMBERS]
    numbers += [float(summary["majority"][n]) for n in ("all", "own") if summary.get("majority")]
    for pair in (summary.get("sampled") or {}).values():
        numbers += pair if len(pair) == 2 else ["not a pair"]
    truth = summary.get("true_clusters")
    numbers += [truth.get("count")] if isinstance(truth, dict) else []
    words = [summary.get(name) for name in WORDS]
    if not all(map(_is_number, numbers)) or not all(isinstance(w, str | None) for w in words):
        raise TypeError


def _is_number(value: Any) -> bool:
    """Whether it is a number of a size that is one, or none."""
    return value is None or (isinstance(value, int | float) and not abs(value) > 1e300)
