"""What is to be said beside a run's last measures: what else was measured, and how surely."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from demjax.base import ClientData
from demjax.metrics import majority
from demjax.runs.schema import extra_of

NAMES = {"c_spe": "C-SPE", "c_gen": "C-GEN", "global": "Global"}
"""The columns that tables show of a run, and what they are called."""

NOT_SMALL = 0.3
"""An accuracy without learning that is worth a line."""


def of_data(clients: ClientData, score: str) -> dict[str, Any]:
    """What ``summary.json`` says of the data beside accuracy; nothing beside another score."""
    found = majority(clients) if score == "accuracy" else None
    return {} if found is None else {"majority": found._asdict()}


def of_sample(sampled: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """What ``summary.json`` says of a sample: ``{"sampled": {"clients": [500, 10000]}}``."""
    return {"sampled": {name: list(count) for name, count in sampled.items()}} if sampled else {}


def extras(columns: Mapping[str, Any]) -> list[str]:
    """The names of the extra measures among the columns of ``metrics.csv``."""
    return list(dict.fromkeys(filter(None, (extra_of(column)[0] for column in columns))))


def commonest(summary: Mapping[str, Any]) -> str:
    """The accuracy of always answering the commonest label, in words; empty if it is small."""
    found = summary.get("majority")
    if not isinstance(found, Mapping) or found.get("all", 0) < NOT_SMALL:
        return ""
    return f"{found['all']:.4f}, each client's own {found['own']:.4f}"


def lines(row: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    """What is said below a table of last measures, a line each.

    Args:
        row: The last row of ``metrics.csv``; missing values are ``None`` or NaN.
        summary: What ``summary.json`` holds.
    """
    said = [f"{name}: {_values(row, f'{name}_')}" for name in extras(row)]
    if sampled := summary.get("sampled"):
        of = ", ".join(f"{some} of {there} {what}" for what, (some, there) in sampled.items())
        said.append(f"measured: {of}; standard errors: {_values(row, '', '_se')}")
    if words := commonest(summary):
        said.append(f"always the commonest label: {words}")
    return said


def _values(row: Mapping[str, Any], before: str, after: str = "") -> str:
    known = {shown: row.get(f"{before}{name}{after}") for name, shown in NAMES.items()}
    values = {shown: value for shown, value in known.items() if value is not None}
    some = [f"{shown} {value:.4f}" for shown, value in values.items() if np.isfinite(value)]
    return ", ".join(some) or "not measured"
