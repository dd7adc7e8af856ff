"""The rows of a run folder's CSV files."""

import math
from typing import Any

import numpy as np
from jaxtyping import Int

from demjax.base import Organization
from demjax.data import Partition
from demjax.metrics import Measures

DRAWN_CLIENTS = 2000
"""Dendrograms of more clients are not written: nobody could see them, and they take much room."""


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
