"""The clients of one device, trained a chunk at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.backend import policy
from demjax.backend.examples import on_this_device
from demjax.backend.narrow import readable, widened, writable
from demjax.base import ClientData, Params
from demjax.clients.chunk import Recipe, step_chunk, train_chunk
from demjax.clients.step import Added, ClientStep
from demjax.pytrees import StackedModels, as_pytree, like, model_bytes, take_rows


def _in_chunks(
    chunk: int | None, clients: ClientData, numbers: Int[Array, " S"], size: int
) -> tuple[Int[Array, " chunks width"], Callable]:
    """The rows of one device in chunks, and ``vmap`` over one, of models of so many bytes."""
    count = numbers.shape[0]
    width = min(chunk or policy.clients_trained_at_once(count, size), count)
    # Largest first, so that a chunk's clients have about as many steps as each other.
    # Past the end is a row that does not exist: read as an empty client, never written.
    by_size = jnp.argsort(-clients.train_size.at[numbers].get(mode="fill", fill_value=0))
    by_size = jnp.pad(by_size, (0, -count % width), constant_values=count)
    if width == 1:
        return by_size, lambda alone: alone  # with no leading axis
    return by_size.reshape(-1, width), jax.vmap


def _for_each(model: Params, rows: Int[Array, " ..."]) -> Params:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*rows.shape, *leaf.shape)), model)


def train_some(
    recipe: Recipe,
    chunk: int | None,
    shared: Any,
    divided: Any,
    added: Added,
    gradients: bool,
    moved: bool,
) -> tuple[Params, Float[Array, " S"], Params]:
    """Train the clients that one device is divided, a chunk at a time; ``moved`` from elsewhere."""
    key, clients, proximal, common, weight = shared
    models, numbers, own = divided
    clients = on_this_device(clients, numbers, moved=moved)
    chunks, each = _in_chunks(chunk, clients, numbers, model_bytes(models))

    def one_chunk(number, carry):
        rows = chunks[number]
        who = numbers.at[rows].get(mode="fill", fill_value=clients.n_clients)
        correction = as_pytree(take_rows(own, rows)) if common is None else _for_each(common, rows)
        correction = jax.tree.map(lambda c: weight * widened(c), correction)
        mine = as_pytree(jax.tree.map(read, take_rows(carry[0], rows), models))
        new, loss, gradient = train_chunk(
            recipe, key, mine, clients, who, proximal, correction, added, each, gradients
        )
        results = like(models, new), loss, like(models, gradient) if gradients else None
        return jax.tree.map(
            lambda leaf, new: leaf.at[rows].set(writable(new), mode="drop"), carry, results
        )

    def read(leaf, stored):
        return readable(leaf, stored.dtype)

    gradient = jax.tree.map(jnp.zeros_like, models if gradients else None)
    start = models, jnp.zeros(numbers.shape[0]), gradient
    end = lax.fori_loop(0, chunks.shape[0], one_chunk, jax.tree.map(writable, start))
    return jax.tree.map(read, end, start)


def step_some(
    recipe: Recipe,
    chunk: int | None,
    step: ClientStep,
    around: tuple[Callable, Callable] | None,
    shared: Any,
    divided: Any,
    moved: bool,
) -> tuple[Any, Float[Array, " S"]]:
    """Take the clients of one device through their batches by an algorithm's own step."""
    key, clients = shared
    states, numbers = divided
    clients = on_this_device(clients, numbers, moved=moved)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(states)) // numbers.shape[0]
    chunks, each = _in_chunks(chunk, clients, numbers, size)

    def read(leaf, stored):
        return readable(leaf, stored.dtype)

    def is_models(part):
        return isinstance(part, StackedModels)

    def one_chunk(number, carry):
        rows = chunks[number]
        who = numbers.at[rows].get(mode="fill", fill_value=clients.n_clients)
        mine = jax.tree.map(read, take_rows(carry[0], rows), states)
        mine = jax.tree.map(as_pytree, mine, is_leaf=is_models)
        new, loss = step_chunk(recipe, key, mine, clients, who, step, around, each)
        new = jax.tree.map(like, states, new, is_leaf=is_models)
        return jax.tree.map(
            lambda leaf, new: leaf.at[rows].set(writable(new), mode="drop"), carry, (new, loss)
        )

    start = states, jnp.zeros(numbers.shape[0])
    end = lax.fori_loop(0, chunks.shape[0], one_chunk, jax.tree.map(writable, start))
    return jax.tree.map(read, end, start)


def sum_some(
    recipe: Recipe, chunk: int | None, begin: Callable, shared: Any, divided: Any, moved: bool
) -> tuple[Params, Float[Array, " S"]]:
    """Train the clients of one device, of whom a weighted sum of models is all that stays.

    Args:
        recipe: How they train.
        chunk: How many at once.
        begin: As of ``LocalTraining``.
        shared: Key, data, and the model that all start from.
        divided: Clients' numbers, what each counts, and models whose statistics they keep.
        moved: Whether they may be others than those who live on the device.
    """
    key, clients, model = shared
    numbers, weight, own = divided
    clients = on_this_device(clients, numbers, moved=moved)
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(model))
    chunks, each = _in_chunks(chunk, clients, numbers, size)

    def one_chunk(number, carry):
        total, losses = carry
        rows = chunks[number]
        who = numbers.at[rows].get(mode="fill", fill_value=clients.n_clients)
        mine = _for_each(model, rows)
        mine = mine if own is None else begin(as_pytree(take_rows(own, rows)), mine)
        nothing = Added(None, None, None)
        new, loss, _ = train_chunk(
            recipe, key, mine, clients, who, None, None, nothing, each, False
        )
        share = weight.at[rows].get(mode="fill", fill_value=0.0)

        def added(old, leaf):
            wide = share.reshape(*share.shape, *[1] * (leaf.ndim - share.ndim))
            # Nobody's model may be that of one who diverged.
            leaf = jnp.where(wide > 0, leaf, 0).astype(jnp.float32)
            highest = lax.Precision.HIGHEST
            return old + jnp.tensordot(share, leaf, axes=share.ndim, precision=highest)

        total = jax.tree.map(added, total, new)
        return total, losses.at[rows].set(loss, mode="drop")

    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), model)
    start = nothing, jnp.zeros(numbers.shape[0])
    total, loss = lax.fori_loop(0, chunks.shape[0], one_chunk, start)
    return jax.tree.map(lambda leaf: leaf[None], total), loss
