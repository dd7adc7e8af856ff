"""Distances anew for a few clients whose models changed, when those of all others are known."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.base import Params
from demjax.clustering.columns import fold_chunks
from demjax.clustering.distances import HUGE, ILL_CONDITIONED, RETRIES
from demjax.clustering.group_sizes import follow
from demjax.clustering.pivots import FOLLOWED, Kind
from demjax.pytrees import used_columns


def with_changed(
    kind: Kind, params: Params, known: Float[Array, " N N"], rows: Int[Array, " R"]
) -> Float[Array, " N N"]:
    """Known distances with those of some clients, from and to all others, computed anew.

    ``2 R N P`` operations in place of ``N² P``. As right as ``euclidean``: pairs that lie near
    each other and far from the mean are centred anew at one of the rows that is near both.

    Args:
        kind: What the distance is made of; no angle.
        params: One model for each client, leaves ``[N, ...]``.
        known: Symmetric distances, right but for the rows.
        rows: Whose models changed, all different; past the last client is nobody.
    """
    count = known.shape[0]
    there = jnp.minimum(rows, count - 1)
    value, ill = _squares(params, there, None)
    ill = ill & (rows < count)[:, None]

    def left(state):
        _, ill, retry = state
        return jnp.any(ill) & (retry < RETRIES)

    def anew(state):
        value, ill, retry = state
        leader = _leaders(ill, there, retry)
        new, still = _squares(params, there, leader)
        same = ill & (leader[there][:, None] == leader) & (leader < rows.size)
        return jnp.where(same, new, value), jnp.where(same, still, ill), retry + 1

    value, _, _ = lax.while_loop(left, anew, (value, ill, 0))
    value = jnp.maximum(value, 0.0)
    value = jnp.sqrt(value) if kind.root else value
    # Of two that both changed, either has found the distance: one of these counts for both.
    between = value[:, there]
    between = jnp.where(jnp.tri(rows.size, dtype=bool), between.T, between)
    value = value.at[:, rows].set(between, mode="drop")
    known = known.at[rows].set(value, mode="drop")
    return known.at[:, rows].set(value.T, mode="drop")


def _squares(
    params: Params, rows: Int[Array, " R"], leader: Int[Array, " N"] | None
) -> tuple[Float[Array, " R N"], Bool[Array, " R N"]]:
    """Squared distances of rows to all, centred at the mean or at leaders; which are not right."""
    count = used_columns(params)[0][0].shape[0]

    def step(leader, sums, chunk, new):
        gram, norms = sums
        if leader is None:
            mean = jnp.mean(chunk, axis=0)
            pivot = jnp.where(jnp.abs(mean) < HUGE, mean, 0.0)
        else:
            pivot = chunk[rows][jnp.minimum(leader, rows.size - 1)]
        delta = jnp.where(new, chunk - pivot, 0.0)
        product = jnp.matmul(delta[rows], delta.T, precision=lax.Precision.HIGHEST)
        return gram + product, norms + jnp.sum(delta**2, axis=1)

    nothing = jnp.zeros((rows.size, count), jnp.float32), jnp.zeros(count, jnp.float32)
    gram, norms = fold_chunks(params, step, nothing, leader)
    squares = norms[rows][:, None] + norms
    value = squares - 2 * gram
    same = rows[:, None] == jnp.arange(count)
    return jnp.where(same, 0.0, value), (value < ILL_CONDITIONED * squares) & ~same


def _leaders(
    ill: Bool[Array, " R N"], rows: Int[Array, " R"], retry: Int[Array, ""]
) -> Int[Array, " N"]:
    """For each client which of the rows that it makes an ill-conditioned pair with is in most.

    In the first tries that row's own leader, and so on, as in ``pivots.leaders``. Where there is
    none it is ``R``.
    """
    often = jnp.sum(ill, axis=1)
    own = jnp.zeros(ill.shape, bool).at[jnp.arange(rows.size), rows].set(often > 0)
    weight = jnp.where(ill | own, often[:, None], -1)
    leader = jnp.argmax(weight, axis=0)
    leader = jnp.where(jnp.max(weight, axis=0) > 0, leader, rows.size).astype(jnp.int32)
    of_rows = jnp.minimum(leader[rows], rows.size)
    of_rows = jnp.where(of_rows < rows.size, of_rows, jnp.arange(rows.size, dtype=jnp.int32))
    hop = jnp.append(jnp.where(retry < FOLLOWED, follow(of_rows), jnp.arange(rows.size)), rows.size)
    return hop[leader].astype(jnp.int32)
