"""Follows a run, shows it, and writes it down as it happens, however it ends."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import jax

from demjax.backend.compilation import Outcome
from demjax.backend.processes import SHOWN, Together
from demjax.experiment.experiment import Experiment
from demjax.metrics import MEASURES
from demjax.metrics.selection import CLIENT
from demjax.registry.user_files import place_of
from demjax.runs import beside
from demjax.runs import folder as run_folder
from demjax.runs.comparison import table
from demjax.runs.environment import environment
from demjax.runs.exits import DONE, FAILED, INTERRUPTED, first_line, say
from demjax.runs.rows import clients_rows, dendrogram_rows, metrics_row
from demjax.runs.tensorboard import Row
from demjax.simulation.ending import divergence
from demjax.simulation.history import Moment
from demjax.simulation.progress import Progress


@contextmanager
def whole() -> Iterator[None]:
    """Let Ctrl-C wait until everything about a measurement is written."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[Any] = []
    signal.signal(signal.SIGINT, lambda *about: pressed.append(about))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        before(*pressed[0])


class Ending(NamedTuple):
    """How a run ended: its status, the exit code, and what to say of it, if anything."""

    status: str = "done"
    code: int = DONE
    sentence: str = ""


@dataclass
class Recorder:
    """Writes a run down as it happens: the one place of the command line that keeps state.

    Attributes:
        out: The run's folder.
        resolved: Its options.
        parameters: How many numbers a model has.
        also: What else each row of ``metrics.csv`` goes to.
        compile_cache: Whether the run's programs were found in a cache, of ``compile_once``.
        measures: What is measured, for the summary. Without ``"client"``, nothing is written of
            single clients but the groups of those that have some.
        score: What the task's score is called.
        labels: What each label stands for, by number.
        facts: What else the summary says.
        clients: How many clients there are, which the data may decide.
        progress: Where ``watch`` shows the run, which ends here before anything else is said; by
            default it is shown from here.
        stop: Whether the run was stopped by hand, of ``interruptible``.
        told: Whether its last measures are printed when it has ended.
        together: The processes of the run, of which the first writes; ``None`` for one process.
        organized: How often clients had grouped themselves when their dendrogram was last written.
    """

    out: Path
    resolved: Experiment
    parameters: int | None = None
    also: Callable[[Row], None] = lambda row: None
    _: KW_ONLY
    compile_cache: Outcome = "off"
    measures: Sequence[str] = MEASURES
    score: str = "accuracy"
    labels: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    clients: int | None = None
    progress: Progress | None = None
    stop: Callable[[], bool] = lambda: False
    together: Together | None = None
    told: bool = True
    organized: int = field(default=0, init=False)
    warned: str = field(default="", init=False)  # of losses that diverge, models still finite
    rows: list[dict[str, Any]] = field(default_factory=list, init=False)
    round_seconds: list[float] = field(default_factory=list, init=False)
    measure_seconds: list[float] = field(default_factory=list, init=False)
    compile_seconds: float = field(default=0.0, init=False)

    def record(self, moments: Iterator[Moment]) -> int:
        """Follow a run to its end, its failure or its interruption."""
        begin = time.perf_counter()
        progress = self.progress or Progress(self.resolved.rounds)
        try:
            with progress:
                shown = moments if self.progress else progress.follow(moments)
                ending = self._follow(shown, begin)
        except KeyboardInterrupt:
            if not self.rows and self.writes:
                run_folder.discard(self.out)
                sentence = "Interrupted before anything was measured; nothing is kept."
                return say(sentence, INTERRUPTED)
            ending = self._interrupted()
        except Exception as error:  # whatever it is, what was measured gets its summary
            if isinstance(error, OSError) and not self.rows and self.writes:
                run_folder.discard(self.out)
                return say(self._reason(error), FAILED)
            ending = Ending("failed", FAILED, self._reason(error))
        if not self.writes:  # the one that writes says how it ended, if it did
            failed = ending.status == "failed"
            return say(ending.sentence, ending.code) if failed else ending.code
        try:
            self._summarize(ending.status, time.perf_counter() - begin + self.compile_seconds)
        except OSError as error:
            sentence = ending.sentence or f"The summary cannot be written: {error.strerror}."
            ending = Ending(ending.status, FAILED, sentence)
        if self.warned:
            say(self.warned, ending.code)
        if self.rows and self.told:
            print(table([(str(self.out), self.rows[-1], ending.status)]))
            for line in beside.lines(self.rows[-1], self.facts):
                print(line)
        return say(ending.sentence, ending.code) if ending.sentence else ending.code

    def _follow(self, moments: Iterator[Moment], begin: float) -> Ending:
        """Write every measurement down until the run ends or diverges."""
        for moment in moments:
            self.compile_seconds = moment.compile_seconds
            if moment.round > 0:
                self.round_seconds.append(moment.round_seconds)
            if moment.measures is None:
                continue
            self.measure_seconds.append(moment.measure_seconds)
            found = divergence(moment, self.clients or self.resolved.clients)
            if int(moment.measures.diverged):
                sentence = f"{found.rstrip('.')}; what was measured before is kept in {self.out}."
                return Ending("diverged", FAILED, sentence)
            self.warned = self.warned or found
            seconds = time.perf_counter() - begin
            with whole():
                if self.writes:
                    self._keep(moment, seconds)
        stopped = self.stop() and len(self.round_seconds) < self.resolved.rounds
        return self._interrupted() if stopped else Ending()

    def _interrupted(self) -> Ending:
        # Another Ctrl-C shall not keep the summary from being written.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        done = len(self.round_seconds)
        sentence = f"Interrupted after {done} rounds; what was measured is kept in {self.out}."
        return Ending("interrupted", INTERRUPTED, sentence)

    def _keep(self, moment: Moment, seconds: float) -> None:
        done, sent = moment.round, moment.model_bytes
        measures, info = jax.device_get((moment.measures, moment.info))
        row = metrics_row(done, measures, seconds, info, sent)
        made = measures.organization
        if made is not None and (merges := dendrogram_rows(done, made, self.organized)):
            run_folder.append(self.out / run_folder.DENDROGRAMS, merges)
            self.organized = int(made.times)
        if CLIENT in self.measures or len(measures.hierarchy.groups) > 1:
            clients = clients_rows(done, measures, info)
            run_folder.append(self.out / run_folder.CLIENTS, clients)
        run_folder.append(self.out / run_folder.METRICS, [row])
        self.rows.append(row)
        self.also(row)

    @property
    def writes(self) -> bool:
        """Whether this process writes the run down."""
        return self.together is None or self.together.writes

    def _reason(self, error: Exception) -> str:
        if self.together is not None and (died := self.together.sentence(SHOWN)):
            return died
        if isinstance(error, OSError):
            return f"The run stopped because {self.out} cannot be written: {error.strerror}."
        if isinstance(error, jax.errors.JaxRuntimeError):
            return f"The run failed on the device: {first_line(error)}"
        return f"The run failed{place_of(error)} ({type(error).__name__}): {first_line(error)}"

    def _summarize(self, status: str, seconds: float) -> None:
        summary = {
            "status": status,
            "algorithm": self.resolved.algorithm,
            "clients": self.clients or self.resolved.clients,
            "parameters": self.parameters,
            "measures": list(self.measures),
            "score": self.score,
            "labels": list(self.labels),
            **self.facts,
            "rounds_done": len(self.round_seconds),
            "final": self.rows[-1] if self.rows else None,
            "compile_seconds": self.compile_seconds,
            "compile_cache": self.compile_cache,
            "round_seconds": median(self.round_seconds) if self.round_seconds else None,
            "measure_seconds": median(self.measure_seconds) if self.measure_seconds else None,
            "total_seconds": seconds,
            **environment(),
        }
        run_folder.write_summary(self.out, summary)
