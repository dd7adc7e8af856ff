"""Systems compared in one call: what is missing is run, what is there is taken as it is."""

import io
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from demjax.backend.signals import Terminated
from demjax.data.sources.cache import default_folder
from demjax.experiment import build
from demjax.experiment.config import read_preset, read_toml
from demjax.experiment.experiment import settled
from demjax.experiment.grids import VALIDATION
from demjax.experiment.load_data import load, partitioned
from demjax.experiment.overriding import override
from demjax.experiment.systems import specified, word_read
from demjax.runs.carry_out import carry_out
from demjax.runs.compared import Comparison, compared
from demjax.runs.comparison_plan import Job, Plan
from demjax.runs.exits import DONE, FAILED, INTERRUPTED, TERMINATED
from demjax.runs.planning import planned, tuned
from demjax.runs.reuse import ended, state_of
from demjax.simulation.ending import MEANT


class RunFailedError(RuntimeError):
    """A run of a comparison failed, and with it the comparison."""


def compare(
    algorithms: str | Sequence[str | tuple[str, Mapping[str, Any]]],
    *,
    seeds: Sequence[int] = (0,),
    out: str | Path | None = None,
    by: str = "c_spe",
    grid: Mapping[str, Sequence[Any]] | None = None,
    validation: float = VALIDATION,
    preset: str | None = None,
    config: str | Path | None = None,
    progress: bool = True,
    checkpoint_every: int | None = None,
    **options: Any,
) -> Comparison:
    """Run systems under several seeds, and compare them.

        found = demjax.compare(
            "fedavg,fedavg:mix=0.6,ditto", seeds=(0, 1, 2), out="runs/d", model="mlp", rounds=20
        )
        found.measures["c_gen"].mean(axis=1)  # of each system, over rounds
        pandas.DataFrame(found.table)

    Args:
        algorithms: Systems by name, each with options of its own: in words as above, or a sequence
            of words and of pairs such as ``("fedavg", {"mix": 0.6})``.
        seeds: Seeds that each is run with, at least one.
        out: Folder of the runs. Those of the same options that are in it are not run again. By
            default they are kept nowhere.
        by: The measure that picks the best round of a run, and the values of the grid: ``"c_spe"``,
            ``"c_spe_by_client"``, ``"c_gen"`` or ``"global"``.
        grid: Values to try by option, for the systems that take it and were given none. They are
            tried with the first seed, on validation examples; the one whose measure is greatest
            after the last round is then run on all training examples.
        validation: Share of each client's training examples that is held out for that.
        preset: Name of options that go together.
        config: TOML file of options, which win over the preset.
        progress: Whether to show how far each run is.
        checkpoint_every: Rounds between two checkpoints of a run, from which the same call goes on
            with it; by default there is one where it is stopped by Ctrl-C.
        **options: Those of ``demjax run``, which win over both. Each system gets those it takes.

    Returns:
        What was measured, as arrays and as tables.

    Raises:
        ValueError: One sentence, before anything is run or written: what was given and what is
            possible.
        RunFailedError: A run failed.
        KeyboardInterrupt: On Ctrl-C; what was measured is kept in ``out``.
    """
    filed = read_preset(preset) if preset is not None else {}
    filed = override(filed, read_toml(Path(config))) if config is not None else filed
    pieces = [algorithms] if isinstance(algorithms, str) else list(algorithms)
    wanted: list[tuple[str, Mapping[str, Any]]] = []
    for one in pieces:
        wanted += specified(one) if isinstance(one, str) else [(one[0], dict(one[1]))]

    def read(option: Any, value: Any) -> Any:
        return word_read(option, value) if isinstance(value, str) else value

    with _folder(out) as there:
        plan = planned(
            wanted,
            seeds=tuple(seeds),
            out=there,
            filed=filed,
            given=options,
            by=by,
            grid=grid or {},
            validation=validation,
            read=read,
        )
        stream = None if progress else io.StringIO()
        plan, code = carried_out(plan, stream=stream, every=checkpoint_every)
        if code in (INTERRUPTED, TERMINATED):
            raise KeyboardInterrupt(f"The comparison was interrupted; {how_far(plan)}")
        if code == FAILED:
            raise RunFailedError(f"A run of the comparison failed; {how_far(plan)}")
        return compared(plan)


