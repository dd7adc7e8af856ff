"""Reads run folders, finished or not, for their report."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from demjax.experiment.config import read_options
from demjax.runs import folder as run_folder
from demjax.runs.reader import Clients, are_whole, read_clients, read_columns, read_measures

UNFINISHED = "unfinished"
"""The status of a run that has no summary: it goes on, or was killed."""


class Run(NamedTuple):
    """What a run folder holds.

    Attributes:
        name: The folder's name.
        status: How the run ended, or ``unfinished``.
        config: Its options.
        summary: Its ``summary.json``; empty if unfinished.
        metrics: Columns of ``metrics.csv``, NaN where a value is missing.
        clients: Each client's measures and groups; ``None`` where they were not kept.
        labels: Rows of client, label, training examples, test examples; ``None`` likewise.
    """

    name: str
    status: str
    config: dict[str, Any]
    summary: dict[str, Any]
    metrics: dict[str, Float[np.ndarray, " R"]]
    clients: Clients | None
    labels: Int[np.ndarray, " rows 4"] | None


def read(out: Path) -> Run:
    """Read a run folder, as far as the run has got.

    Raises:
        ValueError: If there is no run, or a file of it is damaged.
    """
    if not out.is_dir():
        raise ValueError(f"The run {out} does not exist; possible is a folder that a run wrote.")
    config = _config(out / run_folder.CONFIG)
    finished = (out / run_folder.SUMMARY).exists()
    summary = run_folder.read_summary(out) if finished else {}
    metrics = read_measures(out / run_folder.METRICS, run_folder.PINNED, whole=finished)
    if not metrics and summary.get("final"):
        raise ValueError(
            f"{out} is damaged: its run was measured, but it holds no {run_folder.METRICS}."
        )
    rounds = metrics.get("round", np.zeros(0))
    clients = read_clients(out / run_folder.CLIENTS, rounds, whole=finished)
    labels = read_columns(out / run_folder.LABELS, ("client", "label", "train", "test"), whole=True)
    return Run(
        name=out.resolve().name,
        status=summary.get("status", UNFINISHED),
        config=config,
        summary=summary,
        metrics=metrics,
        clients=clients,
        labels=_labels(out / run_folder.LABELS, labels, clients) if labels else None,
    )


def _config(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ValueError(f"{path.parent} is no run folder: it holds no {path.name}.")
    try:
        return read_options(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged. {error}") from None


def _labels(
    path: Path, table: dict[str, np.ndarray], clients: Clients | None
) -> Int[np.ndarray, " rows 4"]:
    rows = np.stack([table[name] for name in ("client", "label", "train", "test")], axis=1)
    count = clients.spe.shape[1] if clients else np.inf
    counts = rows[:, [0, 2, 3]]
    if not are_whole(rows).all() or (counts < 0).any() or (rows[:, 0] >= count).any():
        raise ValueError(f"{path} is damaged: its rows are not numbers of examples of clients.")
    return rows.astype(np.int64)
