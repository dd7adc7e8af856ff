"""How far clients are from one another: distances between stacked models."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.base import Params

Metric = Callable[[Params], Float[Array, " N N"]]

CHUNK, NARROWEST, WIDEST = 2**20, 256, 8192
"""How many numbers of all clients are centred at a time, and of each client at least, at most."""
BLOCKS, STRIPS, LOWEST = 8, 64, 32
"""How many parts products and distances are worked through in, and how few rows one may have."""
POOR = 1 / 32
"""If less than this is left of a pair's squares, rounding shows and it is centred anew."""
RETRIES = 4
"""How often the poor pairs may be centred anew."""
HUGE, TINY = 1e12, 1e-37
ANGULAR = ("cosine", "correlation")


class _Centres(NamedTuple):
    """Another client as the centre of each: ``δ_n = u_n − u_leader``, ``u = stretch w − shift``.

    Attributes:
        leader: The client that is the centre.
        stretch: What gives a model its leader's length; 1 if it almost has it.
        shift: What gives a model its leader's mean entry; 0 if it almost has it.
        mean: The leader's mean entry, 0 unless the metric takes it out.
        empty: 1 for a model without direction, else 0.
    """

    leader: Int[Array, " N"]
    scale: Float[Array, " N"]
    stretch: Float[Array, " N"]
    shift: Float[Array, " N"]
    mean: Float[Array, " N"]
    empty: Float[Array, " N"]


class _Sums(NamedTuple):
    """Sums over all parameters of centres ``c`` and centred models ``δ_n = w_n − c``."""

    gram: Float[Array, " N N"]  # of δ_m δ_n, in the blocks on and above the diagonal
    along: Float[Array, " N"]  # of c δ_n
    square: Float[Array, " R"]  # of c², one for all clients or for each its own
    rest: Float[Array, " N"]  # of δ_n, if the metric takes the mean entry out
    centre: Float[Array, " R"]  # of c, likewise


