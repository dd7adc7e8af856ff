"""What is known of a run: its history when it is over, a moment of it while it goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from demjax.backend.placement import Stored
from demjax.metrics import Measures


@jax.tree_util.register_static
class ScoreName(str):
    """What a task's score is called: words that compiled programs hand on as they are."""


class History(NamedTuple):
    """What a whole run measured.

    Attributes:
        round: Rounds done at each of the ``E`` measurements: first 0, last the last round.
        measures: All measures, leaves with a leading axis ``E``; NaN where they were not due.
        state: The algorithm's state after the last round.
        info: What the algorithm told of the round before each measurement, leaves with a leading
            axis ``E``; before the first round NaN, or 0 where numbers are whole.
        score: What the task's score is called, of which all measures are means.
    """

    round: Int[np.ndarray, " E"]
    measures: Measures
    state: Any
    info: Any = None
    score: ScoreName = ScoreName("accuracy")


class _Moment(NamedTuple):
    """The fields of a ``Moment``."""

    round: int
    measures: Measures | None
    state: Any
    info: Any
    round_seconds: float
    measure_seconds: float
    compile_seconds: float
    model_bytes: int = 0


class Moment(_Moment):
    """What is known after a round of a run that is being watched.

    Attributes:
        round: Rounds done.
        measures: The measures, or ``None`` in a round that is not measured.
        state: The algorithm's state; the next round takes its memory over, so that what is to be
            read later is to be copied: ``jax.tree.map(jnp.copy, moment.state)``. Of several
            processes all read it or none.
        info: What the algorithm tells of its last round; before the first NaN, or 0 where numbers
            are whole.
        round_seconds: Time of the last round; 0 before the first.
        measure_seconds: Time of the measurement; 0 without one.
        compile_seconds: Time spent on tracing and compiling so far.
        model_bytes: Bytes of one model as it travels between a client and the server; 0 without
            a server.

    Raises:
        RuntimeError: If the state is read after its memory was taken over.
    """

    __slots__ = ()

    @property
    def state(self) -> Any:
        """The algorithm's state, as long as it is there."""
        kept = self[2]
        if any(isinstance(x, jax.Array) and x.is_deleted() for x in jax.tree.leaves(kept)):
            raise RuntimeError(
                f"The state after round {self.round} is gone, for the next round has taken its "
                "memory over; possible is to copy it before: jax.tree.map(jnp.copy, moment.state)."
            )
        return kept.read() if isinstance(kept, Stored) else kept


def no_info(shapes: Any) -> Any:
    """What is told of a round before there was one: NaN, or 0 where numbers are whole.

    Args:
        shapes: The info of a round, as arrays or shapes.
    """

    def nothing(leaf: Any) -> jax.Array:
        inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
        return jnp.full(leaf.shape, jnp.nan if inexact else 0, leaf.dtype)

    with nan_is_no_value():
        return jax.tree.map(nothing, shapes)


@contextmanager
def nan_is_no_value() -> Iterator[None]:
    """Where NaN stands for what there is not, so that ``JAX_DEBUG_NANS`` does not stop at it.

    A model that diverges is counted by the measures.
    """
    with jax.debug_nans(False), jax.debug_infs(False):
        yield
