"""Local training of a chunk of clients side by side: epochs of shuffled, short batches."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax import keys
from demjax.base import ClientData, Params, Task
from demjax.clients.proximal import ProximalTerm, towards
from demjax.clients.statistics import recomputed
from demjax.clients.step import Added, Batch, loss_and_gradient, stepped


class Recipe(NamedTuple):
    """How every client trains; the fields are arguments of ``local_training``."""

    task: Task
    optimizer: optax.GradientTransformation
    epochs: int
    batch_size: int
    statistics: str


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
    task, optimizer, epochs, batch_size, statistics = recipe
    # No batch is larger than the largest client: "everything at once" costs no padding.
    batch_size = min(batch_size, clients.train.shape[1])
    sizes = clients.train_size.at[chunk_clients].get(mode="fill", fill_value=0)
    rows = clients.train.at[chunk_clients].get(mode="clip")
    rows = jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, -rows.shape[-1] % batch_size)])
    client_keys = each(partial(keys.for_client, key))(chunk_clients)
    target = each(partial(towards, proximal))(chunk_clients) if proximal is not None else None
    steps = (jnp.max(sizes) + batch_size - 1) // batch_size

    def batch_of(number, key, order, size, client):
        start = number * batch_size
        if task.state is None:
            examples = lax.dynamic_slice(order, (start,), (batch_size,))
        else:  # of no padding, for every input counts in a batch's statistics
            place = start + jnp.arange(batch_size)
            examples = order[jnp.where(place < size, place, place % jnp.maximum(size, 1))]
        weight = (start + jnp.arange(batch_size) < size).astype(jnp.float32)
        return Batch(clients.x[examples], clients.y[examples], weight, key, client)

    def step(epoch_key, model, memory, order, size, client, target, correction, number):
        key = keys.for_batch(epoch_key, number)
        batch = batch_of(number, key, order, size, client)
        loss, gradient, after = loss_and_gradient(task, added, model, batch)
        count = jnp.sum(batch.weight)
        met = jax.tree.map(lambda g: g * count, gradient if gradients else None)
        now = model, memory
        new = stepped(task, optimizer, added, now, gradient, after, target, correction)
        active = number * batch_size < size
        model, memory = jax.tree.map(lambda new, old: jnp.where(active, new, old), new, now)
        loss = jnp.where(active, loss * count, 0.0)
        return model, memory, loss, jax.tree.map(lambda g: active * g, met)

    def epoch(number, carry):
        models, memory, *_ = carry
        epoch_keys = each(lambda client_key: keys.for_epoch(client_key, number))(client_keys)
        orders = each(lambda k, r, s: shuffled(keys.for_shuffling(k), r, s))(
            epoch_keys, rows, sizes
        )

        def one_batch(batch, carry):
            models, memory, total, gathered = carry
            now = epoch_keys, models, memory, orders, sizes, chunk_clients, target, correction
            models, memory, loss, met = each(partial(step, number=batch))(*now)
            gathered = jax.tree.map(jnp.add, gathered, met)
            return models, memory, total + loss, gathered

        start = models, memory, jnp.zeros(jnp.shape(sizes)), nothing
        return lax.fori_loop(0, steps, one_batch, start)

    if statistics == "recompute":

        def anew(key, model, rows, size, client):
            own = keys.for_statistics(key)
            fixed = partial(batch_of, order=rows, size=size, client=client)
            return recomputed(task, fixed, steps, own, model)

        models = each(anew)(client_keys, models, rows, sizes, chunk_clients)
    nothing = jax.tree.map(jnp.zeros_like, models if gradients else None)
    start = models, each(optimizer.init)(models), jnp.zeros(jnp.shape(sizes)), nothing
    models, _, loss, gradient = lax.fori_loop(0, epochs, epoch, start)
    sizes = jnp.maximum(sizes, 1)
    gradient = jax.tree.map(
        lambda g: g / sizes.reshape(*sizes.shape, *[1] * (g.ndim - sizes.ndim)), gradient
    )
    return models, loss / sizes, gradient


def shuffled(key: PRNGKeyArray, rows: Int[Array, " M"], size: Int[Array, ""]) -> Int[Array, " M"]:
    """The client's rows in random order, padding last; it does not touch the order."""
    draw = jax.random.uniform(key, rows.shape)
    return rows[jnp.argsort(jnp.where(jnp.arange(rows.shape[0]) < size, draw, jnp.inf))]
