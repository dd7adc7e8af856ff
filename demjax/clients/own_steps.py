"""What an algorithm's own steps are made of: descents of one client's model, state and all.

They are for the ``step`` of ``LocalTraining.steps``, which sees one client's models as plain
pytrees.
"""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, PRNGKeyArray

from demjax.base import ClientData, Models, Params
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


def adaptation(
    local: LocalTraining, rate: Number, steps: int
) -> Callable[[PRNGKeyArray, Models, ClientData], Models]:
    """Some steps ``w_n ← w_n − rate · ∇f(w_n)`` of every client, a batch of its own data each.

    For ``Algorithm.before_scoring``: groups' models stay, and so does what the next round begins
    from.

    Args:
        local: How clients go through their batches, an epoch at most.
        rate: The rate, 0 or more.
        steps: How many, at least 1; clients with fewer batches make as many as they have.
    """

    def step(now, batch, slope):
        model, done = now
        loss, gradient, after = slope(model, batch)
        new = gradient_step(local, model, gradient, after, rate)
        return (where(done < steps, new, model), done + 1), loss

    def before_scoring(key: PRNGKeyArray, models: Models, clients: ClientData) -> Models:
        begin = models.client, jnp.zeros(clients.n_clients, jnp.int32)
        (client, _), _ = cast(Callable, local.steps)(key, begin, clients, step, epochs=1)
        return models._replace(client=client)

    return before_scoring


def where(yes: Bool[Array, ""], new: Params, old: Params) -> Params:
    """All leaves of the first of two pytrees, or all of the second."""
    return jax.tree.map(lambda new, old: jnp.where(yes, new, old), new, old)


def with_state_of(local: LocalTraining, model: Params, other: Params) -> Params:
    """A model with the state of another, such as batch statistics, if there is any."""
    return model if local.state is None else select(local.state(model), other, model)


def _optimizer(local: LocalTraining) -> optax.GradientTransformation:
    return cast(optax.GradientTransformation, local.optimizer)
