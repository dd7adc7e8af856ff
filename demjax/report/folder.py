"""Reads run folders, finished or not, for their report."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from demjax.runs import folder as run_folder
from demjax.runs.reader import Clients, are_whole, read_columns, read_run


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
        missing: One sentence on what is not there; empty where all is.
    """

    name: str
    status: str
    config: dict[str, Any]
    summary: dict[str, Any]
    metrics: dict[str, Float[np.ndarray, " R"]]
    clients: Clients | None
    labels: Int[np.ndarray, " rows 4"] | None
    missing: str


def read(out: Path) -> Run:
    """Read a run folder, as far as the run has got.

    Raises:
        ValueError: If there is no run, or a file of it is damaged.
    """
    found = read_run(out)
    labels = read_columns(out / run_folder.LABELS, ("client", "label", "train", "test"), whole=True)
    return Run(
        name=out.resolve().name,
        status=found.status,
        config=found.options,
        summary=found.summary,
        metrics=found.measures,
        clients=found.clients,
        labels=_labels(out / run_folder.LABELS, labels, found.clients) if labels else None,
        missing=found.missing,
    )


def _labels(
    path: Path, table: dict[str, np.ndarray], clients: Clients | None
) -> Int[np.ndarray, " rows 4"]:
    rows = np.stack([table[name] for name in ("client", "label", "train", "test")], axis=1)
    # Who has no row of their own is not shown, so that there are no more clients than rows.
    count = clients.spe.shape[1] if clients else len(rows)
    counts = rows[:, [0, 2, 3]]
    if not are_whole(rows).all() or (counts < 0).any() or (rows[:, 0] >= count).any():
        raise ValueError(f"{path} is damaged: its rows are not numbers of examples of clients.")
    return rows.astype(np.int64)
