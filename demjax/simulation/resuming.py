"""A run that saves what it measured with its state, and goes on from there when begun anew."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from demjax.base import ClientData
from demjax.simulation.checkpoint import Checkpoint, newest
from demjax.simulation.history import Moment
from demjax.simulation.lock import held
from demjax.simulation.programs import Programs
from demjax.simulation.rounds import Resumed
from demjax.simulation.saving import Checkpoints, Saver, check_identity, identity
from demjax.simulation.schedule import Schedule


@dataclass
class Kept:
    """What a run has measured so far.

    Attributes:
        rows: The round, the measures and the info of each measurement.
        planned: When what is measured.
        saver: Saves them with the state, if that is asked for.
        resumed: Where the run goes on, if it does.
        identity: What the run must have in common with one that goes on from there.
    """

    rows: list[tuple[int, Any, Any]] = field(default_factory=list)
    planned: Schedule | None = None
    saver: Saver | None = None
    resumed: Resumed | None = None
    identity: dict[str, Any] = field(default_factory=dict)

    def add(self, moment: Moment, *, stopped: bool) -> None:
        """Save a moment's state if it is due, then keep what was measured, if anything was.

        In this order what is measured is measured again by a run that goes on, by its own plan.
        """
        saver = self.saver
        if saver is not None and saver.due(moment.round, stopped=stopped):
            trees = {"measures": [row[1] for row in self.rows], "told": [r[2] for r in self.rows]}
            stacked = {name: _stacked(rows) for name, rows in trees.items() if rows}
            about = {"identity": self.identity, "measured": self._measured(moment.round)}
            before = saver.failed
            if not saver.save(moment, stacked, about) and not before:
                warnings.warn(f"{saver.failed} The run goes on.", RuntimeWarning, stacklevel=3)
        if moment.measures is not None:
            self.rows.append((moment.round, moment.measures, moment.info))

    def take_over(self) -> Resumed | None:
        """Where the run goes on, which is then kept here no longer."""
        resumed, self.resumed = self.resumed, None
        return resumed

    def _measured(self, number: int) -> list[list]:
        assert self.planned is not None
        plan = zip(self.planned.rounds, self.planned.taken, strict=True)
        return [[done, list(taken)] for done, taken in plan if done < number]

    def go_on(self, point: Checkpoint, compiled: Programs) -> None:
        """Take over what a checkpoint holds.

        Raises:
            ValueError: If it is of another run.
        """
        measured = self._measured(point.round)
        if point.about.get("measured") != measured:
            raise ValueError(
                f"The checkpoint {point.arrays} is of a run that was measured in other rounds; "
                "possible are the same eval_every and measures_every, or another folder."
            )
        wanted = {"state": compiled.state, "info": compiled.info}
        if measured:
            wanted["measures"] = _several(compiled.measured, len(measured))
            wanted["told"] = _several(compiled.info, len(measured))
        found = point.read(**wanted)
        self.resumed = Resumed(point.round, found["state"], found["info"])
        for place, (number, _) in enumerate(measured):
            one = jax.tree.map(lambda leaf: leaf[place], (found["measures"], found["told"]))  # noqa: B023
            self.rows.append((number, *one))


@contextmanager
def kept(
    checkpoint: str | Path | Checkpoints | None,
    compiled: Programs,
    *,
    planned: Schedule,
    key: PRNGKeyArray,
    clients: ClientData,
) -> Iterator[Kept]:
    """What a run measures, with what it had measured when its newest checkpoint was saved.

    Args:
        checkpoint: Where its state is saved, and how often; ``None`` for nowhere.
        compiled: The run's programs.
        planned: When what is measured.
        key: The run's.
        clients: Everybody's data.

    Raises:
        ValueError: If the newest checkpoint is of another run, or another process is at work there.
    """
    if checkpoint is None:
        yield Kept()
        return
    settings = checkpoint if isinstance(checkpoint, Checkpoints) else Checkpoints(checkpoint)
    with ExitStack() as stack:
        try:
            settings.path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(settings.path))
        except OSError as error:
            raise ValueError(f"{settings.path} cannot be written: {error.strerror}.") from None
        point, broken = newest(settings.path)
        for sentence in broken:
            warnings.warn(sentence, RuntimeWarning, stacklevel=4)
        last = planned.rounds[-1]
        saver = Saver(settings, last, known=point.round if point else None)
        found = Kept(planned=planned, saver=saver, identity=identity(key, clients))
        if point is not None:
            check_identity(point, found.identity, last)
            found.go_on(point, compiled)
        yield found


def _stacked(rows: Sequence[Any]) -> Any:
    def stack(*leaves: Any) -> Any:
        if jax.dtypes.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
            return jnp.stack(leaves)
        return np.stack([np.asarray(leaf) for leaf in leaves])

    return jax.tree.map(stack, *rows)


def _several(tree: Any, count: int) -> Any:
    """The shapes of so many of a pytree's arrays."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), tree)
