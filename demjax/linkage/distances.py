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
"""How many numbers of all clients are centred at a time, and how few and many columns that is."""
SMALL = 1024
"""Leaves of fewer parameters are put together, for each one makes the program longer."""
BLOCKS, STRIPS, LOWEST = 8, 64, 64
"""In how many parts products and distances are worked on, and how few rows a part has."""
POOR, RETRIES = 0.1, 4
"""What must be left of a pair's squares, or it is centred anew, and how often it may be."""
HUGE, TINY = 1e12, 1e-37
ANGULAR = ("cosine", "correlation")


class _Centres(NamedTuple):
    """Clients as centres: ``δ_n = (scale_n + stretch_n) w_n − shift_n − w_leader``."""

    leader: Int[Array, " N"]  # the client that is the centre
    scale: Float[Array, " N"]  # the power of 2 that nearly gives a model its leader's length,
    stretch: Float[Array, " N"]  # and what is missing: models that are near are hardly rounded
    shift: Float[Array, " N"]  # what gives a model its leader's mean entry
    mean: Float[Array, " N"]  # the leader's mean entry, 0 if the metric leaves it in
    empty: Float[Array, " N"]  # 1 for a model without direction, else 0, or NaN


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
    flats = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(params)]
    small = [flat.astype(jnp.float32) for flat in flats if flat.shape[1] < SMALL]
    flats = [flat for flat in flats if flat.shape[1] >= SMALL]
    for flat in [*flats, jnp.concatenate(small, axis=1)] if small else flats:
        width = min(flat.shape[1], max(NARROWEST, min(CHUNK // flat.shape[0], WIDEST)))

        def chunk(state, start, new, flat=flat, width=width):
            some = lax.dynamic_slice_in_dim(flat, start, width, axis=1)
            return step(state, some.astype(jnp.float32), new)

        state = _fold(flat.shape[1], width, chunk, state)
    return state


def _add_up(
    kind: str, params: Params, gram: Float[Array, " N N"], centres: _Centres | None
) -> tuple[Array, ...]:
    """Add up products of models centred at their mean, or at their leaders.

    Returns:
        Sums over all parameters of ``δ_m δ_n``, above the diagonal onto ``gram``, and, of use
        to angles, of ``c δ_n``, ``c²``, ``δ_n`` and ``c``, where ``c`` is the centre.
    """
    count, rows = gram.shape[0], _rows(gram.shape[0], BLOCKS)
    ones = jnp.full((1, count), 1 / count, jnp.float32)

    def step(sums, chunk, new):
        gram, *others = sums
        if centres is None:
            mean = jnp.matmul(ones, chunk, precision=lax.Precision.HIGHEST)  # faster than a sum
            centre = jnp.where(jnp.abs(mean) < HUGE, mean, 0.0)  # lest one spoils it for all
            offset, delta = jnp.float32(0), chunk - centre
        else:
            # Tied to the chunk, or XLA keeps a table of which leaders are the same.
            leader, chunk = lax.optimization_barrier((centres.leader, chunk))
            centre, offset = chunk[leader], centres.mean[:, None]
            change = chunk * centres.stretch[:, None] - centres.shift[:, None]
            delta = (chunk * centres.scale[:, None] - centre) + change
        delta = jnp.where(new, delta, 0.0)
        for i in range(0, count, rows):
            # Tied to the block before, or XLA keeps the products of all blocks at a time.
            some = jnp.where(gram[0, 0] < 0, 0.0, delta[i:])
            block = jnp.matmul(some[:rows], some.T, precision=lax.Precision.HIGHEST)
            if centres is not None:
                block = jnp.where(leader[i : i + rows, None] == leader[i:], block, 0.0)
            gram = lax.dynamic_update_slice(gram, gram[i : i + rows, i:] + block, (i, i))
        if kind in ANGULAR:
            centre = jnp.where(new, centre - offset, 0.0)
            terms = (centre * delta, centre**2, delta, centre)
            others = [old + jnp.sum(x, axis=1) for old, x in zip(others, terms, strict=True)]
        return gram, *others

    each, own = (jnp.zeros(n, jnp.float32) for n in (count, 1 if centres is None else count))
    return _fold_chunks(params, step, (gram, each, own, each, own))


def _finish(
    kind: str, sums: tuple[Array, ...], centres: _Centres | None, size: float
) -> Float[Array, " N N"]:
    """Distances in place of the products above the diagonal, negative where a pair is poor."""
    gram, along, square, rest, centre = sums
    norms, everyone = jnp.diagonal(gram), jnp.arange(gram.shape[0])
    rows = _rows(gram.shape[0], STRIPS)
    surplus = 2 * (along - rest * centre / size) + norms - rest**2 / size  # ‖w‖² − ‖c‖²
    lengths = jnp.sqrt(jnp.maximum(square - centre**2 / size + surplus, 0.0))
    weak = lengths**2 < POOR * (square + norms)

    def strip(matrix, start, new):
        def here(x):
            return lax.dynamic_slice_in_dim(x, start, rows)[:, None]

        old, new = lax.dynamic_slice_in_dim(matrix, start, rows), new[:, None]
        squares = here(norms) + norms
        value = squares - 2 * old
        if kind in ANGULAR:  # 2 ‖w_m‖ ‖w_n‖ (1 − cos) = ‖w_m − w_n‖² − (‖w_m‖ − ‖w_n‖)²
            longer = (here(surplus) - surplus) / jnp.maximum(here(lengths) + lengths, TINY)
            value = value - (here(rest) - rest) ** 2 / size - longer**2
        value, poor = jnp.maximum(value, 0.0), value < POOR * squares
        if kind in ANGULAR:
            poor = poor | here(weak) | weak
            value = value / jnp.maximum(2 * here(lengths) * lengths, TINY)
        if kind == "euclidean":
            value = jnp.sqrt(value)
        if centres is not None:
            empty = here(centres.empty) + centres.empty
            value, poor = jnp.where(empty > 0, 1 - empty / 2, value), poor & (empty == 0)
            new = new & (here(centres.leader) == centres.leader)
        value = jnp.where(poor, -jnp.maximum(value, TINY), value)
        value = jnp.where(here(everyone) < everyone, jnp.where(new, value, old), 0.0)
        return lax.dynamic_update_slice_in_dim(matrix, value, start, axis=0)

    return _fold(gram.shape[0], rows, strip, gram)


def _leaders(matrix: Float[Array, " N N"]) -> Int[Array, " N"]:
    """The first client that each makes a poor pair with; itself if none is before it."""
    first, everyone = jnp.argmax(matrix < 0, axis=0), jnp.arange(matrix.shape[0])
    return jnp.where(matrix[first, everyone] < 0, first, everyone)


def _centres(
    kind: str, params: Params, leader: Int[Array, " N"], size: float, retry: Int[Array, ""]
) -> _Centres:
    """What brings models near their leaders without a change of their distance."""
    none = jnp.zeros(leader.shape, jnp.float32)
    if kind not in ANGULAR:
        return _Centres(leader, none + 1, none, none, none, none)
    first = none
    if kind == "correlation":  # without its first entry, a constant model is exactly 0
        leaf = next(leaf for leaf in jax.tree.leaves(params) if leaf.size)
        first = leaf.reshape(leaf.shape[0], -1)[:, 0].astype(jnp.float32)

    def step(sums, chunk, new):
        chunk = jnp.where(new, chunk - first[:, None], 0.0)
        return sums[0] + jnp.sum(chunk, axis=1), sums[1] + jnp.sum(chunk**2, axis=1)

    total, squares = _fold_chunks(params, step, (none, none))
    mean, squares = first + total / size, squares - total**2 / size
    length = jnp.where(squares < jnp.inf, jnp.sqrt(jnp.maximum(squares, 0.0)), jnp.nan)
    # At first all get one length, a typical one, as poor pairs may differ in nothing else.
    some = jnp.where(length > 0, length, jnp.nan)
    typical = jnp.nanargmin(jnp.abs(some - jnp.nanmedian(some)))
    leader = jnp.where(retry == 0, typical, leader)
    ratio = jnp.where(length == 0, 1.0, length[leader] / length)
    scale = jnp.exp2(jnp.round(jnp.log2(ratio)))
    stretch, shift = ratio - scale, mean * scale - mean[leader] + mean * (ratio - scale)
    empty = jnp.where(length >= 0, jnp.float32(length == 0), jnp.nan)
    return _Centres(leader, scale, stretch, shift, mean[leader], empty)


def _distances(kind: str, params: Params) -> Float[Array, " N N"]:
    """Distances from products of centred models, without a second copy of all models.

    All are centred at their mean. Of two near each other and far from it, little more than
    rounding would be left; such poor pairs are centred anew at a client near them, their leader.
    """
    leaves = jax.tree.leaves(params)
    count = leaves[0].shape[0]
    everyone, rows = jnp.arange(count), _rows(count, STRIPS)
    # What the sums over a model are divided by where correlation takes its mean entry out.
    size = sum(leaf.size for leaf in leaves) / count if kind == "correlation" else float("inf")

    def unsure(state):
        return jnp.any(state[1] < everyone) & (state[2] < RETRIES)

    def anew(state):
        matrix, leader, retry = state
        centres = _centres(kind, params, leader, size, retry)
        gram = jnp.where(centres.leader[:, None] == centres.leader, 0.0, matrix)
        matrix = _finish(kind, _add_up(kind, params, gram, centres), centres, size)
        return matrix, _leaders(matrix), retry + 1

    def mirror(matrix, start, _):
        above = lax.dynamic_slice_in_dim(matrix, start, rows, axis=0).T
        old = lax.dynamic_slice_in_dim(matrix, start, rows, axis=1)
        strip = jnp.where(everyone[:, None] > start + everyone[:rows], above, old)
        return lax.dynamic_update_slice_in_dim(matrix, strip, start, axis=1)

    gram = jnp.zeros((count, count), jnp.float32)
    matrix = _finish(kind, _add_up(kind, params, gram, None), None, size)
    state = (matrix, _leaders(matrix), 0)
    matrix, _, _ = lax.while_loop(unsure, anew, state)
    return _fold(count, rows, mirror, jnp.abs(matrix))


def euclidean(params: Params) -> Float[Array, " N N"]:
    """Euclidean distance of every pair of clients over all parameters, in single precision.

    ``d_mn = ‖w_m − w_n‖``, right to 1e-5 of itself, also in groups of clients that are 1e5
    times tighter than they are apart, unless groups are nested more than ``RETRIES`` deep:
    of models along one line, squares are right to 1e-6 of the largest only.

    Args:
        params: One model for each client, leaves ``[N, ...]``.

    Returns:
        Distances: symmetric, 0 on the diagonal; not finite for a client that is not.
    """
    return _distances("euclidean", params)


def sqeuclidean(params: Params) -> Float[Array, " N N"]:
    """Squared Euclidean distance, ``d_mn = ‖w_m − w_n‖²``; all else as in ``euclidean``."""
    return _distances("sqeuclidean", params)


def cosine(params: Params) -> Float[Array, " N N"]:
    """Cosine distance, ``d_mn = 1 − ⟨w_m, w_n⟩ / (‖w_m‖ ‖w_n‖)``; else as ``euclidean``.

    A model of zeros has distance ½ to all others and 0 to another of zeros.
    """
    return _distances("cosine", params)


def correlation(params: Params) -> Float[Array, " N N"]:
    """Cosine distance of models less their mean entry each; a constant is a model of zeros."""
    return _distances("correlation", params)
