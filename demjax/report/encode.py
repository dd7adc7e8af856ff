"""Packs the numbers of runs into little JSON, which the page's JavaScript unpacks."""

import json
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from demjax.report.folder import Run
from demjax.report.lines import Line
from demjax.runs.reader import Clients

DIGITS = 4
"""Decimal places that the page keeps."""

CELLS_AT_MOST = 120_000
"""Clients times rounds that all trees of a page show together, so that it stays below 3 MB."""


def encode(runs: Sequence[Run], lines: Sequence[Line] = ()) -> str:
    """The numbers of runs as JSON that can stand in a ``<script>``.

    A run has its ``name``, the columns of its ``metrics``, its ``tree`` (``null`` where it was not
    kept) and its ``labels`` (likewise). A tree has the measured ``rounds``; of each round ``spe``
    and ``gen``, the clients' measures times 10,000, or -1; and ``groups``, a row of clients for
    each level, the lowest first, or 0 where they are those of the round before. Of each client,
    ``labels`` has label, training examples, test examples, label, and so on. Of more rounds than
    fit into a page, an even choice with the first and the last is in the tree. Of the lines of the
    curves, ``name``, ``runs`` (by their places) and ``color`` are told.
    """
    cells = CELLS_AT_MOST // max(len(runs), 1)
    data = [
        {
            "name": run.name,
            "metrics": {
                name: [_number(value) for value in values.tolist()]
                for name, values in run.metrics.items()
            },
            "tree": run.clients and _tree(run.clients, cells),
            "labels": None if run.labels is None else _labels(run.labels, run.clients),
        }
        for run in runs
    ]
    drawn = [one._replace(name=one.name or runs[one.runs[0]].name)._asdict() for one in lines]
    text = json.dumps({"runs": data, "lines": drawn}, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":  # none of which can then end the script
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _number(value: float) -> float | int | None:
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() else round(value, DIGITS)


def _tree(clients: Clients, cells: int) -> dict[str, Any]:
    measured, count = clients.spe.shape
    most = max(2, cells // count)
    shown = np.arange(measured)
    if measured > most:
        shown = np.unique(np.linspace(0, measured - 1, most).round().astype(np.int64))
    groups = clients.groups[shown]
    same = [False, *(np.array_equal(a, b) for a, b in pairwise(groups))]
    return {
        "measured": measured,
        "rounds": clients.rounds[shown].tolist(),
        "clients": count,
        "levels": clients.groups.shape[1],
        "spe": _scores(clients.spe[shown]),
        "gen": _scores(clients.gen[shown]),
        "groups": [
            0 if again else table.tolist() for again, table in zip(same, groups, strict=True)
        ],
    }


def _scores(values: Float[np.ndarray, " R N"]) -> list[list[int]]:
    scaled = np.round(values * 10**DIGITS)
    return np.where(np.isnan(scaled), -1, scaled).astype(np.int64).tolist()


def _labels(rows: Int[np.ndarray, " rows 4"], clients: Clients | None) -> list[list[int]]:
    count = clients.spe.shape[1] if clients else int(rows[:, 0].max()) + 1
    found: list[list[int]] = [[] for _ in range(count)]
    held: Iterable[list[int]] = rows.tolist()
    for client, *rest in held:
        found[client] += rest
    return found
