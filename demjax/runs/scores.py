"""What a comparison takes of a run: its measures after the last round, and at its best one."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from demjax.metrics import fairness_of
from demjax.runs.reader import RunFiles, read_run

MEASURES: Mapping[str, str] = {
    "c_spe": "C-SPE",
    "c_spe_by_client": "C-SPE by client",
    "c_gen": "C-GEN",
    "g_gen_l1": "G-GEN",
    "global": "Global",
    "worst_tenth": "worst tenth",
    "jain": "Jain's index",
    "bytes_up": "up",
    "bytes_down": "down",
    "round_seconds": "seconds",
    "rand_true_l1": "Rand index",
}
"""What tables show of a run, by column, and what they call it; others of their kind follow."""

BY = ("c_spe", "c_spe_by_client", "c_gen", "global")
"""The measures by which a round, or a value of an option, can be the best."""

_SHOWN = re.compile(r"g_gen_l\d+|rand_true_l\d+|bytes_\w+|" + "|".join(MEASURES))


class Scores(NamedTuple):
    """What is taken of a run.

    Attributes:
        rounds: The measured rounds.
        columns: By name, a value for each of them, those of ``metrics.csv``, and ``worst_tenth``
            and ``jain`` of the clients' C-SPE; NaN where a value is missing.
        last: Values after the last round, with ``round`` and, of all rounds, ``round_seconds``
            (the median) and the bytes (their means).
        best: The same after the round in which one measure is greatest.
        summary: What ``summary.json`` says.
    """

    rounds: Int[np.ndarray, " E"]
    columns: dict[str, Float[np.ndarray, " E"]]
    last: dict[str, float]
    best: dict[str, float]
    summary: dict[str, Any]

    @property
    def diverged(self) -> bool:
        """Whether the run ended because its models were no longer finite."""
        return self.summary.get("status") == "diverged"


def scores_of(out: Path, by: str) -> Scores:
    """Read what a comparison takes of a run.

    Args:
        out: The run's folder.
        by: The measure that picks the best round, of those after the first one.

    Raises:
        ValueError: If the folder holds no run, nothing was measured, or a file is damaged.
    """
    run = read_run(out)
    if not run.measures:
        raise ValueError(f"Nothing was measured of the run {out}.")
    columns = {name: v for name, v in run.measures.items() if name != "round"} | _fairness(run)
    rounds = run.measures["round"].astype(np.int64)
    whole = {
        name: _mean(values[rounds > 0])
        for name, values in columns.items()
        if name.startswith("bytes_")
    }
    seconds = run.summary.get("round_seconds")
    whole["round_seconds"] = np.nan if seconds is None else float(seconds)

    def after(place: int) -> dict[str, float]:
        here = {n: float(v[place]) for n, v in columns.items() if _SHOWN.fullmatch(n)}
        return {"round": float(rounds[place])} | here | whole

    wanted = np.where(rounds > 0, columns.get(by, np.full(len(rounds), np.nan)), np.nan)
    best = len(rounds) - 1 if np.isnan(wanted).all() else int(np.nanargmax(wanted))
    return Scores(rounds, columns, after(len(rounds) - 1), after(best), run.summary)


def _fairness(run: RunFiles) -> dict[str, Float[np.ndarray, " E"]]:
    if run.clients is None:
        return {}
    fair = fairness_of(run.clients.spe)
    return {"worst_tenth": fair.worst, "jain": fair.jain}


def _mean(values: Float[np.ndarray, " E"]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan
