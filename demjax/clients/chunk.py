"""Local training of a chunk of clients side by side."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax import keys
from demjax.base import ClientData, Params, Task
from demjax.clients.batches import batch_of, of_clients, seen, steps_made, through_batches
from demjax.clients.private_steps import Private, private_gradient
from demjax.clients.proximal import ProximalTerm, towards
from demjax.clients.statistics import recomputed
from demjax.clients.step import Added, ClientStep, loss_and_gradient, stepped
from demjax.clients.stragglers import Stragglers


class Recipe(NamedTuple):
    """How every client trains; the fields are arguments of ``local_training``."""

    task: Task
    optimizer: optax.GradientTransformation
    epochs: int
    batch_size: int
    statistics: str
    stragglers: Stragglers | None = None
    private: Private | None = None
    batches_per_epoch: int | None = None

    @property
    def slope(self) -> Callable:
        """What gives a batch's loss and gradient, as ``loss_and_gradient``."""
        how = self.private
        return loss_and_gradient if how is None else partial(private_gradient, how)


def train_chunk(
    recipe: Recipe,
    key: PRNGKeyArray,
    models: Params,
    clients: ClientData,
    chunk_clients: Int[Array, " ..."],
    proximal: ProximalTerm | None,
    correction: Params | None,
    added: Added,
    each: Callable,
    gradients: bool,
) -> tuple[Params, Float[Array, " ..."], Params]:
    """Train some clients side by side; ``each`` is ``vmap``, or nothing for one client."""
    task, optimizer, epochs, batch_size, statistics, stragglers, _, most = recipe
    target = each(partial(towards, proximal))(chunk_clients) if proximal is not None else None
    if target is not None and correction is not None and added.chosen is None:
        # Neither changes from step to step: each step reads one array, not two.
        target = target[0], jax.tree.map(jnp.subtract, target[1], correction)
        correction = None

    def step(now, fixed, batch):
        loss, gradient, after = recipe.slope(task, added, now[0], batch)
        new = stepped(task, optimizer, added, now, gradient, after, *fixed)
        return new, loss, gradient if gradients else None

    if statistics == "recompute":
        models = _statistics_anew(recipe, key, models, clients, chunk_clients, each)
    nothing = jax.tree.map(jnp.zeros_like, models if gradients else None)
    (models, _), loss, gradient = through_batches(
        task,
        key,
        clients,
        chunk_clients,
        step,
        (models, each(optimizer.init)(models)),
        (target, correction),
        nothing,
        epochs=epochs,
        batch_size=batch_size,
        each=each,
        stragglers=stragglers,
        most=most,
    )
    sizes = _sizes(recipe, key, clients, chunk_clients, each)
    gradient = jax.tree.map(
        lambda g: g / sizes.reshape(*sizes.shape, *[1] * (g.ndim - sizes.ndim)), gradient
    )
    return models, loss / sizes, gradient


def step_chunk(
    recipe: Recipe,
    key: PRNGKeyArray,
    states: Any,
    clients: ClientData,
    chunk_clients: Int[Array, " ..."],
    step: ClientStep,
    around: tuple[Callable, Callable] | None,
    each: Callable,
) -> tuple[Any, Float[Array, " ..."]]:
    """Take some clients side by side through their batches, by an algorithm's own step."""
    enter, leave = around or (None, None)
    states = states if enter is None else each(enter)(states)
    task, _, epochs, batch_size, _, stragglers, _, most = recipe
    slope = partial(loss_and_gradient, task, Added())

    def one(state, _, batch):
        return *step(state, batch, slope), None

    states, loss, _ = through_batches(
        task,
        key,
        clients,
        chunk_clients,
        one,
        states,
        None,
        None,
        epochs=epochs,
        batch_size=batch_size,
        each=each,
        stragglers=stragglers,
        most=most,
    )
    states = states if leave is None else each(leave)(states)
    return states, loss / _sizes(recipe, key, clients, chunk_clients, each)


def _sizes(
    recipe: Recipe,
    key: PRNGKeyArray,
    clients: ClientData,
    chunk_clients: Int[Array, " ..."],
    each: Callable,
) -> Int[Array, " ..."]:
    """How many examples clients have seen in their last epoch, at least 1."""
    sizes = clients.train_size.at[chunk_clients].get(mode="fill", fill_value=0)
    sizes = jnp.maximum(sizes, 1)
    epochs, batch_size, stragglers = recipe.epochs, recipe.batch_size, recipe.stragglers
    most = recipe.batches_per_epoch
    made = steps_made(key, clients, chunk_clients, epochs, batch_size, each, stragglers, most)
    batch_size = min(batch_size, clients.train.shape[1])
    sizes = seen(sizes, batch_size, most)
    if made is None:
        return sizes
    in_an_epoch = (sizes + batch_size - 1) // batch_size
    return jnp.minimum(sizes, (made - (made - 1) // in_an_epoch * in_an_epoch) * batch_size)


def _statistics_anew(
    recipe: Recipe,
    key: PRNGKeyArray,
    models: Params,
    clients: ClientData,
    chunk_clients: Int[Array, " ..."],
    each: Callable,
) -> Params:
    """The models with batch statistics of their clients' training examples."""
    batch_size, rows, sizes, steps = of_clients(clients, chunk_clients, recipe.batch_size)
    client_keys = each(partial(keys.for_client, key))(chunk_clients)

    def anew(key, model, rows, size, client):
        def fixed(number, key):
            return batch_of(recipe.task, clients, batch_size, number, key, rows, size, client)

        return recomputed(recipe.task, fixed, steps, keys.for_statistics(key), model)

    return each(anew)(client_keys, models, rows, sizes, chunk_clients)
