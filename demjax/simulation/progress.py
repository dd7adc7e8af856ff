"""What a run is doing, shown while it does it: rounds done, rounds a second, time left.

On a terminal one line that is drawn anew every second; in a log a line now and then. A thread of
its own draws, so that the line moves also during a long round and while programs are compiled,
and a round only notes that it is done.
"""

import io
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TextIO

from demjax.backend.plain_letters import in_letters_of
from demjax.simulation.history import Moment
from demjax.simulation.progress_lines import Shown, bar, scores, sentence


class Progress:
    """Shows the progress of one run; ``with Progress(rounds) as progress`` also ends it.

    Args:
        rounds: Rounds of the run, at least 1.
        stream: Where to show it; by default the standard error stream.
        terminal: Whether that is a terminal; by default asked of it.
        clock: Seconds that go by.
        every: Seconds between two looks at the clock by the thread that draws; ``None`` for no
            thread, where ``draw`` is called by hand.
    """

    def __init__(
        self,
        rounds: int,
        *,
        stream: TextIO | None = None,
        terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        every: float | None = 1.0,
    ):
        self.stream = stream or sys.stderr or io.StringIO()  # there may be no standard error
        self.terminal = self.stream.isatty() if terminal is None else terminal
        self.clock = clock
        self.shown = Shown(rounds, since=clock())
        self.created = self.told = clock()
        self._status: Callable[[str], None] | None = None
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread = None
        if every is not None:
            self._thread = threading.Thread(target=self._draw_every, args=(every,), daemon=True)
            self._thread.start()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self, doing: str) -> None:
        """Say what goes on from now on, beside rounds: ``"compiling round"``."""
        self.shown = self.shown._replace(doing=doing, since=self.clock())

    def rename(self, doing: str) -> None:
        """Say what is left of what goes on."""
        self.shown = self.shown._replace(doing=doing)

    def done(self, number: int, scores: Mapping[str, float] | None = None) -> None:
        """Say that a round is done, and what was measured after it, if anything.

        Args:
            number: Rounds done.
            scores: The measures by the names to show.
        """
        shown = self.shown
        if shown.begun is None:
            shown = shown._replace(first=number, begun=self.clock())
        self.shown = shown._replace(done=number, doing="", scores=scores or shown.scores)
        if scores is not None and not self.terminal:
            self._tell(measured=True)

    def say(self, line: str) -> None:
        """Write a line of its own, above what is drawn."""
        with self._lock:
            if self._status is not None:
                self._show("")
                self._write("\r")
            self._write(f"{line}\n")

    def follow(self, moments: Iterator[Moment], score: str = "accuracy") -> Iterator[Moment]:
        """Pass the moments of a run on, and show how far it is; ``score`` is the task's."""
        for moment in moments:
            taken = moment.measures is not None
            self.done(moment.round, scores(moment.measures, score) if taken else None)
            yield moment

    def draw(self) -> None:
        """Draw the line anew; in a log only if nothing was told for a while."""
        if not self.terminal:
            self._tell(measured=False)
            return
        with self._lock:
            if self._status is None:
                from tqdm import tqdm  # here: importing it takes longer than the rest

                self._status = tqdm.status_printer(self.stream)
            width = shutil.get_terminal_size().columns
            self._show(bar(self.shown, self.clock(), width))

    def close(self) -> None:
        """Stop drawing, and leave the line as it is; closing twice does nothing."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self.terminal and (self._status is not None or self.shown.begun is not None):
            self.draw()
            self._write("\n")

    def _draw_every(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            self.draw()

    def _tell(self, *, measured: bool) -> None:
        """Write a line to the log, unless the last one is too recent."""
        with self._lock:
            now, shown = self.clock(), self.shown
            ends = measured and shown.done in (shown.first, shown.rounds)
            if not ends and now - self.told < pause(now - self.created, measured=measured):
                return
            self.told = now
            self._write(f"{sentence(shown, now)}\n")

    def _write(self, text: str) -> None:
        """Write in letters that the stream has; a log that is full or gone stops no run."""
        with suppress(OSError):
            self.stream.write(in_letters_of(text, self.stream))
            self.stream.flush()

    def _show(self, line: str) -> None:
        """Draw a line over the one before, likewise."""
        with suppress(OSError):
            assert self._status is not None
            self._status(in_letters_of(line, self.stream))


def pause(elapsed: float, *, measured: bool) -> float:
    """Seconds between two lines of a log, more of them the longer a run has taken.

    Args:
        elapsed: Seconds so far.
        measured: Whether the line tells of a measurement: a second to a minute, else ten seconds
            to ten minutes.
    """
    if measured:
        return min(max(1.0, elapsed / 50), 60.0)
    return min(max(10.0, elapsed / 20), 600.0)
