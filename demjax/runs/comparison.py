"""Runs beside each other: their last measures as a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from demjax.runs import beside
from demjax.runs.reader import read_run


def compare(outs: Sequence[Path]) -> str:
    """The last measures of run folders as a table, and what they lack, a line each.

    Raises:
        ValueError: If a folder holds no run, or a damaged one.
    """
    runs = [(str(out), read_run(out)) for out in outs]
    rows = [
        (out, {name: values[-1] for name, values in run.measures.items()}, run.status)
        for out, run in runs
    ]
    scores = dict.fromkeys(run.summary.get("score", "accuracy") for _, run in runs)
    named = [] if list(scores) == ["accuracy"] else [f"measures: {', '.join(scores)}"]
    told = [
        f"{name}: {line}"
        for (name, row, _), (_, run) in zip(rows, runs, strict=True)
        for line in beside.lines(row, run.summary)
    ]
    missing = [run.missing for _, run in runs if run.missing]
    return "\n".join([table(rows), *named, *told, *missing])


def table(finals: Sequence[tuple[str, Mapping[str, Any], str]]) -> str:
    """Rows of last measures as an aligned table, a run a line, and how it ended unless done."""
    width = max(len("run"), *(len(name) for name, _, _ in finals))
    lines = [f"{'run':<{width}}  rounds   C-SPE   C-GEN  Global"]
    for name, row, status in finals:
        rounds = f"{row['round']:.0f}" if row else "–"
        values = [row.get(measure) for measure in ("c_spe", "c_gen", "global")]
        numbers = "  ".join(
            f"{'–':>6}" if value is None or np.isnan(value) else f"{value:6.4f}" for value in values
        )
        ended = "" if status == "done" else f"  {status}"
        lines.append(f"{name:<{width}}  {rounds:>6}  {numbers}{ended}")
    return "\n".join(lines)
