"""Reads run folders, finished or not, for their report."""

import csv
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from demjax import runs

UNFINISHED = "unfinished"
"""The status of a run that has no summary: it goes on, or was killed."""


class Clients(NamedTuple):
    """What ``clients.csv`` holds, for R measured rounds, N clients and K levels.

    Attributes:
        rounds: The rounds.
        spe: C-SPE of each client; NaN where it has no test data.
        gen: C-GEN of each client.
        groups: Group of each client on each level, the lowest first, or -1.
    """

    rounds: Int[np.ndarray, " R"]
    spe: Float[np.ndarray, " R N"]
    gen: Float[np.ndarray, " R N"]
    groups: Int[np.ndarray, " R K N"]


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
    config = _config(out / runs.CONFIG)
    finished = (out / runs.SUMMARY).exists()
    summary = runs.read_summary(out) if finished else {}
    metrics = _table(out / runs.METRICS, runs.PINNED, whole=finished)
    if not metrics and summary.get("final"):
        raise ValueError(f"{out} is damaged: its run was measured, but it holds no {runs.METRICS}.")
    rounds = metrics.get("round", np.zeros(0))
    if (np.diff(rounds) <= 0).any() or not _whole(rounds):
        raise ValueError(f"{out / runs.METRICS} is damaged: its rounds do not count upwards.")
    table = _table(out / runs.CLIENTS, ("round", "client", "c_spe", "c_gen"), whole=finished)
    clients = _clients(out / runs.CLIENTS, table, whole=finished) if table else None
    labels = _table(out / runs.LABELS, ("client", "label", "train", "test"), whole=True)
    return Run(
        name=out.resolve().name,
        status=summary.get("status", UNFINISHED),
        config=config,
        summary=summary,
        metrics=metrics,
        clients=clients,
        labels=_labels(out / runs.LABELS, labels, clients) if labels else None,
    )


def _config(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path.parent} is no run folder: it holds no {path.name}.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {str(error).rstrip('.')}.") from None


def _table(path: Path, needed: tuple[str, ...], *, whole: bool) -> dict[str, np.ndarray]:
    """The columns of a CSV file of numbers; none if there is no file or no row.

    Args:
        path: The file.
        needed: Columns that it must have.
        whole: Whether its last row must be whole, which one that is being written need not be.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is damaged: it is no text.") from None
    if not whole:
        text = text[: text.rfind("\n") + 1]
    header, *rows = list(csv.reader(text.splitlines())) or [[]]
    missing = [name for name in needed if name not in header]
    if missing and (rows or whole):
        raise ValueError(f"{path} is damaged: it has no column {missing[0]!r}.")
    values = np.empty((len(rows), len(header)))
    for number, row in enumerate(rows):
        try:
            values[number] = [float(cell) if cell else np.nan for cell in row]
        except ValueError:
            raise ValueError(
                f"{path} is damaged: row {number + 1} is not {len(header)} numbers."
            ) from None
    values[~np.isfinite(values)] = np.nan
    return dict(zip(header, values.T, strict=True)) if rows else {}


def _clients(path: Path, table: dict[str, np.ndarray], *, whole: bool) -> Clients | None:
    """Rows as they come, one a client and round, as arrays of rounds and clients."""
    rows = len(table["client"])
    last = np.nanmax(table["client"], initial=0)
    count = int(last) + 1 if last < rows else rows + 1
    measured, rest = divmod(rows, count)
    if not measured and not whole:  # the first round is being written
        return None
    shaped = {
        name: values[: measured * count].reshape(measured, count) for name, values in table.items()
    }
    rounds = shaped["round"]
    if (
        (rest and whole)
        or (shaped["client"] != np.arange(count)).any()
        or (rounds != rounds[:, :1]).any()
        or (np.diff(rounds[:, 0]) <= 0).any()
    ):
        raise ValueError(f"{path} is damaged: its rows are not every client once a round.")
    levels = [name for name in table if name.startswith("group_l")]
    wanted = [f"group_l{level + 1}" for level in range(len(levels))]
    groups = np.zeros((measured, 0, count))
    if levels == wanted and levels:
        groups = np.stack([shaped[name] for name in levels], axis=1)
    if levels != wanted or not _whole(groups) or (groups < -1).any() or not _whole(rounds):
        raise ValueError(f"{path} is damaged: its groups are not whole numbers from -1.")
    return Clients(
        rounds[:, 0].astype(np.int64), shaped["c_spe"], shaped["c_gen"], groups.astype(np.int64)
    )


def _labels(
    path: Path, table: dict[str, np.ndarray], clients: Clients | None
) -> Int[np.ndarray, " rows 4"]:
    rows = np.stack([table[name] for name in ("client", "label", "train", "test")], axis=1)
    count = clients.spe.shape[1] if clients else np.inf
    counts = rows[:, [0, 2, 3]]
    if not _whole(rows) or (counts < 0).any() or (rows[:, 0] >= count).any():
        raise ValueError(f"{path} is damaged: its rows are not numbers of examples of clients.")
    return rows.astype(np.int64)


def _whole(values: np.ndarray) -> bool:
    """Whether all of them are whole numbers, of a size that is one."""
    return bool((np.isfinite(values) & (values == np.floor(values)) & (abs(values) < 2**53)).all())
