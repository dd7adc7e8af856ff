"""What the columns of ``metrics.csv`` are called in figures."""

from collections.abc import Mapping

from demjax.plots.record import Record
from demjax.runs.schema import extra_of

MEASURES: Mapping[str, str] = {
    "global": "Global",
    "g_gen": "G-GEN",
    "g_spe": "G-SPE",
    "c_spe": "C-SPE",
    "c_gen": "C-GEN",
}
"""The measures in the order in which they are drawn, and what they are called."""

_FURTHER = {
    "c_spe_by_client": "C-SPE, each client once",
    "worst_tenth": "C-SPE, worst tenth",
    "jain": "C-SPE, Jain's index",
}
"""What other columns are called."""


def title(measure: str, record: Record | None = None) -> str:
    """What a column of ``metrics.csv`` is called in a figure, with a score that is no accuracy."""
    extra, of = extra_of(measure)
    if extra:
        return f"{extra.replace('_', ' ')}, {title(of)}"
    name, _, level = measure.rpartition("_l")
    name, level = (name, f", level {level}") if level.isdigit() else (measure, "")
    known = record is None or record.score == "accuracy" or name not in MEASURES
    score = "" if known or record is None else f" ({record.score})"
    return f"{ {**MEASURES, **_FURTHER}.get(name, name.replace('_', ' ')) }{level}{score}"


def columns_of(level: int) -> list[str]:
    """The columns of the measures, of groups those of a level."""
    return [f"{name}_l{level}" if name.startswith("g_") else name for name in MEASURES]
