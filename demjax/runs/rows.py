"""The rows of a run folder's CSV files; what their columns say is in ``schema``."""

import math
from typing import Any

import numpy as np
from jaxtyping import Int

from demjax.base import Organization
from demjax.data import Partition
from demjax.metrics import Measures
from demjax.runs.schema import (
    CLIENTS,
    LARGEST,
    LEVEL,
    METRICS,
    ORGANIZED,
    SENT,
    Measured,
    extra_of,
    further_columns,
    told,
)

DRAWN_CLIENTS = 2000
"""Dendrograms of more clients are not written: nobody could see them, and they take much room."""


def metrics_row(
    round_number: int,
    measures: Measures,
    seconds: float,
    info: Any = None,
    model_bytes: int | None = None,
) -> dict[str, float | None]:
    """One row of ``metrics.csv``; levels count from the lowest, 1; blank is what has no value.

    Of a round's info, a field of one number is written as it is, and one of a number for each
    client as the mean of those that are finite, by the field's own name; others are left out.

    Args:
        round_number: Rounds done.
        measures: The measures then.
        seconds: Seconds since the run began, compiling left out.
        info: What the algorithm told of its last round; before the first, of none.
        model_bytes: Bytes of one model as it travels; ``None`` writes no columns of bytes.

    Raises:
        ValueError: If a field of the info has the name of another column.
    """
    source = Measured(round_number, measures, seconds, info, model_bytes)
    return {name: _rounded(value) for name, value in metrics_values(source).items()}


def metrics_values(source: Measured) -> dict[str, Any]:
    """What ``metrics_row`` writes, before it is rounded; NaN has no value."""
    measures = source.measures
    row: dict[str, Any] = {}
    for column in (*METRICS, *([ORGANIZED] if measures.organization is not None else [])):
        value = column.value(source)
        if column.levels:
            row |= {f"{column.name}_l{k + 1}": one for k, one in enumerate(value)}
        else:
            row[column.name] = value
    row |= further_columns(measures)
    for name, values in told(source.info, np.shape(measures.client_gen)[0]).items():
        if name in row or name == "client" or LEVEL.fullmatch(name) or extra_of(name)[0]:
            raise ValueError(
                f"The info of a round has a field {name!r}, which is the name of another column "
                "of metrics.csv or clients.csv; possible is any other name."
            )
        finite = values[np.isfinite(values)]
        middle = np.max if name in LARGEST else np.mean
        row[name] = middle(finite) if source.round and finite.size else math.nan
    if source.model_bytes is not None:
        row |= {column.name: column.value(source) for column in SENT}
    return row


def clients_rows(round_number: int, measures: Measures, info: Any = None) -> list[dict[str, Any]]:
    """The rows of ``clients.csv``: each client's measures, groups, and what a round told of it."""
    source = Measured(round_number, measures, 0.0)
    found: dict[str, list] = {}
    for column in CLIENTS:
        values = np.asarray(column.value(source))
        if column.levels:
            found |= {f"{column.name}_l{k + 1}": row.tolist() for k, row in enumerate(values)}
        else:
            found[column.name] = [_rounded(value) for value in values]
    for name in sorted(measures.extra):
        extra = measures.extra[name]
        found[f"{name}_c_spe"] = [_rounded(value) for value in extra.client_spe]
        found[f"{name}_c_gen"] = [_rounded(value) for value in extra.client_gen]
    count = len(found["c_gen"])
    for name, values in told(info, count).items():
        if values.ndim and name not in found:
            found[name] = [_rounded(value) if round_number else None for value in values]
    return [
        {"round": round_number, "client": client, **dict(zip(found, values, strict=True))}
        for client, values in enumerate(zip(*found.values(), strict=True))
    ]


def labels_rows(partition: Partition, y: Int[np.ndarray, " T"]) -> list[dict[str, int]]:
    """The rows of ``labels.csv``: how many examples of each label that it has each client has."""
    rows = []
    for client, (train, test) in enumerate(zip(*partition, strict=True)):
        label, which = np.unique(y[np.concatenate([train, test])], return_inverse=True)
        trained = np.bincount(which[: len(train)], minlength=len(label))
        tested = np.bincount(which[len(train) :], minlength=len(label))
        rows += [
            {"client": client, "label": name, "train": some, "test": others}
            for name, some, others in zip(
                label.tolist(), trained.tolist(), tested.tolist(), strict=True
            )
        ]
    return rows


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
        {
            "round": round_number,
            "left": int(left),
            "right": int(right),
            "distance": str(distance),
            "size": int(size),
        }
        for left, right, distance, size in merges
    ]


def _rounded(value: Any) -> float | None:
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if np.issubdtype(np.asarray(value).dtype, np.integer) else round(number, 6)
