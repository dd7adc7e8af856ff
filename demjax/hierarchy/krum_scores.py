"""Krum's scores: who is nearest to the others, and how many of a group may lie."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def bearable(liars: float, members: Int[Array, ""], beside: int) -> Int[Array, ""]:
    """How many of a group may lie: a share of it, but such that ``n > 2 f + beside``."""
    asked = jnp.floor(liars * members + 1e-3).astype(jnp.int32)
    return jnp.clip(asked, 0, jnp.maximum(0, (members - 1 - beside) // 2))


def least_scores(
    apart: Float[Array, " N N"],
    there: Bool[Array, " N"],
    *,
    liars: float,
    margin: int,
    taken: Callable[..., Int[Array, ""]],
) -> Float[Array, " N"]:
    """What each member of a group counts: equal shares for those of the least scores.

    A score is the sum of squared distances to the ``n − f − margin`` nearest other members.

    Args:
        apart: Squared distances.
        there: Which of them are members.
        liars: Share of the members that may lie.
        margin: How many fewer than n − f others count.
        taken: ``(n, f) ->`` how many members count, at least one.

    Source: Blanchard et al., NeurIPS 2017, arXiv 1703.02757.
    """
    count = there.shape[0]
    others = there[None, :] & ~jnp.eye(count, dtype=bool)
    nearest = jnp.sort(jnp.where(others, apart, jnp.inf), axis=1)
    members = jnp.sum(there)
    f = bearable(liars, members, 2)
    near = jnp.arange(count) < jnp.maximum(1, members - f - margin)
    score = jnp.sum(jnp.where(near & (nearest < jnp.inf), nearest, 0), axis=1)
    score = jnp.where(there, score, jnp.inf)
    rank = jnp.zeros(count, jnp.int32).at[jnp.argsort(score, stable=True)].set(jnp.arange(count))
    chosen = there & (rank < jnp.maximum(1, taken(members, f)))
    return chosen / jnp.maximum(jnp.sum(chosen), 1)
