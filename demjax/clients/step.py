"""One step of one client: its gradient, with whatever an algorithm adds to it, and the optimizer.

What is not added leaves no trace in the program.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Num, PRNGKeyArray

from demjax.base import Params, Task
from demjax.clients.proximal import add_gradient
from demjax.pytrees import select


class Added(NamedTuple):
    """What an algorithm adds to local training that is no array: choices made before tracing.

    Attributes:
        chosen: Leaves that the proximal term is of; by default all.
        trained: Leaves that train; by default all.
        extra_loss: Added to the task's loss, or ``None``.
    """

    chosen: Params | None = None
    trained: Params | None = None
    extra_loss: Callable[..., Float[Array, ""]] | None = None


Slope = Callable[..., tuple[Float[Array, ""], Params, Params]]
"""``(model, batch, of_features=None) -> (loss, gradient, model)``, as ``loss_and_gradient``."""

ClientStep = Callable[..., tuple[Any, Float[Array, ""]]]
"""``(state, batch, slope) -> (state, loss)``: an algorithm's own step of one client."""


class Batch(NamedTuple):
    """Some examples of a client, and what is drawn for them.

    Attributes:
        x: Inputs.
        y: Labels or targets.
        weight: 1 for an example, 0 for padding.
        key: The batch's randomness.
        client: Number of the client.
    """

    x: Num[Array, " B *shape"]
    y: Num[Array, " B *target"]
    weight: Float[Array, " B"]
    key: PRNGKeyArray
    client: Int[Array, ""]


def loss_and_gradient(
    task: Task,
    added: Added,
    model: Params,
    batch: Batch,
    of_features: Callable[[Float[Array, " B D"]], Float[Array, ""]] | None = None,
) -> tuple[Float[Array, ""], Params, Params]:
    """The task's loss; the gradient of it and of what is added; the model with its new state.

    Leaves that are state have a gradient of 0. A loss ``of_features`` costs no second pass through
    the model, but needs a task with ``loss_with_features``.
    """
    *examples, client = batch
    if added.extra_loss is None and of_features is None and task.loss_with_state is None:
        return *jax.value_and_grad(task.loss)(model, *examples), model
    state = jax.tree.map(lambda _: False, model) if task.state is None else task.state(model)

    def objective(parameters):
        whole = jax.tree.map(lambda s, old, p: old if s else p, state, model, parameters)
        more = None
        if of_features is not None and task.loss_with_features is not None:
            loss, after, features = task.loss_with_features(whole, *examples)
            more = of_features(features)
        elif task.loss_with_state is None:
            loss, after = task.loss(whole, *examples), model
        else:
            loss, after = task.loss_with_state(whole, *examples)
        extra = added.extra_loss
        total = loss if extra is None else loss + extra(whole, *examples, client)
        return total if more is None else total + more, (loss, after)

    # State may be of whole numbers, which have no gradient.
    parameters = jax.tree.map(lambda s, leaf: jnp.zeros(()) if s else leaf, state, model)
    (_, (loss, after)), gradient = jax.value_and_grad(objective, has_aux=True)(parameters)
    gradient = jax.tree.map(
        lambda s, g, leaf: jnp.zeros_like(leaf) if s else g, state, gradient, model
    )
    return loss, gradient, after


def features_of(task: Task, model: Params, batch: Batch) -> Float[Array, " B D"]:
    """What the last layer of a model is given for a batch, in training mode."""
    *examples, _ = batch
    assert task.loss_with_features is not None
    return task.loss_with_features(model, *examples)[2]


def stepped(
    task: Task,
    optimizer: optax.GradientTransformation,
    added: Added,
    now: tuple[Params, Any],
    gradient: Params,
    after: Params,
    towards: tuple[Float[Array, ""], Params] | None,
    correction: Params | None,
) -> tuple[Params, Any]:
    """The model and the optimizer's memory after a step; what is not trained keeps its bits.

    Args:
        task: Says which leaves are state.
        optimizer: What makes a step of a gradient.
        added: What an algorithm adds.
        now: The model and the optimizer's memory before.
        gradient: Of the loss, as from ``loss_and_gradient``.
        after: The model whose state leaves are those after the batch.
        towards: Strength and target of the proximal term, or ``None``.
        correction: Added to the gradient, or ``None``.
    """
    model, memory = now
    if towards is not None:
        gradient = add_gradient(gradient, model, towards, added.chosen)
    if correction is not None:
        gradient = jax.tree.map(jnp.add, gradient, correction)
    free = _free(task, added, model)
    if free is not None:
        gradient = select(free, gradient, jax.tree.map(jnp.zeros_like, model))
    updates, memory = optimizer.update(gradient, memory, model)
    new = optax.apply_updates(model, updates)
    if free is not None:
        new = select(free, new, after)
    return new, memory


def _free(task: Task, added: Added, model: Params) -> Params | None:
    """The leaves that a gradient trains: not state, and chosen to train; ``None`` for all."""
    if task.state is None:
        return added.trained
    state = task.state(model)
    if added.trained is None:
        return jax.tree.map(lambda s: not s, state)
    return jax.tree.map(lambda s, t: bool(t) and not s, state, added.trained)
