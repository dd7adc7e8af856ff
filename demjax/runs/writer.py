"""Follows a run, shows it, and writes it down as it happens, however it ends."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import jax

from demjax.backend.compilation import Outcome
from demjax.backend.processes import SHOWN, Together
from demjax.backend.signals import Terminated
from demjax.experiment.experiment import Experiment
from demjax.metrics import MEASURES
from demjax.metrics.selection import CLIENT
from demjax.registry.user_files import place_of
from demjax.runs import beside
from demjax.runs import folder as run_folder
from demjax.runs.comparison import table
from demjax.runs.environment import environment
from demjax.runs.exits import FAILED, INTERRUPTED, TERMINATED, Ending, first_line, say
from demjax.runs.resume import Before, state_at
from demjax.runs.rows import clients_rows, dendrogram_rows, metrics_row
from demjax.runs.tensorboard import Row
from demjax.runs.waiting_rows import WaitingRows
from demjax.simulation.ending import divergence, undisturbed, whole
from demjax.simulation.history import Moment
from demjax.simulation.progress import Progress
from demjax.simulation.saving import Saver


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
        terminated: Whether that was by SIGTERM.
        saver: Saves the run's state; ``None`` where nothing is saved.
        about: What is written with it, as JSON says it.
        before: What was known when the state was saved that the run goes on from, if it does.
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
    terminated: Callable[[], bool] = lambda: False
    saver: Saver | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    before: Before | None = None
    together: Together | None = None
    told: bool = True
    organized: int = field(default=0, init=False)
    tables: WaitingRows = field(default_factory=WaitingRows, init=False)
    lost: str = field(default="", init=False)  # why something could not be written
    warned: str = field(default="", init=False)  # of losses that diverge, models still finite
    rows: list[dict[str, Any]] = field(default_factory=list, init=False)
    round_seconds: list[float] = field(default_factory=list, init=False)
    measure_seconds: list[float] = field(default_factory=list, init=False)
    compile_seconds: float = field(default=0.0, init=False)

    def record(self, moments: Iterator[Moment]) -> int:
        """Follow a run to its end, its failure or its interruption."""
        begin = time.perf_counter()
        if self.before is not None:
            begin -= self.before.seconds
            self.organized = self.before.organized[self.before.point.measured]
            self.round_seconds = self.before.round_seconds[:]
            self.measure_seconds = self.before.measure_seconds[:]
        if self.progress is None:
            self.progress = Progress(self.resolved.rounds)
            moments = self.progress.follow(moments)
        try:
            with self.progress:
                ending = self._follow(moments, begin)
        except KeyboardInterrupt as error:
            ending = self._interrupted(isinstance(error, Terminated))
            if not self.rows and self.before is None and self.writes:
                run_folder.discard(self.out)
                return say(
                    "Interrupted before anything was measured; nothing is kept.", ending.code
                )
        except Exception as error:  # whatever it is, what was measured gets its summary
            nothing = len(self.rows) < 2 and self.before is None
            if isinstance(error, OSError) and nothing and self.writes:
                run_folder.discard(self.out)
                return say(self._reason(error), FAILED)
            ending = Ending("failed", FAILED, self._reason(error))
        if not self.writes:  # the one that writes says how it ended, if it did
            failed = ending.status == "failed"
            return say(ending.sentence, ending.code) if failed else ending.code
        ending = self._with_what_is_lost(ending)
        try:
            self._summarize(ending.status, time.perf_counter() - begin + self.compile_seconds)
        except OSError as error:
            sentence = f"The summary cannot be written: {error.strerror}." * (not self.lost)
            ending = Ending(ending.status, FAILED, ending.sentence or sentence)
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
            if moment.round > (self.before.point.round if self.before else 0):
                self.round_seconds.append(moment.round_seconds)
            if moment.measures is not None:
                found = divergence(moment, self.clients or self.resolved.clients)
                if int(moment.measures.diverged):
                    kept = f"what was measured before is kept in {self.out}."
                    return Ending("diverged", FAILED, f"{found.rstrip('.')}; {kept}")
                self.warned = self.warned or found
            with whole():
                # First, so that a run that goes on from there writes its own rows of this round.
                self._save(moment, time.perf_counter() - begin)
                if moment.measures is not None:
                    self.measure_seconds.append(moment.measure_seconds)
                    if self.writes:
                        self._keep(moment, time.perf_counter() - begin)
        stopped = self.stop() and len(self.round_seconds) < self.resolved.rounds
        if stopped and self.together is not None:
            self.together.agreed = True  # only here: the others wait for who ended on the way
        return self._interrupted(self.terminated()) if stopped else Ending()

    def _interrupted(self, terminated: bool) -> Ending:
        undisturbed()  # so that the summary is written
        done = len(self.round_seconds)
        sentence = f"Interrupted after {done} rounds; what was measured is kept in {self.out}."
        if self.told and self.saver is not None and self.saver.last is not None:
            sentence += f" demjax run --resume {self.out} goes on from round {self.saver.last}."
        return Ending("interrupted", TERMINATED if terminated else INTERRUPTED, sentence)

    def _save(self, moment: Moment, seconds: float) -> None:
        saver = self.saver
        if saver is None or not saver.due(moment.round, stopped=self.stop()):
            return
        # A run cannot go on from a state whose rows are not there.
        if self.together is None and not self.tables.write():
            return
        made = getattr(moment.measures, "organization", None)
        organized = self.organized, max(self.organized, int(made.times) if made else 0)
        own = state_at(self.round_seconds, self.measure_seconds, seconds, organized)
        about = {**self.about, "measured": len(self.measure_seconds)}
        if not saver.save(moment, {"beside": own}, about):
            kept = "none" if saver.last is None else f"that after round {saver.last}"
            self._lose(f"{saver.failed} The run goes on; the last whole checkpoint is {kept}.")

    def _keep(self, moment: Moment, seconds: float) -> None:
        done, sent = moment.round, moment.model_bytes
        measures, info = jax.device_get((moment.measures, moment.info))
        row = metrics_row(done, measures, seconds, info, sent)
        made = measures.organization
        if made is not None and (merges := dendrogram_rows(done, made, self.organized)):
            self.tables.add(self.out / run_folder.DENDROGRAMS, merges)
            self.organized = int(made.times)
        if CLIENT in self.measures or len(measures.hierarchy.groups) > 1:
            clients = clients_rows(done, measures, info)
            self.tables.add(self.out / run_folder.CLIENTS, clients)
        self.tables.add(self.out / run_folder.METRICS, [row])
        self.rows.append(row)
        if not self.tables.write():
            if self.tables.failed is not None and len(self.rows) < 2 and self.before is None:
                raise self.tables.failed  # where nothing can be kept, nothing is run
            self._lose(f"{self.tables.sentence()} The run goes on, and tries again with each row.")
        try:
            self.also(row)
        except OSError as error:
            self._lose(f"The event file cannot be written: {error.strerror}. The run goes on.")

    def _lose(self, sentence: str) -> None:
        """Say once that something could not be written."""
        if not self.lost and self.progress is not None:
            self.progress.say(f"demjax: {sentence}")
        self.lost = self.lost or sentence

    def _with_what_is_lost(self, ending: Ending) -> Ending:
        """How a run ended, where it matters that something could not be written."""
        if not self.tables.write():
            sentence = f"The run is done, but not all is written: {self.tables.sentence()}"
            status = "failed" if ending.status == "done" else ending.status
            return Ending(status, ending.code or FAILED, ending.sentence or sentence)
        return ending._replace(code=ending.code or FAILED) if self.lost else ending

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
        saved = self.saver.seconds if self.saver is not None else []
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
            **({"checkpoint_seconds": median(saved)} if saved else {}),
            "total_seconds": seconds,
            **environment(),
        }
        run_folder.write_summary(self.out, summary)
