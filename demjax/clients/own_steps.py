"""What an algorithm's own steps are made of: descents of one client's model, state and all.

They are for the ``step`` of ``LocalTraining.steps``, which sees one client's models as plain
pytrees.
"""

from collections.abc import Callable
from typing import Any, cast

import jax
import optax

from demjax.base import Params
from demjax.clients.local_training import LocalTraining
from demjax.pytrees import select
from demjax.registry import Number


def with_memories(local: LocalTraining, *places: int) -> tuple[Callable, Callable]:
    """For ``around``: a state, and what the local optimizer remembers of the models in its places.

    Steps then change ``(state, memories)``.
    """

    def enter(state):
        return state, tuple(_optimizer(local).init(state[place]) for place in places)

    return enter, lambda now: now[0]


def optimizer_step(
    local: LocalTraining, now: tuple[Params, Any], gradient: Params, after: Params
) -> tuple[Params, Any]:
    """One step of the local optimizer.

    Args:
        local: How clients train.
        now: The model, and what the optimizer remembers of it.
        gradient: Of its parameters.
        after: The model whose state, such as batch statistics, is that after the batch.

    Returns:
        The same as ``now``, after the step.
    """
    model, memory = now
    updates, memory = _optimizer(local).update(gradient, memory, model)
    return with_state_of(local, optax.apply_updates(model, updates), after), memory


def gradient_step(
    local: LocalTraining, model: Params, gradient: Params, after: Params, rate: Number
) -> Params:
    """``w − rate · gradient``, with the state, such as batch statistics, of ``after``."""
    stepped = jax.tree.map(lambda w, g: w - rate * g, model, gradient)
    return with_state_of(local, stepped, after)


def with_state_of(local: LocalTraining, model: Params, other: Params) -> Params:
    """A model with the state of another, such as batch statistics, if there is any."""
    return model if local.state is None else select(local.state(model), other, model)


def _optimizer(local: LocalTraining) -> optax.GradientTransformation:
    return cast(optax.GradientTransformation, local.optimizer)
