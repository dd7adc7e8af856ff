"""Reads what run folders hold, finished or not: the same for tables, figures and reports."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from demjax.experiment.config import read_options
from demjax.runs.folder import CLIENTS, CONFIG, METRICS, SUMMARY, read_summary
from demjax.runs.schema import LEVEL

UNFINISHED = "unfinished"
"""The status of a run that has no summary: it goes on, or was killed."""

NEEDED = ("round", "client", "c_spe", "c_gen")
"""The columns that ``clients.csv`` has of every algorithm."""

"""A column of groups; a measure of one's own may be called ``group_loss``."""

OLD_COLUMN = ("rand_labels_l", "rand_true_l")
"""What demjax 0.1 called a column, and what it is called now."""


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


class RunFiles(NamedTuple):
    """What a run folder holds, of whatever it may lack.

    Attributes:
        status: How the run ended, or ``unfinished``.
        options: What ``config.toml`` says, also options that this version does not know.
        summary: What ``summary.json`` says.
        measures: Columns of ``metrics.csv``, NaN where a value is missing.
        clients: Each client's measures and groups; ``None`` where they were not kept.
        missing: One sentence on what is not there; empty where all is.
    """

    status: str
    options: dict[str, Any]
    summary: dict[str, Any]
    measures: dict[str, Float[np.ndarray, " R"]]
    clients: Clients | None
    missing: str

    @property
    def whole(self) -> bool:
        """Whether its files are no longer written to."""
        return self.status != UNFINISHED


def read_run(out: Path) -> RunFiles:
    """Read a run folder, as far as the run has got.

    Where there is no ``metrics.csv``, the last row is that of ``summary.json``.

    Raises:
        ValueError: If there is no run, or a file of it is damaged.
    """
    if not out.is_dir():
        raise ValueError(f"There is no run {out}; possible is a folder that demjax run wrote.")
    there = [name for name in (CONFIG, METRICS, SUMMARY) if (out / name).exists()]
    if not there:
        raise ValueError(f"{out} is no run folder: it holds no {CONFIG}, {METRICS} or {SUMMARY}.")
    finished = SUMMARY in there
    summary = read_summary(out) if finished else {}
    measures = read_measures(out / METRICS, (), whole=finished)
    if METRICS not in there:
        last = summary.get("final") or {}
        measures = {n: np.array([np.nan if v is None else v], float) for n, v in last.items()}
    lacks = {
        SUMMARY: "the run goes on, or was killed",
        METRICS: "only the last row is known" if measures else "nothing was measured",
        CONFIG: "its options are not known",
    }
    said = [f"no {name} ({why})" for name, why in lacks.items() if name not in there]
    if not measures and METRICS in there:
        said.append(f"no measurement in {METRICS}")
    return RunFiles(
        status=summary.get("status", UNFINISHED),
        options=read_options(out / CONFIG) if CONFIG in there else {},
        summary=summary,
        measures=measures,
        clients=read_clients(out / CLIENTS, measures.get("round", np.zeros(0)), whole=finished),
        missing=f"{out} holds {', '.join(said)}." if said else "",
    )