def _rows(count: int, parts: int) -> int:
    return min(count, max(LOWEST, -(-count // parts)))


def _fold(size: int, width: int, step: Callable, state: Any) -> Any:
    """Fold ``step(state, start, new)`` over windows of one width; the last overlaps another."""

    def window(k, state):
        start = jnp.minimum(k * width, size - width)
        return step(state, start, start + jnp.arange(width) >= k * width)

    return lax.fori_loop(0, -(-size // width), window, state)


def _fold_chunks(params: Params, step: Callable, state: Any) -> Any:
    """Fold ``step(state, chunk[N, C], new[C])`` over all parameters, a few columns at a time."""
    for leaf in jax.tree.leaves(params):
        if leaf.size:
            flat = leaf.reshape(leaf.shape[0], -1)
            width = min(flat.shape[1], max(NARROWEST, min(CHUNK // flat.shape[0], WIDEST)))

            def chunk(state, start, new, flat=flat, width=width):
                some = lax.dynamic_slice_in_dim(flat, start, width, axis=1)
                return step(state, some.astype(jnp.float32), new)

            state = _fold(flat.shape[1], width, chunk, state)
    return state


def _mean(chunk: Float[Array, " N C"]) -> Float[Array, " 1 C"]:
    """The clients' mean, 0 where one that diverged would spoil it for all others."""
    ones = jnp.full((1, chunk.shape[0]), 1 / chunk.shape[0], jnp.float32)
    mean = jnp.matmul(ones, chunk, precision=lax.Precision.HIGHEST)  # 50 times faster than a sum
    return jnp.where(jnp.abs(mean) < HUGE, mean, 0.0)


def _add_up(
    kind: str, params: Params, gram: Float[Array, " N N"], centres: _Centres | None
) -> _Sums:
    """Add the products of models centred at the mean, or at their leaders, to ``gram``."""
    count = gram.shape[0]
    rows = _rows(count, BLOCKS)

    def step(sums, chunk, new):
        if centres is None:
            centre, mean = _mean(chunk), 0.0
            delta = chunk - centre
        else:
            # Tied to the chunk, or XLA keeps a table of which leaders are the same.
            leader, chunk = lax.optimization_barrier((centres.leader, chunk))
            centre, mean = chunk[leader], centres.mean[:, None]
            change = chunk * centres.stretch[:, None] - centres.shift[:, None]
            delta = (chunk * centres.scale[:, None] - centre) + change
        delta, gram = jnp.where(new, delta, 0.0), sums.gram
        for i in range(0, count, rows):
            # Tied to the block before, or XLA has the products of all blocks at a time.
            some = jnp.where(gram[0, 0] < 0, 0.0, delta[i:])
            block = jnp.matmul(some[:rows], some.T, precision=lax.Precision.HIGHEST)
            if centres is not None:
                block = jnp.where(leader[i : i + rows, None] == leader[i:], block, 0.0)
            gram = lax.dynamic_update_slice(gram, gram[i : i + rows, i:] + block, (i, i))
        sums = sums._replace(gram=gram)
        if kind in ANGULAR:
            centre = jnp.where(new, centre - mean, 0.0)
            along, square = jnp.sum(centre * delta, axis=1), jnp.sum(centre**2, axis=1)
            sums = sums._replace(along=sums.along + along, square=sums.square + square)
        if kind == "correlation":
            rest, total = jnp.sum(delta, axis=1), jnp.sum(centre, axis=1)
            sums = sums._replace(rest=sums.rest + rest, centre=sums.centre + total)
        return sums

    each, own = (jnp.zeros(n, jnp.float32) for n in (count, 1 if centres is None else count))
    return _fold_chunks(params, step, _Sums(gram, each, own, each, own))


def _finish(kind: str, sums: _Sums, centres: _Centres | None, size: int) -> Float[Array, " N N"]:
    """Distances in place of products above the diagonal, negative where a pair is poor."""
    gram, along, square, rest, centre = sums
    count, norms = gram.shape[0], jnp.diagonal(gram)
    everyone, rows = jnp.arange(count), _rows(count, STRIPS)
    surplus = 2 * (along - rest * centre / size) + norms - rest**2 / size
    lengths = jnp.sqrt(jnp.maximum(square - centre**2 / size + surplus, 0.0))
    weak = lengths**2 < POOR * (square + norms)

    def strip(matrix, start, new):
        here = lambda x: lax.dynamic_slice_in_dim(x, start, rows)[:, None]
        old = lax.dynamic_slice_in_dim(matrix, start, rows)
        squares = here(norms) + norms
        value = squares - 2 * old
        if kind in ANGULAR:
            value = value - (here(rest) - rest) ** 2 / size
            longer = (here(surplus) - surplus) / jnp.maximum(here(lengths) + lengths, TINY)
            value = value - longer**2
        poor = value <= POOR * squares
        value = jnp.maximum(value, 0.0)
        if kind in ANGULAR:
            poor = poor | here(weak) | weak
            value = value / jnp.maximum(2 * here(lengths) * lengths, TINY)
        if kind == "euclidean":
            value = jnp.sqrt(value)
        new = new[:, None]
        if centres is not None:
            empty = here(centres.empty) + centres.empty
            value, poor = jnp.where(empty > 0, 1 - empty / 2, value), poor & (empty == 0)
            new = new & (here(centres.leader) == centres.leader)
        value = jnp.where(poor & (value < jnp.inf), -jnp.maximum(value, TINY), value)
        value = jnp.where(here(everyone) < everyone, jnp.where(new, value, old), 0.0)
        return lax.dynamic_update_slice_in_dim(matrix, value, start, axis=0)

    return _fold(count, rows, strip, gram)


def _leaders(matrix: Float[Array, " N N"]) -> Int[Array, " N"]:
    """The first client that each makes a poor pair with; itself if none is before it."""
    count, everyone = matrix.shape[0], jnp.arange(matrix.shape[0])
    rows = _rows(count, STRIPS)

    def strip(leader, start, _):
        poor = lax.dynamic_slice_in_dim(matrix, start, rows) < 0
        row = start + jnp.arange(rows)
        return jnp.minimum(leader, jnp.min(jnp.where(poor, row[:, None], count), axis=0))

    return _fold(count, rows, strip, everyone)


def _centres(
    kind: str, params: Params, leader: Int[Array, " N"], size: int, retry: Int[Array, ""]
) -> _Centres:
    """What brings models near their leaders, if the metric takes no notice of it."""
    none = jnp.zeros(leader.shape, jnp.float32)
    if kind not in ANGULAR:
        return _Centres(leader, none + 1, none, none, none, none)
    first = next(leaf.reshape(leaf.shape[0], -1)[:, 0] for leaf in jax.tree.leaves(params))
    first = first.astype(jnp.float32) if kind == "correlation" else none

    def step(sums, chunk, new):
        chunk = jnp.where(new, chunk - first[:, None], 0.0)
        return sums[0] + jnp.sum(chunk, axis=1), sums[1] + jnp.sum(chunk**2, axis=1)

    total, squares = _fold_chunks(params, step, (none, none))
    mean = none
    if kind == "correlation":
        mean, squares = first + total / size, squares - total**2 / size
    length = jnp.where(squares < jnp.inf, jnp.sqrt(jnp.maximum(squares, 0.0)), jnp.nan)
    # At first all models get the length of one, for poor pairs need not be near each other.
    some = jnp.where(length > 0, length, jnp.nan)
    typical = jnp.nanargmin(jnp.abs(some - jnp.nanmedian(some)))
    leader = jnp.where(retry == 0, typical, leader)
    ratio = jnp.where(length == 0, 1.0, length[leader] / length)
    scale = jnp.exp2(jnp.round(jnp.log2(ratio)))
    stretch = jnp.where(length == 0, 0.0, (length[leader] - length * scale) / length)
    shift = (mean * scale - mean[leader]) + mean * stretch
    empty = (length == 0).astype(jnp.float32)
    return _Centres(leader, scale, stretch, shift, mean[leader], empty)


def _distances(kind: str, params: Params) -> Float[Array, " N N"]:
    """Distances from products of centred models.

    All models are centred at their mean. Of two near each other and far from the mean, little
    more than rounding would be left; such pairs are centred anew at a client near them, the
    first one that each makes a poor pair with, until there are none or ``RETRIES`` are over.
    """
    leaves = jax.tree.leaves(params)
    count = leaves[0].shape[0]
    size, rows = sum(leaf.size for leaf in leaves) // count, _rows(count, STRIPS)
    everyone = jnp.arange(count)

    def unsure(state):
        _, leader, retry = state
        return jnp.any(leader < everyone) & (retry < RETRIES)

    def anew(state):
        matrix, leader, retry = state
        centres = _centres(kind, params, leader, size, retry)
        same = centres.leader[:, None] == centres.leader
        sums = _add_up(kind, params, jnp.where(same, 0.0, matrix), centres)
        matrix = _finish(kind, sums, centres, size)
        return matrix, _leaders(matrix), retry + 1

    def mirror(matrix, start, _):
        above = lax.dynamic_slice_in_dim(matrix, start, rows, axis=0).T
        old = lax.dynamic_slice_in_dim(matrix, start, rows, axis=1)
        below = everyone[:, None] > start + jnp.arange(rows)
        strip = jnp.where(below, above, old)
        return lax.dynamic_update_slice_in_dim(matrix, strip, start, axis=1)

    sums = _add_up(kind, params, jnp.zeros((count, count), jnp.float32), None)
    matrix = _finish(kind, sums, None, size)
    matrix, _, _ = lax.while_loop(unsure, anew, (matrix, _leaders(matrix), 0))
    return _fold(count, rows, mirror, jnp.abs(matrix))


def euclidean(params: Params) -> Float[Array, " N N"]:
    return _distances("euclidean", params)


def sqeuclidean(params: Params) -> Float[Array, " N N"]:
    return _distances("sqeuclidean", params)


def cosine(params: Params) -> Float[Array, " N N"]:
    return _distances("cosine", params)


def correlation(params: Params) -> Float[Array, " N N"]:
    return _distances("correlation", params)
