"""Numbers that change from round to round, such as a learning rate by a schedule."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models

Schedule = Callable[[Int[Array, ""]], Float[Array, ""] | float]
"""``r -> value``: a number of round ``r``, from 0 on, such as an Optax schedule."""


class OverRounds(NamedTuple):
    """What the next round needs.

    Attributes:
        inner: The algorithm's own state.
        round: Rounds done.
    """

    inner: Any
    round: Int[Array, ""]


def over_rounds(make: Callable[..., Algorithm], **schedules: Schedule) -> Algorithm:
    """An algorithm whose numbers follow schedules over the rounds of a run.

    In round ``r = 0, 1, …`` it is ``make(name=schedule(r), …)``. A schedule that an optimizer is
    given itself counts that optimizer's steps, and so starts anew in every round, as local
    optimizers do; one that is given here goes on from round to round:

        demjax.over_rounds(
            lambda lr: demjax.fedavg(demjax.local_training(task, optax.sgd(lr))),
            lr=optax.cosine_decay_schedule(0.1, 100),
        )

    Args:
        make: Makes the algorithm of numbers by name, which may be traced: not such as decide
            shapes.
        **schedules: By the names of ``make``'s arguments ``r -> value``, traceable.

    Returns:
        The algorithm; its state holds the round, so that a run that goes on from it goes on there.
        What clients do before they are scored has the numbers of the first round.
    """

    def at(number: Int[Array, ""]) -> Algorithm:
        return make(**{name: schedule(number) for name, schedule in schedules.items()})

    def init(key: PRNGKeyArray, clients: ClientData) -> OverRounds:
        first = jnp.int32(0)
        return OverRounds(at(first).init(key, clients), first)

    def one_round(
        key: PRNGKeyArray, state: OverRounds, clients: ClientData
    ) -> tuple[OverRounds, Any]:
        inner, info = at(state.round).round(key, state.inner, clients)
        return OverRounds(inner, state.round + 1), info

    def models(state: OverRounds) -> Models:
        return at(state.round).models(state.inner)

    first = at(jnp.int32(0))
    return first._replace(init=init, round=one_round, models=models)
