"""Sums of many models' scores over blocks of test examples, a block at a time for all models."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.base import ClientData, Params
from demjax.metrics.scoring import models_at_once, scores
from demjax.pytrees import as_pytree, one_of


def sums_of_scores(
    score: Callable[..., tuple[Float[Array, " B *K"], ...]],
    example: Int[Array, " blocks block"],
    owner: Int[Array, " blocks block"],
    count: int,
    widths: Sequence[tuple[int, ...]],
    parts: tuple[int, ...],
    chunk: int | None,
) -> Callable[[ClientData, tuple], tuple[Float[Array, " A 2 *K"], ...]]:
    """Make the function that scores some models on all examples, each device its own.

    Args:
        score: ``(model, x[B], y[B])`` to numbers of each example, in arrays.
        example: The test examples.
        owner: Whose they are; ``count`` marks padding.
        count: How many clients there are.
        widths: The axes behind that of models of the sums of each of these arrays.
        parts: ``(R,)`` where sums are wanted of each of ``R`` parts of the examples, else ``()``.
        chunk: Models scored at once; ``None`` for ``models_at_once``.

    Returns:
        ``(data, (models[A, ...], whose, exists[A])) -> sums``: over the examples of each model's
        client, or members, and over all.
    """

    def score_one(
        examples: tuple[Array, Array, Array],
        params: Params,
        whose: Bool[Array, " N"] | Int[Array, ""],
        models: int = 1,
    ) -> tuple[Float[Array, " 2 *K"], ...]:
        """Sums of a model's scores over the examples of its client or members, and over all."""
        x, y, owners = examples
        member = jnp.arange(count + 1) == whose if whose.ndim == 0 else jnp.pad(whose, (0, 1))
        found = scores(score, as_pytree(params), x, y, models=models)
        masks = member[owners], owners < count
        return tuple(jnp.stack([_sums(one, mask, parts) for mask in masks]) for one in found)

    def score_some(
        data: ClientData,
        divided: tuple[Params, Bool[Array, " A N"] | Int[Array, " A"], Bool[Array, " A"]],
    ) -> tuple[Float[Array, " A 2 *K"], ...]:
        """Score those of one device's models that exist: a block, and on it a chunk at a time."""
        params, whose, exists = divided
        models = exists.shape[0]
        width = min(chunk or models_at_once(score, *_shapes(params, data, example)), models)
        order = jnp.argsort(~exists)
        order = jnp.pad(order, (0, -models % width), constant_values=models)
        chunks = (jnp.sum(exists) + width - 1) // width

        def one_block(sums, rows):
            # Fetched once for all models, which is as much work as a small model's answers.
            examples = data.x[rows[0]], data.y[rows[0]], rows[1]

            def one_chunk(number, sums):
                mine = lax.dynamic_slice(order, (number * width,), (width,))
                if width == 1:
                    one = jax.tree.map(lambda leaf: leaf[mine[0]], (params, whose))
                    row = jax.tree.map(lambda leaf: leaf[None], score_one(examples, *one))
                else:
                    some = jax.tree.map(
                        lambda leaf: leaf.at[mine].get(mode="clip"), (params, whose)
                    )
                    row = jax.vmap(partial(score_one, examples, models=width))(*some)
                return jax.tree.map(lambda s, r: s.at[mine].add(r, mode="drop"), sums, row)

            return lax.fori_loop(0, chunks, one_chunk, sums), None

        none = tuple(jnp.zeros((models, 2, *width)) for width in widths)
        return lax.scan(one_block, none, (example, owner))[0]

    return score_some


def _shapes(params: Params, data: ClientData, example: Int[Array, " blocks block"]) -> tuple:
    """The shapes of one of the stacked models, and of a block of examples and their labels."""
    block = example.shape[1]

    def shape(leaf, *first):
        return jax.ShapeDtypeStruct((*first, *leaf.shape[1:]), leaf.dtype)

    return one_of(params), shape(data.x, block), shape(data.y, block)


def _sums(
    values: Float[Array, " B *K"], mask: Bool[Array, " B"], parts: tuple[int, ...]
) -> Float[Array, " *K"]:
    """Sums over the examples that count, in parts where these are sampled."""
    # What does not count may be infinite where it is a loss, and then has no product.
    kept = values * mask if values.ndim == 1 else jnp.where(mask[:, None], values, 0)
    return jnp.sum(kept.reshape(-1, *parts, *kept.shape[1:]), axis=0)