def read_columns(
    path: Path, needed: Sequence[str], *, whole: bool
) -> dict[str, Float[np.ndarray, " rows"]]:
    """The columns of a CSV file of numbers; none if there is no file or no row.

    Args:
        path: The file. A blank, or what is not finite, is read as NaN.
        needed: Columns that it must have.
        whole: Whether its last row must be whole, which one that is being written need not be.

    Raises:
        ValueError: If the file cannot be read, lacks a column, or a row of it is no numbers.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is damaged: it is no table of numbers, and no text.") from None
    if not whole:
        text = text[: text.rfind("\n") + 1]
    try:
        header, *rows = list(csv.reader(text.splitlines())) or [[]]
    except csv.Error:  # a cell without end
        raise ValueError(f"{path} is damaged: it is no table of numbers.") from None
    header = [name.replace(*OLD_COLUMN) for name in header]
    missing = [name for name in needed if name not in header]
    if missing and (rows or whole):
        what = "lacks columns that a run writes" if header else "is no table of numbers"
        raise ValueError(f"{path} is damaged: it {what}, there is no column {missing[0]!r}.")
    values = np.empty((0, len(header)))
    number = next((i for i, row in enumerate(rows) if len(row) != len(header)), None)
    if number is None:  # only then is the table no larger than its text
        values = np.empty((len(rows), len(header)))
        for place, row in enumerate(rows):
            try:
                values[place] = [float(cell) if cell else np.nan for cell in row]
            except ValueError:
                number = place
                break
    if number is not None:
        raise ValueError(
            f"{path} is damaged: it is no table of numbers, as row {number + 1} is not "
            f"{len(header)} numbers."
        )
    values[~np.isfinite(values)] = np.nan
    return dict(zip(header, values.T, strict=True)) if rows else {}


def read_measures(
    path: Path, needed: Sequence[str], *, whole: bool
) -> dict[str, Float[np.ndarray, " R"]]:
    """The columns of ``metrics.csv``, a value for each measured round; none if there is no row.

    Raises:
        ValueError: If ``read_columns`` does, or the rounds do not count upwards.
    """
    table = read_columns(path, ("round", *needed), whole=whole)
    rounds = table.get("round", np.zeros(0))
    if (np.diff(rounds) <= 0).any() or not are_whole(rounds).all():
        raise ValueError(f"{path} is damaged: its rounds do not count upwards.")
    return table


def read_clients(path: Path, rounds: Float[np.ndarray, " R"], *, whole: bool) -> Clients | None:
    """What ``clients.csv`` holds of the measured rounds; ``None`` if there is none of it.

    Args:
        path: The file.
        rounds: The measured rounds. Rows of others, whose measurement was not finished, are left
            out.
        whole: Whether its last row must be whole.

    Raises:
        ValueError: If ``read_columns`` does, clients are missing or twice, or a group is no number
            from -1.
    """
    table = read_columns(path, NEEDED, whole=whole)
    if not table and not (whole and len(rounds) and path.exists()):
        return None
    table = table or {name: np.zeros(0) for name in NEEDED}
    kept = np.isin(table["round"], rounds)
    order = np.lexsort((table["client"][kept], table["round"][kept]))
    found = {name: values[kept][order] for name, values in table.items()}
    _check_groups(path, found)
    if not len(rounds):  # the first measurement is being written
        return None
    count = int(np.nanmax(found["client"], initial=-1)) + 1
    # whether there are as many rows is asked first, as a wrong number may be huge
    if (
        not count
        or count * len(rounds) != len(order)
        or not (
            np.array_equal(found["client"], np.tile(np.arange(count), len(rounds)))
            and np.array_equal(found["round"], np.repeat(rounds, count))
        )
    ):
        raise ValueError(f"{path} is damaged: its rows are not every client once a measurement.")
    levels = [name for name in found if LEVEL.fullmatch(name)]
    groups = np.array([found[name] for name in levels]).reshape(len(levels), len(rounds), count)
    return Clients(
        rounds.astype(np.int64),
        found["c_spe"].reshape(-1, count),
        found["c_gen"].reshape(-1, count),
        groups.transpose(1, 0, 2).astype(np.int64),
    )


def are_whole(values: Float[np.ndarray, " *shape"]) -> Bool[np.ndarray, " *shape"]:
    """Which of them are whole numbers, of a size that is one."""
    return np.isfinite(values) & (values == np.floor(values)) & (abs(values) < 2**53)


def _check_groups(path: Path, table: Mapping[str, np.ndarray]) -> None:
    levels = [name for name in table if LEVEL.fullmatch(name)]
    named = levels == [f"group_l{level + 1}" for level in range(len(levels))]
    right = [are_whole(table[name]) & (table[name] >= -1) for name in levels]
    if not named or not np.all(right):
        raise ValueError(f"{path} is damaged: its groups are not whole numbers from -1.")
