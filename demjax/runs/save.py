"""Writes a history as a run's folder, for all that reads such folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tomli_w

from demjax.base import ClientData
from demjax.data import Partition
from demjax.runs import folder as run_folder
from demjax.runs.beside import of_data
from demjax.runs.environment import environment
from demjax.runs.rows import clients_rows, dendrogram_rows, labels_rows, metrics_row
from demjax.simulation.history import History


def save_run(
    history: History,
    path: str | Path,
    *,
    clients: ClientData | None = None,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Write a history as a run's folder, which ``demjax compare``, ``plot`` and ``report`` read.

    Args:
        history: What ``simulate`` returned.
        path: A new or empty folder; its name is what the run is called.
        clients: Everybody's data, for who has which labels.
        options: What to keep in ``config.toml`` and to call the run by where runs are compared,
            such as ``{"algorithm": "fedavg", "lr": 0.05, "seed": 0}``: numbers, words, or tuples.

    Returns:
        The folder.

    Raises:
        ValueError: If the history is of several experiments, or the folder holds files already or
            cannot be written.
    """
    path, measures = Path(path), history.measures
    if np.ndim(measures.c_spe) != 1:
        raise ValueError(
            f"A run's folder takes the history of one experiment, but measures of shape "
            f"{np.shape(measures.c_spe)} were given; possible is one of them."
        )
    options = dict(options or {})
    try:
        written = tomli_w.dumps({"run": options} if options else {})
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The options of a run can be numbers, words and tuples of these, but {options!r} were "
            f"given ({error})."
        ) from None
    try:
        run_folder.create(path, written)
    except OSError as error:
        raise _not_written(path, error) from None
    try:
        final = _write_rows(history, path)
        if clients is not None and np.issubdtype(clients.y.dtype, np.integer):
            run_folder.append(path / run_folder.LABELS, _labels(clients))
        summary = {
            "status": "done",
            "algorithm": options.get("algorithm"),
            "rounds_done": int(history.round[-1]),
            "final": final,
            **({} if clients is None else of_data(clients, history.score)),
            **environment(),
        }
        run_folder.write_summary(path, summary)
    except OSError as error:
        raise _not_written(path, error) from None
    except BaseException:
        run_folder.discard(path)
        raise
    return path


def _not_written(path: Path, error: OSError) -> ValueError:
    """What is raised once nothing half-made is left."""
    run_folder.discard(path)
    return ValueError(f"The output folder {path} cannot be written: {error.strerror}.")


def _write_rows(history: History, path: Path) -> dict[str, Any]:
    """Write the tables; returns the last row of ``metrics.csv``."""
    known, rows = 0, []
    for place, number in enumerate(np.asarray(history.round).tolist()):
        at = (history.measures, history.info)
        measures, info = jax.tree.map(lambda leaf: np.asarray(leaf[place]), at)  # noqa: B023
        made = measures.organization
        if made is not None and (merges := dendrogram_rows(number, made, known)):
            run_folder.append(path / run_folder.DENDROGRAMS, merges)
            known = int(made.times)
        run_folder.append(path / run_folder.CLIENTS, clients_rows(number, measures, info))
        rows.append(metrics_row(number, measures, np.nan, info))
    run_folder.append(path / run_folder.METRICS, rows)
    return rows[-1]


def _labels(clients: ClientData) -> list[dict[str, int]]:
    train, test = (
        tuple(row[:size] for row, size in zip(np.asarray(rows), np.asarray(sizes), strict=True))
        for rows, sizes in ((clients.train, clients.train_size), (clients.test, clients.test_size))
    )
    return labels_rows(Partition(train, test), np.asarray(clients.y))