def check(plan: Plan) -> None:
    """Refuse what only the data, or a factory, can tell of, before anything is run.

    Raises:
        ValueError: What a run would say.
    """
    first, *others = [
        job.experiment for job in plan.possible if job.experiment.seed == plan.seeds[0]
    ]
    built = build.build(first)
    for experiment in others:
        count = built.clients.n_clients
        build.algorithm_for(experiment, built.task, built.true_clusters, count)


def carried_out(
    plan: Plan,
    *,
    cached: bool = True,
    stream: TextIO | None = None,
    every: int | None = None,
    keep: int | None = None,
) -> tuple[Plan, int]:
    """Run what is missing of a comparison, first what is tuned.

    Args:
        plan: Of ``planned``.
        cached: Whether programs are kept between runs, so that those of seeds are compiled once
            where they are the same.
        stream: Where progress is shown; by default the standard error stream.
        every: Rounds between two checkpoints, as in ``carry_out``.
        keep: How many of them are kept.

    Returns:
        The plan with the values that were chosen, and the exit code of what ended it.

    Raises:
        ValueError: What a run says of wrong arguments or data.
    """
    if not all(ended(job.out) for job in (*plan.tuning, *plan.jobs)):
        check(plan)
    plan.write()
    kept = default_folder() if cached else None
    count, before = len(plan.tuning) + len(plan.jobs), len(plan.tuning)
    programs = kept and kept / "programs"
    same: dict[str, Any] = {"kept": programs, "stream": stream, "every": every, "keep": keep}
    with _ctrl_c_as_before():
        for number, job in enumerate(plan.tuning, 1):
            if (code := _run(job, f"{number} of {count}", **same)) != DONE:
                return plan, code
        plan = tuned(plan)
        widths = _widths(plan) if kept and not all(ended(job.out) for job in plan.jobs) else None
        for number, job in enumerate(plan.jobs, before + 1):
            if (code := _run(job, f"{number} of {count}", widths=widths, **same)) != DONE:
                return plan, code
    return plan, DONE


def how_far(plan: Plan) -> str:
    """How many runs are done, in words."""
    jobs = [*plan.tuning, *plan.jobs]
    done = sum(ended(job.out) for job in jobs)
    return (
        f"{done} of {len(jobs)} runs are done and kept in {plan.out}, and the same command goes on "
        "with the others."
    )


def _widths(plan: Plan) -> tuple[int, int] | None:
    """The widest rows of training and test examples of any seed, which all share; of one, none."""
    if len(plan.seeds) == 1:
        return None
    sizes = []
    for job in plan.of_system(0):  # all systems share the data
        dataset = load(job.experiment)
        asked = settled(job.experiment, owners=dataset.owner is not None)
        parts = partitioned(asked, dataset).partition
        sizes.append([max(map(len, rows)) for rows in parts])
    return max(train for train, _ in sizes), max(test for _, test in sizes)


def _run(job: Job, number: str, **options: Any) -> int:
    """Run a job unless it has been, or go on with it; its exit code, where diverging is an end."""
    state = state_of(job.out, job.experiment)
    if state == "whole":
        return DONE
    options |= {"heading": f"run {number}: {job.label}", "alone": False}
    try:
        code = carry_out(job.experiment, job.out, resume=state == "half", **options)
    except Terminated:
        return TERMINATED
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE if code == FAILED and ended(job.out) else code


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    """The folder of a comparison, or one that goes with it."""
    if out is not None:
        yield Path(out)
        return
    with tempfile.TemporaryDirectory(prefix="demjax-") as folder:
        yield Path(folder) / "comparison"


@contextmanager
def _ctrl_c_as_before() -> Iterator[None]:
    """Let Ctrl-C mean afterwards what it meant: a run that was interrupted ignores further ones."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in MEANT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
