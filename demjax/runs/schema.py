"""The columns of ``metrics.csv`` and ``clients.csv``: what each says, once, and how it is found."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from demjax.metrics import Measures, bytes_in_a_round
from demjax.simulation.privacy import Spent, epsilons


class Measured(NamedTuple):
    """What a row is made of.

    Attributes:
        round: Rounds done.
        measures: The measures then; NaN where not taken.
        seconds: Seconds since the run began, compiling left out.
        info: What the algorithm told of its last round, fields by name.
        model_bytes: Bytes of one model as it travels; ``None`` if not known.
    """

    round: int
    measures: Measures
    seconds: float
    info: Any = None
    model_bytes: int | None = None


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: Its name; with ``_l1``, ``_l2``, … behind it where it has one for each level.
        meaning: What it says, in a line.
        value: ``(Measured) -> value``, or an array with one for each level or client.
        levels: Whether there is one for each level under the root, the lowest first.
    """

    name: str
    meaning: str
    value: Callable[[Measured], Any]
    levels: bool = False


def _measure(field: str) -> Callable[[Measured], Any]:
    return lambda row: getattr(row.measures, field)


def _by_level(field: str) -> Callable[[Measured], Any]:
    return lambda row: getattr(row.measures, field)[:-1]


def _structure(field: str) -> Callable[[Measured], Any]:
    return lambda row: getattr(row.measures.structure, field)


def _sent(place: int) -> Callable[[Measured], Any]:
    def bytes_sent(row: Measured) -> Any:
        clients = np.shape(row.measures.client_gen)[0]
        sent = bytes_in_a_round(row.info, row.model_bytes or 0, clients)[place]
        return np.int64(sent) if row.round and math.isfinite(sent) else math.nan

    return bytes_sent


def _plain_mean(row: Measured) -> float:
    """The mean over the clients that have test data, each counted once."""
    values = np.asarray(row.measures.client_spe, float)
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


STRUCTURE = {
    "groups": "number of groups",
    "largest": "clients in the largest group",
    "smallest": "clients in the smallest group",
    "singletons": "share of the clients that are in a group of one or in none",
    "rand_true": "adjusted Rand index of groups and true clusters",
    "rand_before": "the same of groups and those before the last regrouping",
    "moved": "clients that moved at the last regrouping",
}
"""Columns of ``metrics.csv`` about the tree, one for each level, named as their measures are."""

METRICS = (
    Column("round", "rounds done", lambda row: row.round),
    Column("c_spe", "C-SPE: clients' models on their own test data", _measure("c_spe")),
    Column("c_gen", "C-GEN: clients' models on all test data", _measure("c_gen")),
    Column("global", "the global model on all test data", _measure("global_score")),
    Column("g_spe", "G-SPE: groups' models on their members' test data", _by_level("g_spe"), True),
    Column("g_gen", "G-GEN: groups' models on all test data", _by_level("g_gen"), True),
    Column(
        "seconds",
        "seconds since the run began, compiling left out",
        lambda row: round(row.seconds, 3),
    ),
    Column(
        "c_spe_by_client",
        "the same as c_spe, but each client with test data counts once, not each of its examples",
        _plain_mean,
    ),
    *(Column(name, meaning, _structure(name), True) for name, meaning in STRUCTURE.items()),
)
"""The columns that ``metrics.csv`` has of every run, in their order."""

ORGANIZED = Column(
    "cophenetic",
    "correlation of the dendrogram's heights and the distances",
    lambda row: row.measures.organization and row.measures.organization.cophenetic,
)
"""What ``metrics.csv`` has beside them where clients organize themselves."""

MEASURED = ("c_spe", "c_gen", "global", "g_spe", "g_gen")
"""The measures of which there are extra ones and standard errors, by their columns."""


def further_columns(measures: Measures) -> dict[str, Any]:
    """The columns of extra measures, ``loss_c_gen``, and of standard errors, ``c_gen_se``.

    Args:
        measures: One measurement.

    Returns:
        By column its value; levels are those under the root, ``g_gen_se_l1``.
    """
    found: dict[str, Any] = {}
    named = {"": measures} | {f"{name}_": measures.extra[name] for name in sorted(measures.extra)}
    for before, some in named.items():
        for part, after in ((some if before else None, ""), (some.errors, "_se")):
            for name in MEASURED if part is not None else ():
                value = getattr(part, "global_score" if name == "global" else name)
                column = f"{before}{name}{after}"
                if name.startswith("g_"):
                    found |= {f"{column}_l{k + 1}": one for k, one in enumerate(value[:-1])}
                else:
                    found[column] = value
    return found


LEVEL = re.compile(r"group_l\d+")
"""The columns of ``clients.csv`` that say in which group a client is."""


def extra_of(column: str) -> tuple[str, str]:
    """Of which extra measure a column is, and which of its measures: ``("loss", "g_gen_l1")``.

    The first is empty where it is a column of the score, or of no measure.
    """
    own = r"(?:c_spe|c_gen|global)(?:_se)?|g_(?:spe|gen)(?:_se)?_l\d+"
    found = re.fullmatch(f"(.+)_({own})", column)
    return (found[1], found[2]) if found else ("", column)


SENT = (
    Column("bytes_up", "bytes that clients sent in the last round", _sent(0)),
    Column("bytes_down", "bytes that clients were sent in the last round", _sent(1)),
)
"""What stands last, behind a column for each field of the round's info, by the field's name."""

CLIENTS = (
    Column("c_spe", "the client's model on its own test data", _measure("client_spe")),
    Column("c_gen", "the client's model on all test data", _measure("client_gen")),
    Column(
        "group",
        "the client's group, -1 if it has none",
        lambda row: row.measures.hierarchy.groups[:-1],
        levels=True,
    ),
)
"""The columns of ``clients.csv`` behind ``round`` and ``client``, and before those of the info."""

TOLD = {
    "loss": "training loss in the last round; in metrics.csv its mean over those who trained",
    "dropped": "clients of the last round's cohort that dropped out of it",
    "left_out": "clients whose updates in the last round were not finite, and so left out",
    "example_epsilon": "epsilon spent so far of a client's examples; in metrics.csv the largest",
    "client_epsilon": "epsilon spent so far of a client; in metrics.csv the largest",
    "divergence": "how far the trained models of the last round are from their mean",
}
"""What fields of a round's info mean that several algorithms have."""


LARGEST = ("example_epsilon", "client_epsilon")
"""Of these ``metrics.csv`` has the largest of all clients, not the mean."""


def told(info: Any, clients: int) -> dict[str, np.ndarray]:
    """What of a round's info is recorded: fields of one number, or one for each client.

    Args:
        info: A ``NamedTuple`` or a mapping of arrays; of anything else, nothing is recorded.
        clients: Number of clients.

    Returns:
        By name, ``float64[]`` or ``float64[N]``; without the bytes, which have columns of their
        own in any case.
    """
    fields = info._asdict() if hasattr(info, "_asdict") else info
    found: dict[str, np.ndarray] = {}
    for name, value in fields.items() if isinstance(fields, Mapping) else ():
        if name in {column.name for column in SENT} or not hasattr(value, "dtype"):
            continue
        number = jnp.issubdtype(value.dtype, jnp.number) or value.dtype == bool
        if number and np.shape(value) in ((), (clients,)):
            found[str(name)] = np.asarray(value).astype(np.float64)
    spent = getattr(info, "privacy", None)
    return found | (epsilons(spent) if isinstance(spent, Spent) else {})
