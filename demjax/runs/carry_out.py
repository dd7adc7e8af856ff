"""One experiment carried out: built, compiled, run, and written down into its folder as it goes."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np

from demjax.backend import memory
from demjax.backend.compilation import compile_once
from demjax.backend.processes import Together
from demjax.data.client_data import widened
from demjax.experiment import build, config
from demjax.experiment.experiment import Experiment
from demjax.experiment.validation import intervals
from demjax.metrics import label_sets
from demjax.runs import folder as run_folder
from demjax.runs.beside import of_data, of_sample
from demjax.runs.exits import FAILED, INTERRUPTED, first_line, say
from demjax.runs.tensorboard import Row
from demjax.runs.writer import Recorder
from demjax.simulation.ending import interruptible
from demjax.simulation.programs import programs
from demjax.simulation.progress import Progress
from demjax.simulation.rounds import moments


def carry_out(
    experiment: Experiment,
    out: Path,
    *,
    heading: str = "",
    stream: TextIO | None = None,
    kept: Path | None = None,
    widths: tuple[int, int] | None = None,
    also: Callable[[Row], None] = lambda row: None,
    seen: Together | None = None,
    alone: bool = True,
) -> int:
    """Run an experiment to its end and write it into a new folder.

    Args:
        experiment: As ``resolve`` returns it.
        out: A new or empty folder.
        heading: A line to show above it.
        stream: Where its progress is shown; by default the standard error stream.
        kept: Where compiled programs are kept between runs; ``None`` for nowhere.
        widths: Widths of the rows of training and test examples, so that other seeds' programs fit;
            by default those of the data.
        also: What else each row of ``metrics.csv`` goes to.
        seen: The processes of the run; ``None`` for one.
        alone: Whether no other run follows: then its last measures are printed, and Ctrl-C in its
            last round, with which it ends anyway, is no interruption.

    Returns:
        The exit code: how the run ended.

    Raises:
        ValueError: The data, or what was chosen, cannot be used; nothing was written.
    """
    built = build.build(experiment)
    resolved, count = built.experiment, len(built.partition.train)
    task, clients = built.task, built.clients
    if widths is not None:
        clients = widened(clients, *widths)
    plan: dict[str, Any] = {
        "rounds": resolved.rounds,
        "key": jax.random.key(resolved.seed),  # of all randomness but the partition
        "eval_every": resolved.eval_every,
        "measures_every": intervals(resolved.values),
        "take_measures": built.take_measures,
    }
    here = seen is None or seen.writes
    with Progress(resolved.rounds, stream=stream) as progress:
        for line in filter(None, (heading, *built.notes)):
            progress.say(line)
        progress.say("compiling")
        try:
            with build.as_asked(resolved):
                compiled, found = compile_once(
                    lambda: programs(built.algorithm, task, clients, **plan, progress=progress),
                    kept,
                )
        except jax.errors.JaxRuntimeError as error:
            progress.close()
            return say(f"The run cannot be compiled: {first_line(error)}", FAILED)
        needs, present = memory.needed(*compiled[:3]), memory.free()
        memory.check_fits(
            needs, present, clients=count, examples=memory.whole(clients.x, clients.y)
        )
        progress.say(f"needs {memory.gigabytes(needs)} of memory")
        if here:
            run_folder.create(out, config.to_toml(resolved), built.partition, built.y)
        parameters = build.parameters(task)
        # Of several processes none can stop after a round of its own and measure once more.
        with interruptible() if seen is None else nullcontext(lambda: False) as stop:
            shown: dict[str, Any] = {"progress": progress, "stop": stop}
            recorder = Recorder(
                out,
                resolved,
                parameters,
                also,
                compile_cache=found,
                measures=built.take_measures.measures,
                score=task.score_name,
                labels=built.labels,
                facts=_facts(built),
                clients=count,
                together=seen,
                told=alone,
                **shown,
            )
            code = recorder.record(
                moments(built.algorithm, task, clients, **plan, compiled=compiled, **shown)
            )
            return code if alone or not stop() else INTERRUPTED


def _facts(built: build.Run) -> dict[str, Any]:
    """What the summary says beside the measures: when clients are scored, and of the data."""
    planted = built.true_clusters
    clusters = label_sets(built.clients) if planted is None else planted
    truth = {"planted": planted is not None, "count": int(np.unique(clusters).size)}
    return {
        "measured_at": built.algorithm.moment,
        "true_clusters": truth,
        **of_data(built.clients, built.task.score_name),
        **of_sample(built.take_measures.sampled),
    }
