"""The clients of one device, trained a chunk at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.backend import policy
from demjax.base import Params
from demjax.clients.chunk import Recipe, train_chunk
from demjax.clients.step import Added
from demjax.pytrees import as_pytree, like, model_bytes, one_of, take_rows


def _in_chunks(
    recipe: Recipe, chunk: int | None, shared: Any, divided: Any, added: Added, gradients: bool
) -> tuple[Int[Array, " chunks width"], Callable]:
    """The rows of one device in chunks, and what trains those of one from their models."""
    key, clients, proximal, common = shared
    models, numbers, own = divided
    count = numbers.shape[0]
    width = min(chunk or policy.clients_trained_at_once(count, model_bytes(models)), count)
    # Largest first, so that a chunk's clients have about as many steps as each other.
    # Past the end is a row that does not exist: read as an empty client, never written.
    by_size = jnp.argsort(-clients.train_size.at[numbers].get(mode="fill", fill_value=0))
    by_size = jnp.pad(by_size, (0, -count % width), constant_values=count)
    each: Callable = jax.vmap if width > 1 else lambda alone: alone  # with no leading axis

    def trained(rows, models):
        who = numbers.at[rows].get(mode="fill", fill_value=clients.n_clients)
        correction = as_pytree(take_rows(own, rows))
        if common is not None:
            correction = jax.tree.map(
                lambda leaf: jnp.broadcast_to(leaf, (*rows.shape, *leaf.shape)), common
            )
        mine = as_pytree(take_rows(models, rows))
        return train_chunk(
            recipe, key, mine, clients, who, proximal, correction, added, each, gradients
        )

    return by_size if width == 1 else by_size.reshape(-1, width), trained


def train_some(
    recipe: Recipe, chunk: int | None, shared: Any, divided: Any, added: Added, gradients: bool
) -> tuple[Params, Float[Array, " S"], Params]:
    """Train the clients that one device is divided, a chunk at a time."""
    models, numbers, _ = divided
    chunks, trained = _in_chunks(recipe, chunk, shared, divided, added, gradients)

    def one_chunk(number, carry):
        new, loss, gradient = trained(chunks[number], carry[0])
        results = like(models, new), loss, like(models, gradient) if gradients else None
        return jax.tree.map(
            lambda leaf, new: leaf.at[chunks[number]].set(new, mode="drop"), carry, results
        )

    gradient = jax.tree.map(jnp.zeros_like, models if gradients else None)
    start = models, jnp.zeros(numbers.shape[0]), gradient
    return lax.fori_loop(0, chunks.shape[0], one_chunk, start)


def sum_some(
    recipe: Recipe, chunk: int | None, shared: Any, divided: Any
) -> tuple[Params, Float[Array, " S"]]:
    """Train the clients of one device, of whom a weighted sum of models is all that stays."""
    *divided, weight = divided
    models, numbers, _ = divided
    chunks, trained = _in_chunks(recipe, chunk, shared, divided, Added(None, None, None), False)

    def one_chunk(number, carry):
        total, losses = carry
        new, loss, _ = trained(chunks[number], models)
        share = weight.at[chunks[number]].get(mode="fill", fill_value=0.0)

        def added(old, leaf):
            wide = share.reshape(*share.shape, *[1] * (leaf.ndim - share.ndim))
            leaf = jnp.where(wide > 0, leaf, 0)  # nobody's model may be that of one who diverged
            highest = lax.Precision.HIGHEST
            some = jnp.tensordot(share, leaf, axes=share.ndim, precision=highest)
            return old + some.astype(old.dtype)

        total = jax.tree.map(added, total, new)
        return total, losses.at[chunks[number]].set(loss, mode="drop")

    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), one_of(models))
    start = nothing, jnp.zeros(numbers.shape[0])
    total, loss = lax.fori_loop(0, chunks.shape[0], one_chunk, start)
    return jax.tree.map(lambda leaf: leaf[None], total), loss
