"""The batches of a chunk of clients side by side: epochs of shuffled, short ones, and steps."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax import keys
from demjax.base import ClientData, Task
from demjax.clients.step import Batch
from demjax.clients.stragglers import Stragglers


def batch_of(
    task: Task,
    clients: ClientData,
    batch_size: int,
    number: Int[Array, ""] | int,
    key: PRNGKeyArray,
    order: Int[Array, " M"],
    size: Int[Array, ""],
    client: Int[Array, ""],
) -> Batch:
    """One batch of a client, by its number in an order of the client's examples."""
    start = number * batch_size
    if task.state is None:
        examples = lax.dynamic_slice(order, (start,), (batch_size,))
    else:  # of no padding, for every input counts in a batch's statistics
        place = start + jnp.arange(batch_size)
        examples = order[jnp.where(place < size, place, place % jnp.maximum(size, 1))]
    weight = (start + jnp.arange(batch_size) < size).astype(jnp.float32)
    return Batch(clients.x[examples], clients.y[examples], weight, key, client)


def of_clients(
    clients: ClientData, chunk_clients: Int[Array, " ..."], batch_size: int
) -> tuple[int, Int[Array, " ... M"], Int[Array, " ..."], Int[Array, ""]]:
    """The size of batches, clients' examples, how many they have, and the batches of the largest.

    No batch is larger than the largest client: "everything at once" costs no padding.
    """
    batch_size = min(batch_size, clients.train.shape[1])
    sizes = clients.train_size.at[chunk_clients].get(mode="fill", fill_value=0)
    rows = clients.train.at[chunk_clients].get(mode="clip")
    rows = jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, -rows.shape[-1] % batch_size)])
    return batch_size, rows, sizes, (jnp.max(sizes) + batch_size - 1) // batch_size


def through_batches(
    task: Task,
    key: PRNGKeyArray,
    clients: ClientData,
    chunk_clients: Int[Array, " ..."],
    step: Callable[..., tuple[Any, Float[Array, ""], Any]],
    state: Any,
    fixed: Any,
    nothing: Any,
    *,
    epochs: int,
    batch_size: int,
    each: Callable,
    stragglers: Stragglers | None = None,
    most: int | None = None,
) -> tuple[Any, Float[Array, " ..."], Any]:
    """Take every client of a chunk through all its batches, a step each.

    Args:
        task: Says how batches are filled up.
        key: The round's.
        clients: All data.
        chunk_clients: Numbers of the clients; ``N`` is nobody, who makes no step.
        step: Of one client, ``(state, fixed, batch) -> (state, loss, met)``.
        state: What steps change, and nothing else does, of each client.
        fixed: What steps are given beside it, of each client.
        nothing: Zeros of what ``met`` is a sum of, of each client.
        epochs: Passes over a client's examples.
        batch_size: Examples in a batch.
        each: ``vmap`` over the chunk, or nothing for one client.
        stragglers: Who makes fewer steps; its last epoch is the one that it stopped in.
        most: How many batches an epoch has at most, the first of its order; by default all.

    Returns:
        The states; the last epoch's sums of losses and of ``met``, both times a batch's examples.
    """
    limits = steps_made(key, clients, chunk_clients, epochs, batch_size, each, stragglers, most)
    batch_size, rows, all_, steps = of_clients(clients, chunk_clients, batch_size)
    sizes, steps = seen(all_, batch_size, most), seen(steps, 1, most)
    client_keys = each(partial(keys.for_client, key))(chunk_clients)

    def one_step(epoch_key, state, order, size, client, fixed, limit, number):
        key = keys.for_batch(epoch_key, number)
        batch = batch_of(task, clients, batch_size, number, key, order, size, client)
        count = jnp.sum(batch.weight)
        new, loss, met = step(state, fixed, batch)
        met = jax.tree.map(lambda m: m * count, met)
        active = number * batch_size < size
        if limit is not None:
            active = active & (number < limit)
        state = jax.tree.map(lambda new, old: jnp.where(active, new, old), new, state)
        loss = jnp.where(active, loss * count, 0.0)
        return state, loss, jax.tree.map(lambda m: active * m, met)

    def epoch(number, carry):
        state, *met = carry
        epoch_keys = each(lambda client_key: keys.for_epoch(client_key, number))(client_keys)
        orders = each(lambda k, r, s: shuffled(keys.for_shuffling(k), r, s))(epoch_keys, rows, all_)

        left = (
            None if limits is None else limits - number * ((sizes + batch_size - 1) // batch_size)
        )

        def one_batch(batch, carry):
            state, total, gathered = carry
            now = epoch_keys, state, orders, sizes, chunk_clients, fixed, left
            state, loss, met = each(partial(one_step, number=batch))(*now)
            return state, total + loss, jax.tree.map(jnp.add, gathered, met)

        start = jnp.zeros(jnp.shape(sizes)), nothing
        if left is not None:  # who makes no step in this epoch has had its last one

            def of_last(new, old):
                return jnp.where(
                    left.reshape(*left.shape, *[1] * (new.ndim - left.ndim)) > 0, new, old
                )

            start = jax.tree.map(of_last, start, tuple(met))
        return lax.fori_loop(0, steps, one_batch, (state, *start))

    start = state, jnp.zeros(jnp.shape(sizes)), nothing
    return lax.fori_loop(0, epochs, epoch, start)


def steps_made(
    key: PRNGKeyArray,
    clients: ClientData,
    chunk_clients: Int[Array, " ..."],
    epochs: int,
    batch_size: int,
    each: Callable,
    stragglers: Stragglers | None,
    most: int | None = None,
) -> Int[Array, " ..."] | None:
    """How many steps clients make where some straggle, at least one; ``None`` where nobody does.

    Arguments as of ``through_batches``.
    """
    if stragglers is None:
        return None
    batch_size = min(batch_size, clients.train.shape[1])
    sizes = clients.train_size.at[chunk_clients].get(mode="fill", fill_value=0)
    usual = epochs * ((seen(sizes, batch_size, most) + batch_size - 1) // batch_size)
    share = each(partial(stragglers, key))(chunk_clients)
    return jnp.maximum(1, jnp.ceil(share * usual).astype(jnp.int32))


def seen(sizes: Int[Array, " ..."], batch_size: int, most: int | None) -> Int[Array, " ..."]:
    """How many examples clients see in an epoch that has so many batches at most."""
    return sizes if most is None else jnp.minimum(sizes, most * batch_size)


def shuffled(key: PRNGKeyArray, rows: Int[Array, " M"], size: Int[Array, ""]) -> Int[Array, " M"]:
    """The client's rows in random order, padding last; it does not touch the order."""
    draw = jax.random.uniform(key, rows.shape)
    return rows[jnp.argsort(jnp.where(jnp.arange(rows.shape[0]) < size, draw, jnp.inf))]
