"""What figures are drawn from: a run's folder, or a history, read into the same arrays."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from demjax.plots.style import hex_color, spread_places
from demjax.runs.reader import read_columns
from demjax.runs.rows import metrics_values
from demjax.runs.schema import Measured
from demjax.simulation.history import History


class Record(NamedTuple):
    """What is known of a run; ``E`` measurements, ``K`` levels under the root.

    Attributes:
        name: What the run is called.
        round: Rounds done at each measurement.
        measures: By the columns of ``metrics.csv``, a value for each measurement, else NaN.
        client_spe: Each client's C-SPE, NaN where it has no test data; ``None`` if not known.
        client_gen: Each client's C-GEN; ``None`` if not known.
        groups: Each client's group on each level, ``-1`` for none; ``None`` if not known.
        dendrograms: SciPy's linkage matrices, by the first measured round that had them.
        options: The options of ``config.toml``; empty for a history.
        summary: What ``summary.json`` says; empty for a history, or a run that has not ended.
        folder: The run's folder, if it has one.
        score: What the task's score is called.
        named: Whether ``name`` was given, and stands in place of the options in figures.
        color: Its colour in figures; by default its algorithm's.
        missing: One sentence on what its folder lacks; empty where all is there.
    """

    name: str
    round: Int[np.ndarray, " E"]
    measures: Mapping[str, Float[np.ndarray, " E"]]
    client_spe: Float[np.ndarray, " E N"] | None
    client_gen: Float[np.ndarray, " E N"] | None
    groups: Int[np.ndarray, " E K N"] | None
    dendrograms: Mapping[int, Float[np.ndarray, " N-1 4"]]
    options: Mapping[str, Any]
    summary: Mapping[str, Any]
    folder: Path | None
    score: str = "accuracy"
    named: bool = False
    color: str | None = None
    missing: str = ""

    @property
    def levels(self) -> int:
        """Levels of groups under the root, ``K``."""
        return sum(name.startswith("groups_l") for name in self.measures)


class NothingMeasuredError(ValueError):
    """There is a run, but no measurement of it to be drawn."""


Run = History | Record | str | Path
"""Whatever a figure can be drawn from: a history, a run's folder, or a record of either."""


def read(run: Run, name: str | None = None) -> Record:
    """Read a run.

    Args:
        run: A run's folder, a history, or a record, which is what it is.
        name: What to call it; by default its folder's name.

    Raises:
        ValueError: If there is no such run, its files are damaged, or a history is of several.
    """
    if isinstance(run, Record):
        record = run
    elif isinstance(run, History):
        record = _from_history(run, name or "run")
    else:
        record = _from_folder(Path(run), name)
    return record if name is None else record._replace(name=name, named=True)


def read_all(
    runs: Run | Sequence[Run],
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
) -> list[Record]:
    """Read one run, or several.

    Args:
        runs: A run or several.
        names: What to call them, a name each.
        colors: Their colours in figures, one each.

    Raises:
        ValueError: If there are none, or not as many names or colours, or one cannot be read.
    """
    several: list[Any] = [runs] if isinstance(runs, History | Record | str | Path) else list(runs)
    if not several:
        raise ValueError("A figure needs at least one run, but none was given.")
    check_one_each(len(several), names=names, colors=colors)
    records = [read(run, names[i] if names else None) for i, run in enumerate(several)]
    if colors is not None:
        records = [
            one._replace(color=hex_color(color)) for one, color in zip(records, colors, strict=True)
        ]
    if len(records) > 1 and names is None:  # histories have no names of their own
        return [
            record._replace(name=f"run {place + 1}") if isinstance(run, History) else record
            for place, (run, record) in enumerate(zip(several, records, strict=True))
        ]
    return records


def check_one_each(count: int, **given: Sequence[str] | None) -> None:
    """Make sure that names or colours are as many as runs.

    Raises:
        ValueError: If they are not.
    """
    for what, several in given.items():
        if several is not None and len(several) != count:
            raise ValueError(f"{len(several)} {what} were given for {count} runs; each takes one.")


