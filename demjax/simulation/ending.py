"""How a run can end before its last round: stopped by hand, or gone where no number is finite."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from demjax.backend.processes import largest_of_all
from demjax.backend.signals import terminate
from demjax.simulation.history import Moment

HUGE_LOSS = 1e6
"""A mean training loss above which nothing is learned any more."""


MEANT = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: terminate}
"""The signals that end a run, where they mean what they do in the command line."""


@dataclass
class Stop:
    """Whether a run was asked to end, and by what.

    Attributes:
        signals: What this process was sent.
        heard: The signal that a run of several processes ends by, as they found together; 0, none.
    """

    signals: list[int] = field(default_factory=list)
    heard: int = 0

    def after_round(self) -> bool:
        """Whether the run ends here; several processes all ask after the same rounds.

        One that ended by itself would leave the others waiting for it.
        """
        own = max(self.signals, default=0)
        self.heard = own if jax.process_count() == 1 else largest_of_all(own)
        return bool(self.heard)

    def __call__(self) -> bool:
        """Whether it was asked to end at all."""
        return bool(self.heard or (self.signals and jax.process_count() == 1))

    def terminated(self) -> bool:
        """Whether it was SIGTERM, as of a scheduler."""
        return signal.SIGTERM in (self.heard, *self.signals)


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Take note of the first Ctrl-C or SIGTERM, so that a run ends in order; the next is as ever.

    Where Ctrl-C means something else than Python's own interruption, it goes on meaning that, and
    SIGTERM wherever it is not that of the command line.

    Yields:
        Whether there was one.
    """
    stop = Stop()
    ever = {number: meant for number, meant in MEANT.items() if signal.getsignal(number) is meant}
    if threading.current_thread() is not threading.main_thread():
        ever = {}

    def note(number: int, frame: object) -> None:
        stop.signals.append(number)
        as_ever()

    def as_ever() -> None:
        for number, meant in ever.items():
            signal.signal(number, meant)

    for number in ever:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        as_ever()


def undisturbed() -> None:
    """Let no further Ctrl-C end the process, nor SIGTERM where it is the command line's."""
    for number, meant in MEANT.items():
        if number == signal.SIGINT or signal.getsignal(number) is meant:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def whole() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until everything about a measurement is written."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in MEANT}
        before = {number: one for number, one in handlers.items() if callable(one)}
    pressed: list[Any] = []
    for number in before:
        signal.signal(number, lambda *about: pressed.append(about))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if pressed:
        before[pressed[0][0]](*pressed[0])


def divergence(moment: Moment, clients: int) -> str:
    """A sentence if a moment's models or losses show that the run has diverged, else nothing.

    Args:
        moment: A moment that was measured.
        clients: Number of clients.
    """
    lost = int(getattr(moment.measures, "diverged", 0))
    if lost:
        return (
            f"The run diverged: after round {moment.round} the models of {lost} of {clients} "
            "clients are not finite."
        )
    loss = getattr(moment.info, "loss", None)
    if loss is None or not moment.round:
        return ""
    huge = int(np.sum(np.asarray(loss) > HUGE_LOSS))  # without a program of several processes
    if not huge:
        return ""
    return (
        f"The run diverges: in round {moment.round} the training loss of {huge} of {clients} "
        f"clients is above {HUGE_LOSS:.0e}; possible is a smaller learning rate."
    )
