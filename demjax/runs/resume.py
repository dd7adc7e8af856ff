"""A run that is resumed in its folder: from which checkpoint, and what is cut off behind it."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from demjax.backend.file_digests import write_whole
from demjax.runs import folder as run_folder
from demjax.runs.environment import settings
from demjax.runs.reuse import ended
from demjax.simulation.checkpoint import Checkpoint, newest, said_last
from demjax.simulation.programs import Programs
from demjax.simulation.rounds import Resumed

ASKED = "asked.json"
"""The file among a run's checkpoints that says how often it is saved."""
LARGEST_ASKED = 2**12
"""Bytes that it may have."""


class Before(NamedTuple):
    """What a run knew when its state was saved.

    Attributes:
        point: The state, and what the run goes on from.
        round_seconds: What each round took.
        measure_seconds: What each measurement took.
        seconds: Seconds since the run began, compiling left out.
        organized: How often clients had grouped themselves when their dendrogram was last written,
            before the state was saved and after what was measured then was written down.
    """

    point: Resumed
    round_seconds: list[float]
    measure_seconds: list[float]
    seconds: float
    organized: tuple[int, int]

    def without_state(self) -> "Before":
        """The same without arrays as large as the models."""
        return self._replace(point=self.point._replace(state=None, info=None))


def state_at(
    round_seconds: ArrayLike,
    measure_seconds: ArrayLike,
    seconds: float = 0.0,
    organized: tuple[int, int] = (0, 0),
) -> dict[str, Float[np.ndarray, " n"]]:
    """What is saved beside a run's state, by the names of ``Before``."""
    return {
        "round_seconds": np.asarray(round_seconds, np.float64),
        "measure_seconds": np.asarray(measure_seconds, np.float64),
        "other": np.array([seconds, *organized], np.float64),
    }


def read(point: Checkpoint, compiled: Programs) -> Before:
    """What a checkpoint holds.

    Raises:
        ValueError: If it is of another run.
    """
    measured = point.about.get("measured")
    if not isinstance(measured, int) or not 0 <= measured <= point.round:
        raise ValueError(f"The checkpoint {point.arrays} is not of a run of demjax run.")
    shapes = state_at(np.zeros(point.round), np.zeros(measured))
    found = point.read(state=compiled.state, info=compiled.info, beside=shapes)
    beside = found["beside"]
    return Before(
        point=Resumed(point.round, found["state"], found["info"]),
        round_seconds=beside["round_seconds"].tolist(),
        measure_seconds=beside["measure_seconds"].tolist(),
        seconds=float(beside["other"][0]),
        organized=(int(beside["other"][1]), int(beside["other"][2])),
    )


def checkpoint_of(out: Path, rounds: int) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint that a run in a folder goes on from, and what is to be said of it.

    Raises:
        ValueError: If the run has ended, and has no checkpoint to go on from to a later round, or
            a file of it is a link, through which it would write elsewhere.
    """
    links = [out / name for name in run_folder.OWN if (out / name).is_symlink()]
    if links:
        raise ValueError(
            f"{links[0]} is a link, through which the run would write elsewhere; possible is the "
            "file itself in its place."
        )
    point, said = newest(out / run_folder.CHECKPOINTS)
    if point is None and ended(out):
        raise ValueError(
            f"The run in {out} has ended and kept no checkpoint to go on from; possible is a new "
            f"run of {rounds} rounds into another folder."
        )
    if point is None:
        said.append(f"{out} holds no whole checkpoint, so that its run begins anew.")
        return None, said
    now, before = settings(), point.about.get("settings")
    if isinstance(before, dict):
        other = [
            f"{name} is {now[name]!r} and was {before[name]!r}"
            for name in now
            if name in before and now[name] != before[name]
        ]
        if other:
            said.append(f"Settings differ from before: {'; '.join(other)}.")
    return point, said


def cut_back(out: Path, number: int, measured: Sequence[int]) -> None:
    """Cut off what a run wrote of a round and those after it, and how it ended.

    Args:
        out: The run's folder.
        number: The round.
        measured: The rounds before it that must have been measured.

    Raises:
        ValueError: If a row of these is missing; nothing is changed then.
        OSError: If a file cannot be changed.
    """
    tables = (run_folder.METRICS, run_folder.CLIENTS, run_folder.DENDROGRAMS)
    ends = {name: _end_of(out / name, number) for name in tables}
    rounds = ends[run_folder.METRICS][1]
    missing = [done for done in measured if done not in rounds]
    if missing:
        raise ValueError(
            f"{out / run_folder.METRICS} lacks the row of round {missing[0]}, which it had when "
            f"the checkpoint after round {number} was saved; possible is a new run."
        )
    (out / run_folder.SUMMARY).unlink(missing_ok=True)
    for name, (end, kept) in ends.items():
        if not kept:
            (out / name).unlink(missing_ok=True)
        elif end < (out / name).stat().st_size:
            os.truncate(out / name, end)


def holds_row(out: Path, number: int) -> bool:
    """Whether all is written of what was measured after a round; its row is written last."""
    return number in _end_of(out / run_folder.METRICS, number + 1)[1]


def _end_of(path: Path, number: int) -> tuple[int, set[int]]:
    """Where the rows of earlier rounds end in a table, and which rounds these are.

    A row that is torn, as by a loss of power, ends them, too.
    """
    end = 0
    rounds: set[int] = set()
    if not path.is_file():
        return end, rounds
    with path.open("rb") as file:
        for place, line in enumerate(file):
            first = line.partition(b",")[0]
            if place and not (line.endswith(b"\n") and first.isdigit() and int(first) < number):
                break
            end += len(line)
            if place:
                rounds.add(int(first))
    return end, rounds


def write_asked(out: Path, **asked: int | None) -> None:
    """Write down how often a run is saved, for whoever resumes it before it was."""
    (out / run_folder.CHECKPOINTS).mkdir(exist_ok=True)
    write_whole(out / run_folder.CHECKPOINTS / ASKED, json.dumps(asked) + "\n")


def asked_before(out: Path) -> dict[str, int]:
    """How often the run in a folder was saved, and on how many devices and processes it was."""
    path = out / run_folder.CHECKPOINTS / ASKED
    said: Any = said_last(out / run_folder.CHECKPOINTS)
    with suppress(OSError, ValueError, RecursionError):
        if path.stat().st_size < LARGEST_ASKED:
            said = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(said, dict):
        return {}
    return {name: value for name, value in said.items() if type(value) is int and value > 0}


def rounds_left_to(out: Path, asked: int) -> str:
    """A sentence where nothing is left of the run in a folder; else nothing.

    Args:
        out: The run's folder.
        asked: Rounds of the run.
    """
    if not ended(out):
        return ""
    summary = run_folder.read_summary(out)
    done = summary.get("rounds_done")
    if summary["status"] == "diverged":
        return f"The run in {out} has diverged, and would do so again; nothing is left to do."
    if not isinstance(done, int) or asked > done:
        return ""
    return f"The run in {out} is done after {done} rounds; more are possible by --rounds N."
