"""Flags of a run over several processes, and how such a run ends."""

import argparse
import io
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from demjax.backend.processes import SHOWN, Together, together
from demjax.runs.exits import FAILED, say


def add_flags(run: argparse.ArgumentParser) -> None:
    """The flags that say where the other processes are."""
    run.add_argument(
        "--distributed",
        action="store_true",
        help="join the other processes of this job: Slurm's, Open MPI's, a TPU pod's",
    )
    run.add_argument(
        "--coordinator", metavar="HOST:PORT", help="where process 0 is, without such a job"
    )
    run.add_argument("--processes", type=int, metavar="N", help="how many there are then")
    run.add_argument("--process-id", type=int, metavar="I", help="which this one is, from 0")


def asked_for(parsed: argparse.Namespace) -> AbstractContextManager[Together | None]:
    """The processes of a run, if it has more than this one; nothing is joined yet.

    Raises:
        ValueError: If flags are missing or do not go together.
    """
    coordinator, count, number = parsed.coordinator, parsed.processes, parsed.process_id
    if coordinator is None:
        for flag, value in (("--processes", count), ("--process-id", number)):
            if value is not None:
                raise ValueError(f"The option {flag} needs --coordinator HOST:PORT beside it.")
        return together() if parsed.distributed else nullcontext()
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
        raise ValueError(
            f"--coordinator was given as {coordinator!r}; possible is the host and a free port of "
            "process 0, such as 10.0.0.1:12345."
        )
    if count is None or number is None:
        missing = "--processes N" if count is None else "--process-id I"
        raise ValueError(f"--coordinator needs {missing} beside it.")
    if count < 2 or not 0 <= number < count:
        raise ValueError(
            f"--processes was given as {count} and --process-id as {number}; possible are 2 or "
            "more processes, numbered from 0."
        )
    return together(coordinator, count, number)


def ended_in_order(run: Callable[[], int], seen: Together | None) -> int:
    """What a run gives, or, where it failed because another process died, a sentence of that."""
    if seen is None:
        return run()
    try:
        seen.code = run()
        return seen.code
    except Exception:
        sentence = seen.sentence(SHOWN)
        if not sentence:
            raise
        return say(sentence, FAILED)


def nowhere() -> io.StringIO:
    """A stream for what processes show that are not the first."""
    return io.StringIO()