def places_of(record: Record, moments: int | Sequence[int], first: int = 0) -> list[int]:
    """The places of moments among a run's measurements, ascending.

    Args:
        record: The run.
        moments: How many, at least 2, evenly from a first place to the last; or measured rounds.
        first: That place.

    Raises:
        ValueError: If they are too few, or a round was not measured.
    """
    rounds = record.round
    if isinstance(moments, int):
        if moments < 2:
            raise ValueError(f"At least 2 moments are drawn, but {moments} was given.")
        return [first + place for place in spread_places(len(rounds) - first, moments)]
    missing = [number for number in moments if number not in rounds]
    if missing or not moments:
        what = f"round {missing[0]} was" if missing else "no round was"
        raise ValueError(
            f"The run {record.name} was measured after rounds {rounds[0]} to {rounds[-1]}, but "
            f"{what} asked for that is not among them."
        )
    return [int(np.searchsorted(rounds, number)) for number in sorted(moments)]


def _from_history(history: History, name: str) -> Record:
    measures = history.measures
    if np.ndim(measures.c_spe) != 1:
        raise ValueError(
            f"A figure takes the history of one experiment, but measures of shape "
            f"{np.shape(measures.c_spe)} were given; possible is jax.tree.map(lambda leaf: "
            "leaf[i], measures) for one of them."
        )
    rounds, measures, info = jax.device_get((history.round, measures, history.info))
    rows = []
    for place, number in enumerate(rounds):
        now = jax.tree.map(lambda leaf: leaf[place], (measures, info))  # noqa: B023
        rows.append(metrics_values(Measured(int(number), now[0], math.nan, now[1])))
    columns = {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    dendrograms = {}
    if (made := measures.organization) is not None:
        for new in np.flatnonzero(np.diff(made.times, prepend=0) > 0):
            if np.isfinite(made.merges[new]).all():
                dendrograms[int(rounds[new])] = made.merges[new].astype(float)
    return Record(
        name=name,
        round=rounds,
        measures={n: values for n, values in columns.items() if n not in ("round", "seconds")},
        client_spe=np.asarray(measures.client_spe, float),
        client_gen=np.asarray(measures.client_gen, float),
        groups=np.asarray(measures.hierarchy.groups)[:, :-1],
        dendrograms=dendrograms,
        options={},
        summary={},
        folder=None,
        score=history.score,
    )


def _from_folder(folder: Path, name: str | None) -> Record:
    from demjax.runs.folder import DENDROGRAMS  # here: it asks the package for its version
    from demjax.runs.reader import read_run

    found = read_run(folder)
    if not found.measures:
        raise NothingMeasuredError(found.missing)
    rounds, clients = found.measures["round"].astype(int), found.clients
    return Record(
        name=name or folder.resolve().name,
        round=rounds,
        measures={column: v for column, v in found.measures.items() if column != "round"},
        client_spe=clients and clients.spe,
        client_gen=clients and clients.gen,
        groups=clients and clients.groups,
        dendrograms=_dendrograms(folder / DENDROGRAMS, rounds, whole=found.whole),
        options=found.options,
        summary=found.summary,
        folder=folder,
        missing=found.missing,
        score=found.summary.get("score", "accuracy"),
    )


def _dendrograms(path: Path, rounds: np.ndarray, *, whole: bool) -> dict[int, np.ndarray]:
    """The linkage matrices, by round; one of a round that was not finished is left out."""
    names = ("left", "right", "distance", "size")
    table = read_columns(path, ("round", *names), whole=whole)
    if not table:
        return {}
    merges = np.stack([table[name] for name in names], -1)
    found = {}
    for number in np.intersect1d(table["round"], rounds).astype(int):
        found[int(number)] = one = merges[table["round"] == number]
        if one[-1, 3] != len(one) + 1 or not np.isfinite(one).all():
            raise ValueError(f"{path} is damaged: the merges of round {number} are no dendrogram.")
    return found
