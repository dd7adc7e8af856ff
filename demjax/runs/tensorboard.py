"""A run's measures as a TensorBoard event file, beside ``metrics.csv``."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demjax.runs.schema import MEASURED, STRUCTURE, extra_of

Row = Mapping[str, float | None]
"""A row of ``metrics.csv``."""

TREE = ("cophenetic", *(f"{name}_l" for name in STRUCTURE))
"""What columns about the tree begin with; all others but the time are about the round."""


@contextmanager
def event_file(out: Path, *, wanted: bool) -> Iterator[Callable[[Row], None]]:
    """A function that adds a row of ``metrics.csv`` to the event file of a run.

    The file is made with the first row, and whole after each.

    Args:
        out: The run's folder, which must exist when the first row comes.
        wanted: Whether there shall be such a file; otherwise rows are passed over.

    Raises:
        ValueError: If it is wanted, but tensorboardX is not installed.
    """
    if not wanted:
        yield lambda row: None
        return
    try:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2, summary_pb2
    except ImportError:
        raise ValueError(
            "--tensorboard needs tensorboardX, which is not installed; possible is pip install "
            "'demjax[tensorboard]', or a run without it."
        ) from None
    opened: list[Any] = []

    def add(row: Row) -> None:
        step = int(row["round"] or 0)
        if not opened:
            again = any(out.glob("events.out.tfevents.*"))
            opened.append(EventsWriter(str(out.absolute() / "events")))
            if again:  # of a run that goes on: TensorBoard forgets what it had from there
                start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
                opened[0].write_event(event_pb2.Event(step=step, session_log=start))
        values = [
            summary_pb2.Summary.Value(tag=tag(name), simple_value=value)
            for name, value in row.items()
            if name != "round" and value is not None
        ]
        summary = summary_pb2.Summary(value=values)
        event = event_pb2.Event(wall_time=time.time(), step=step, summary=summary)
        opened[0].write_event(event)
        opened[0].flush()

    try:
        yield add
    finally:
        for writer in opened:
            writer.close()


def tag(column: str) -> str:
    """What TensorBoard calls a column: ``measures/c_spe``, ``tree/groups_l1``, ``round/loss``."""
    if column == "seconds":
        return column
    if extra_of(column)[1].startswith(MEASURED):
        return f"measures/{column}"
    return f"{'tree' if column.startswith(TREE) else 'round'}/{column}"
