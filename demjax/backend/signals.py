"""SIGTERM as an interruption of its own, by which schedulers end a run."""

from types import FrameType
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """The process was asked to end, as by a scheduler."""


def terminate(number: int, frame: FrameType | None) -> NoReturn:
    """What SIGTERM does in the command line: interrupt, and say that it was this."""
    raise Terminated
