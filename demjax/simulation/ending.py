"""How a run can end before its last round: stopped by hand, or gone where no number is finite."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from demjax.simulation.history import Moment

HUGE_LOSS = 1e6
"""A mean training loss above which nothing is learned any more."""


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Take note of the first Ctrl-C, so that a run can end in order; the next one is as ever.

    Where Ctrl-C means something else than Python's own interruption, it goes on meaning that.

    Yields:
        Whether there was one.
    """
    pressed: list[int] = []
    ever = signal.default_int_handler
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not ever:
        yield lambda: False
        return

    def note(number: int, frame: object) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, ever)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, ever)


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
