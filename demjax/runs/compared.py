"""What came of a comparison: arrays over systems, seeds and rounds, tables, and their files."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from demjax.experiment.systems import in_words
from demjax.runs import score_tables
from demjax.runs.comparison_plan import TABLE, TUNED, Plan
from demjax.runs.new_files import whole_file
from demjax.runs.planning import value_of
from demjax.runs.scores import MEASURES, Scores, scores_of


class Comparison(NamedTuple):
    """What a comparison of ``A`` systems under ``S`` seeds measured, ``E`` times in each run.

    Attributes:
        systems: What each system is called.
        seeds: The seeds.
        round: Rounds after which at least one run was measured.
        measures: By the columns of ``metrics.csv``, with ``worst_tenth`` and ``jain`` of the
            clients' C-SPE, what each run measured; NaN where it did not.
        table: Rows of mean and standard deviation over seeds, of the last round and of the best;
            ``pandas.DataFrame(table)`` takes them.
        notes: What is to be said of the table, a sentence each.
        grid: A row for each trial of the grid: system, values, measure, value, chosen.
        runs: The folder of each run, ``[system][seed]``.
    """

    systems: tuple[str, ...]
    seeds: tuple[int, ...]
    round: Int[np.ndarray, " E"]
    measures: Mapping[str, Float[np.ndarray, " A S E"]]
    table: list[dict[str, Any]]
    notes: tuple[str, ...]
    grid: list[dict[str, Any]]
    runs: tuple[tuple[Path, ...], ...]


def compared(plan: Plan) -> Comparison:
    """Read what all runs of a comparison measured.

    Raises:
        ValueError: If a run is missing or damaged.
    """
    places = range(len(plan.systems))
    folders = tuple(tuple(job.out for job in plan.of_system(place)) for place in places)
    runs = [[scores_of(out, plan.by) for out in mine] for mine in folders]
    labels = tuple(system.label for system in plan.systems)
    rounds, measures = _arrays(runs)
    return Comparison(
        systems=labels,
        seeds=plan.seeds,
        round=rounds,
        measures=measures,
        table=score_tables.rows(labels, runs, plan.by),
        notes=(*_notes(plan, labels, runs), *plan.notes),
        grid=_grid(plan),
        runs=folders,
    )


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write the table as ``comparison.csv``, ``.md`` and ``.tex``, and the grid as ``grid.csv``.

    Returns:
        The files.
    """
    table, notes = comparison.table, comparison.notes
    texts = {
        TABLE: score_tables.as_csv(table),
        "comparison.md": score_tables.as_markdown(table, notes),
        "comparison.tex": score_tables.as_latex(table, notes),
    }
    if comparison.grid:
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(comparison.grid[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(comparison.grid)
        texts[TUNED] = text.getvalue()
    for name, text_of in texts.items():
        with whole_file(out / name) as partial:
            partial.write_text(text_of, encoding="utf-8")
    return [out / name for name in texts]


def _arrays(
    runs: list[list[Scores]],
) -> tuple[Int[np.ndarray, " E"], dict[str, Float[np.ndarray, " A S E"]]]:
    """The columns of all runs over the rounds of any of them."""
    every = [run for mine in runs for run in mine]
    rounds = np.unique(np.concatenate([run.rounds for run in every]))
    names = dict.fromkeys(name for run in every for name in run.columns)
    shape = (len(runs), len(runs[0]), len(rounds))
    found = {name: np.full(shape, np.nan) for name in names}
    for system, mine in enumerate(runs):
        for seed, run in enumerate(mine):
            places = np.searchsorted(rounds, run.rounds)
            for name, values in run.columns.items():
                found[name][system, seed, places] = values
    return rounds, found


def _grid(plan: Plan) -> list[dict[str, Any]]:
    chosen = [{name: one.own[name] for name in one.tuned} for one in plan.systems]
    return [
        {
            "system": trial.job.label.rpartition(", on ")[0],
            "algorithm": plan.systems[trial.system].algorithm,
            "values": in_words(trial.chosen),
            "seed": plan.seeds[0],
            "validation": plan.validation,
            "measure": plan.by,
            "value": round(value_of(trial, plan.by), 6),
            "chosen": str(dict(trial.chosen) == chosen[trial.system]).lower(),
        }
        for trial in plan.trials
    ]


def _notes(plan: Plan, labels: tuple[str, ...], runs: list[list[Scores]]) -> list[str]:
    count, by = len(plan.seeds), MEASURES[plan.by]
    seeds = ", ".join(map(str, plan.seeds))
    spread = (
        f"Mean ± sample standard deviation over {count} seeds: {seeds}."
        if count > 1
        else f"One seed, {seeds}."
    )
    said = [
        spread,
        f"The best round is that of the greatest {by} on test examples, of each run by itself, and "
        "all that stands in its row is of that round; picked on test examples, it flatters.",
        "scored: the moment at which clients' models are measured.",
        "C-SPE counts each test example once, C-SPE by client each client once; the worst tenth "
        "(the mean C-SPE of the worst 10 % of clients) and Jain's index are over clients.",
        "Bytes are those of the arrays that travel in a round, all clients' together; seconds are "
        "the median of a round without its measurement.",
    ]
    every = [run for mine in runs for run in mine]
    if any("rand_true_l1" in run.columns for run in every):
        said.append(_truth(every))
    for label, mine in zip(labels, runs, strict=True):
        for seed, run in zip(plan.seeds, mine, strict=True):
            if run.diverged:
                said.append(
                    f"{label}: the run of seed {seed} diverged after round {run.rounds[-1]} and "
                    "counts in no mean."
                )
    return said


def _truth(runs: list[Scores]) -> str:
    """What groups are compared with, in a sentence."""
    known = [run.summary.get("true_clusters") for run in runs]
    found = [one for one in known if isinstance(one, dict)]
    against = "true clusters"
    if found and all(one.get("planted") for one in found):
        against = "planted clusters"
    elif found:
        counts = sorted({int(one.get("count", 0)) for one in found})
        span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        against = f"sets of labels that clients have, of which there are {span}"
    return f"Rand index: adjusted, of the lowest groups and the {against}."
