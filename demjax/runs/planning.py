"""Plans comparisons: refuses what cannot be run, and chooses what is tuned once it was tried."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from demjax.experiment.experiment import resolve
from demjax.experiment.grids import VALIDATION, check_grid, combinations
from demjax.experiment.overriding import override
from demjax.experiment.systems import Read, System, in_words, systems
from demjax.registry import nearest
from demjax.runs.comparison_plan import Job, Plan, Trial, check_goes_on
from demjax.runs.new_files import check_folder
from demjax.runs.reuse import TUNING, by_options, found_in, state_of
from demjax.runs.scores import BY, MEASURES, scores_of


def planned(
    wanted: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    seeds: Sequence[int],
    out: Path,
    filed: Mapping[str, Any],
    given: Mapping[str, Any],
    by: str = BY[0],
    grid: Mapping[str, Sequence[Any]] | None = None,
    validation: float = VALIDATION,
    read: Read = lambda option, value: value,
) -> Plan:
    """Plan a comparison, and refuse what cannot be run; nothing is written.

    Args:
        wanted: The systems, each with options of its own.
        seeds: The seeds.
        out: The comparison's folder.
        filed: Options of a file or a preset.
        given: Options for all systems that take them.
        by: The measure that picks rounds and values.
        grid: Values to try, by option.
        validation: Share of the training examples that is held out for these.
        read: Makes values of what was given.

    Raises:
        ValueError: One sentence: what was given and what is possible, or what differs from the
            comparison, or the run, that is there.
    """
    grid = dict(grid or {})
    _check(seeds, by, validation, given)
    several, notes = systems(wanted, filed, given, read)
    check_grid(grid, several)
    check_folder(out)
    trials, possible = [], []
    there = by_options(out)
    for place, system in enumerate(several):
        tried = combinations(system, grid, read)
        for chosen in tried:
            job = _trial_job(out, system, chosen, seeds[0], validation)
            trials.append(Trial(place, chosen, job))
        for one in [system.with_options(chosen) for chosen in tried] or [system]:
            possible += _jobs(out, one, seeds, there)
    _check_apart(several, seeds)
    untuned = [job for one in several for job in _jobs(out, one, seeds, there)]
    plan = Plan(
        systems=tuple(several),
        seeds=tuple(seeds),
        out=out,
        by=by,
        grid=grid,
        validation=validation,
        trials=tuple(trials),
        jobs=tuple(untuned),
        possible=tuple(possible),
        notes=tuple(notes),
    )
    check_goes_on(plan)
    for job in (*plan.tuning, *plan.possible):
        state_of(job.out, job.experiment)
    return plan


def tuned(plan: Plan) -> Plan:
    """The plan with the values whose measure on validation examples is greatest, once tried.

    Of equals the first counts; a trial that diverged or was not measured does not.
    """
    there = by_options(plan.out)
    several, notes, jobs = list(plan.systems), list(plan.notes), []
    for place, system in enumerate(plan.systems):
        mine = [trial for trial in plan.trials if trial.system == place]
        if mine:
            values = [value_of(trial, plan.by) for trial in mine]
            if np.isnan(values).all():
                raise ValueError(
                    f"Nothing of the grid can be chosen for {system.label}: every trial diverged."
                )
            chosen = mine[int(np.nanargmax(values))].chosen
            several[place] = system.with_options(chosen)
            tried = "; ".join(in_words(trial.chosen) for trial in mine)
            notes.append(
                f"{system.label}: {in_words(chosen)} was chosen of {tried}, by "
                f"{MEASURES[plan.by]} after the last round on validation examples, "
                f"{plan.validation:g} of each client's training examples, with seed "
                f"{plan.seeds[0]}; test examples had no part in it."
            )
        jobs += _jobs(plan.out, several[place], plan.seeds, there)
    return plan._replace(systems=tuple(several), jobs=tuple(jobs), notes=tuple(notes))


def value_of(trial: Trial, by: str) -> float:
    """What a trial measured after its last round; NaN where it diverged."""
    found = scores_of(trial.job.out, by)
    return np.nan if found.diverged else found.last.get(by, np.nan)


def _jobs(out: Path, system: System, seeds: Sequence[int], there: Mapping[str, Path]) -> list[Job]:
    found = []
    for seed in seeds:
        experiment = resolve({**system.options, "seed": seed})
        folder = found_in(there, experiment) or out / system.folder / f"seed-{seed}"
        found.append(Job(f"{system.label}, seed {seed}", experiment, folder))
    return found


def _trial_job(
    out: Path, system: System, chosen: Mapping[str, Any], seed: int, validation: float
) -> Job:
    options = override(system.options, chosen)
    experiment = resolve({**options, "seed": seed, "validation": validation})
    name = system.with_options(chosen)
    return Job(
        f"{system.label}, {in_words(chosen)}, on validation examples",
        experiment,
        out / TUNING / name.folder / f"seed-{seed}",
    )


def _check(seeds: Sequence[int], by: str, validation: float, given: Mapping[str, Any]) -> None:
    if not seeds or len(set(seeds)) < len(seeds):
        listed = ",".join(map(str, seeds)) or "nothing"
        raise ValueError(
            f"--seeds was given as {listed}; possible are different whole numbers, at least one."
        )
    if by not in BY:
        raise ValueError(f"The measure {by!r} cannot pick the best; {nearest(by, BY)}.")
    if not 0 < validation < 1:
        raise ValueError(
            f"--validation can be a share above 0 and below 1, but {validation:g} was given."
        )
    for name, flag in (("algorithm", "--algorithms"), ("seed", "--seeds")):
        if name in given:
            raise ValueError(f"A comparison takes no --{name}; possible is {flag} with several.")


def _check_apart(several: Sequence[System], seeds: Sequence[int]) -> None:
    """Refuse two systems that are the same one, however they were given."""
    known: list[tuple[System, Any]] = []
    for one in several:
        values = resolve({**one.options, "seed": seeds[0]}).values
        same = next((other for other, own in known if own == values), None)
        if same is not None:
            raise ValueError(
                f"The systems {same.label!r} and {one.label!r} have the same options; once is "
                "enough."
            )
        known.append((one, values))
