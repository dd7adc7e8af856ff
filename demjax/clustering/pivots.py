"""Which client near others takes the mean's place as their pivot, and how they come near it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.backend.blocks import STRIPS, fold, rows_of_a_part
from demjax.base import Params
from demjax.clustering.columns import fold_chunks
from demjax.clustering.group_sizes import follow

FOLLOWED = 3
"""In how many tries a group has one pivot, however loosely it hangs together."""


class Kind(NamedTuple):
    """What a distance is made of.

    Attributes:
        angular: Whether models count by their direction only.
        less_mean: Whether each model's mean entry is taken out of it.
        root: Whether it is the root of a square.
    """

    angular: bool = False
    less_mean: bool = False
    root: bool = False


class Pivots(NamedTuple):
    """Clients as pivots, and what brings models near them without a change of their distance.

    ``δ_n = (scale_n + stretch_n) (w_n − mean_n) − (w_leader − mean_leader)``
    """

    leader: Int[Array, " N"]  # the client that is the pivot
    scale: Float[Array, " N"]  # the power of 2 that nearly gives a model its leader's length,
    stretch: Float[Array, " N"]  # and what is missing
    mean: Float[Array, " N"]  # a model's mean entry, 0 if the metric leaves it in
    empty: Float[Array, " N"]  # 1 for a model without direction, else 0, or NaN


def leaders(matrix: Float[Array, "N N"], retry: Int[Array, ""]) -> Int[Array, " N"]:
    """Of a client and those that it makes an ill-conditioned pair with, the one in most such pairs.

    Ill-conditioned pairs are negative above the diagonal. In the first tries it is the leader's
    leader's, and so on: one for all of a group that is tight, of whose pairs only some may be
    ill-conditioned. Then it is the leader itself: clients along a line so get few leaders that are
    near many, and few tries leave no pair ill-conditioned.
    """
    ill, everyone = matrix < 0, jnp.arange(matrix.shape[0])
    rows = rows_of_a_part(matrix.shape[0], STRIPS)

    def count(often, start, new):
        some = (lax.dynamic_slice_in_dim(matrix, start, rows) < 0) & new[:, None]
        often = often + jnp.sum(some, axis=0, dtype=jnp.int32)
        here = lax.dynamic_slice_in_dim(often, start, rows)
        here = here + jnp.sum(some, axis=1, dtype=jnp.int32)
        return lax.dynamic_update_slice_in_dim(often, here, start, axis=0)

    often = fold(matrix.shape[0], rows, count, jnp.zeros(matrix.shape[0], jnp.int32))
    before = jnp.argmax(jnp.where(ill, often[:, None], -1), axis=0)
    found = ill[before, everyone] & (often[before] >= often)
    leader = jnp.where(found, before, everyone)
    after = jnp.argmax(jnp.where(ill, often, -1), axis=1)
    found = ill[everyone, after] & (often[after] > often[leader])
    leader = jnp.where(found, after, leader)
    return jnp.where(retry < FOLLOWED, follow(leader), leader)


def pivots_at(
    kind: Kind, params: Params, leader: Int[Array, " N"], size: float, retry: Int[Array, ""]
) -> Pivots:
    """Lengths and means of all models, and how models take on their leaders'.

    Args:
        kind: What the distance is made of.
        params: One model for each client, leaves ``[N, ...]``.
        leader: The client that each is brought near; in the first try of a distance of
            directions all are brought to one length, and this is not looked at.
        size: Parameters of a model where its mean entry is taken out, else infinity.
        retry: How many times models have been centred anew.
    """
    none = jnp.zeros(leader.shape, jnp.float32)
    if not kind.angular:
        return Pivots(leader, none + 1, none, none, none)
    first = none
    if kind.less_mean:  # without its first entry, a constant model is exactly 0
        leaf = next(leaf for leaf in jax.tree.leaves(params) if leaf.size)
        first = leaf.reshape(leaf.shape[0], -1)[:, 0].astype(jnp.float32)

    def step(first, sums, chunk, new):
        chunk = jnp.where(new, chunk - first[:, None], 0.0)
        return sums[0] + jnp.sum(chunk, axis=1), sums[1] + jnp.sum(chunk**2, axis=1)

    total, squares = fold_chunks(params, step, (none, none), first)
    mean, squares = first + total / size, squares - total**2 / size
    length = jnp.where(squares < jnp.inf, jnp.sqrt(jnp.maximum(squares, 0.0)), jnp.nan)
    # At first all get one length, a typical one: ill-conditioned pairs may differ in this alone.
    some = jnp.where(length > 0, length, jnp.nan)
    typical = jnp.nanargmin(jnp.abs(some - jnp.nanmedian(some)))
    leader = jnp.where(retry == 0, typical, leader)
    ratio = jnp.where(length == 0, 1.0, length[leader] / length)
    scale = jnp.ldexp(jnp.float32(1), jnp.round(jnp.log2(ratio)).astype(jnp.int32))
    empty = jnp.where(length >= 0, jnp.float32(length == 0), jnp.nan)
    return Pivots(leader, scale, ratio - scale, mean, empty)


def moved(
    chunk: Float[Array, "N C"], pivot: Float[Array, "N C"], pivots: Pivots
) -> Float[Array, "N C"]:
    """Some columns of all models less their leaders', rounded at the size of what is left.

    The power of 2 rounds nothing. What the subtraction of the pivot rounds away is found again
    (Knuth's exact difference), for between models of unlike means it may be most of what matters.

    Args:
        chunk: Columns of the models.
        pivot: The same columns of their leaders.
        pivots: Who they are, and how models are brought near them.
    """
    scaled = chunk * pivots.scale[:, None]
    apart = scaled - pivot
    taken = scaled - apart
    rounded = (scaled - (apart + taken)) + (taken - pivot)
    shift = pivots.mean * pivots.scale - pivots.mean[pivots.leader]
    change = (chunk - pivots.mean[:, None]) * pivots.stretch[:, None]
    return (apart - shift[:, None]) + (rounded + change)
