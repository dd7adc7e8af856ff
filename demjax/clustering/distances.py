"""How far clients are from one another: distances between stacked models."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from demjax.backend import policy
from demjax.backend.blocks import STRIPS, fold, rows_of_a_part
from demjax.base import Params
from demjax.clustering.columns import fold_chunks
from demjax.clustering.pivots import Kind, Pivots, leaders, moved, pivots_at
from demjax.pytrees import used_columns
from demjax.registry import DISTANCES

Metric = Callable[[Params], Float[Array, " N N"]]

BLOCKS = 8
"""In how many parts products are worked on."""
ILL_CONDITIONED, RETRIES = 0.1, 64
"""What must be left of a pair's squares, or it is centred anew, and how often that may be."""
HUGE, TINY = 1e12, 1e-37
"""A mean beyond which models are not centred, and a divisor and a mark that are not 0."""


def _add_up(
    kind: Kind, params: Params, gram: Float[Array, " N N"], pivots: Pivots | None
) -> tuple[Array, ...]:
    """Add up products of models centred at their mean, or at their leaders.

    Returns:
        Sums over all parameters of ``δ_m δ_n``, at least above the diagonal, and, of use
        to angles, of ``c δ_n``, ``c²``, ``δ_n`` and ``c``, where ``c`` is the pivot.
    """
    count, rows = gram.shape[0], rows_of_a_part(gram.shape[0], BLOCKS)

    def step(pivots, sums, chunk, new):
        gram, *others = sums
        if pivots is None:
            ones = jnp.full((1, count), 1 / count, jnp.float32)
            mean = jnp.matmul(ones, chunk, precision=lax.Precision.HIGHEST)  # faster than a sum
            pivot = jnp.where(jnp.abs(mean) < HUGE, mean, 0.0)  # lest one spoils it for all
            offset, delta = jnp.float32(0), chunk - pivot
        else:
            # Tied to the chunk, or XLA keeps a table of which leaders are the same.
            leader, chunk = lax.optimization_barrier((pivots.leader, chunk))
            pivot, offset = chunk[leader], pivots.mean[leader, None]
            delta = moved(chunk, pivot, pivots)
        delta = jnp.where(new, delta, 0.0)

        def product(gram, start, some, others, place):
            block = jnp.matmul(some, others.T, precision=lax.Precision.HIGHEST)
            if pivots is not None:
                mine = lax.dynamic_slice_in_dim(leader, start, some.shape[0])
                block = jnp.where(mine[:, None] == leader[place[1] :], block, 0.0)
            old = lax.dynamic_slice(gram, place, block.shape)
            return lax.dynamic_update_slice(gram, old + block, place)

        def some_rows(gram, start, fresh):
            some = lax.dynamic_slice_in_dim(delta, start, rows)
            return product(gram, start, jnp.where(fresh[:, None], some, 0.0), delta, (start, 0))

        if policy.products_above_diagonal():
            for i in range(0, count, rows):
                # Tied to the block before, or XLA keeps the products of all blocks at a time.
                some = jnp.where(gram[0, 0] < 0, 0.0, delta[i:])
                gram = product(gram, i, some[:rows], some, (i, i))
        else:
            gram = fold(count, rows, some_rows, gram)
        if kind.angular:
            pivot = jnp.where(new, pivot - offset, 0.0)
            terms = (pivot * delta, pivot**2, delta, pivot)
            others = [old + jnp.sum(x, axis=1) for old, x in zip(others, terms, strict=True)]
        return gram, *others

    each, own = (jnp.zeros(n, jnp.float32) for n in (count, 1 if pivots is None else count))
    return fold_chunks(params, step, (gram, each, own, each, own), pivots)


def _finish(
    kind: Kind, sums: tuple[Array, ...], pivots: Pivots | None, size: float
) -> tuple[Float[Array, " N N"], Bool[Array, ""]]:
    """Distances for products above the diagonal, negative where ill-conditioned; if any is."""
    gram, along, square, rest, pivot = sums
    norms, everyone = jnp.diagonal(gram), jnp.arange(gram.shape[0])
    rows = rows_of_a_part(gram.shape[0], STRIPS)
    square = square - pivot**2 / size
    surplus = 2 * (along - rest * pivot / size) + norms - rest**2 / size  # ‖w‖² − ‖c‖²
    lengths, at_pivot = (jnp.sqrt(jnp.maximum(x, 0.0)) for x in (square + surplus, square))
    weak = lengths**2 < ILL_CONDITIONED * (square + pivot**2 / size + norms)

    def less_length(value, rest, surplus, length, other):
        # 2 ‖w_m‖ ‖w_n‖ (1 − cos) = ‖w_m − w_n‖² − (‖w_m‖ − ‖w_n‖)²
        longer = surplus / jnp.maximum(length + other, TINY)
        return value - rest**2 / size - longer**2 if kind.angular else value

    def finished(value, length, other):
        value = jnp.maximum(value, 0.0)
        value = value / jnp.maximum(2 * length * other, TINY) if kind.angular else value
        return jnp.sqrt(value) if kind.root else value

    to_pivot = less_length(norms, rest, surplus, lengths, at_pivot)
    to_pivot = finished(to_pivot, lengths, at_pivot)

    def strip(state, start, new):
        matrix, unsure = state

        def here(x):
            return lax.dynamic_slice_in_dim(x, start, rows)[:, None]

        old, new = lax.dynamic_slice_in_dim(matrix, start, rows), new[:, None]
        squares, length = here(norms) + norms, here(lengths)
        apart = here(rest) - rest, here(surplus) - surplus
        value = less_length(squares - 2 * old, *apart, length, lengths)
        ill = value < ILL_CONDITIONED * squares
        if kind.angular:
            ill = ill | here(weak) | weak
        value = finished(value, length, lengths)
        if pivots is not None:
            leader, empty = pivots.leader, here(pivots.empty) + pivots.empty
            to, back = here(everyone) == leader, here(leader) == everyone
            value = jnp.where(to, to_pivot, jnp.where(back, here(to_pivot), value))
            value = jnp.where(empty > 0, 1 - empty / 2, value)
            ill = ill & (empty == 0) & ~(to | back)
            new = new & (to | back | (here(leader) == leader))
        value = jnp.where(ill, -jnp.maximum(value, TINY), value)
        value = jnp.where(here(everyone) < everyone, jnp.where(new, value, old), 0.0)
        matrix = lax.dynamic_update_slice_in_dim(matrix, value, start, axis=0)
        # Read back, for a loop that has two uses for what it writes over copies it first.
        return matrix, unsure | jnp.any(lax.dynamic_slice_in_dim(matrix, start, rows) < 0)

    return fold(gram.shape[0], rows, strip, (gram, jnp.bool_(False)))


def _distances(kind: Kind, params: Params) -> Float[Array, " N N"]:
    """Distances from products of centred models, without a second copy of all models.

    All are centred at their mean. Of two near each other and far from it, little more than rounding
    would be left; such ill-conditioned pairs are centred anew at a client near them, their pivot.
    """
    leaves = jax.tree.leaves(params)
    count = leaves[0].shape[0]
    everyone, rows = jnp.arange(count), rows_of_a_part(count, STRIPS)
    # What the sums over a model are divided by where correlation takes its mean entry out.
    size = float(sum(used for _, used in used_columns(params))) if kind.less_mean else float("inf")

    def anew(state):
        matrix, _, retry = state
        pivots = pivots_at(kind, params, leaders(matrix, retry), size, retry)
        gram = jnp.where(pivots.leader[:, None] == pivots.leader, 0.0, matrix)
        return *_finish(kind, _add_up(kind, params, gram, pivots), pivots, size), retry + 1

    def mirror(matrix, start, _):
        above = lax.dynamic_slice_in_dim(matrix, start, rows, axis=0).T
        old = lax.dynamic_slice_in_dim(matrix, start, rows, axis=1)
        # Here, not for all of it at once, which would take a second matrix.
        strip = jnp.abs(jnp.where(everyone[:, None] > start + everyone[:rows], above, old))
        return lax.dynamic_update_slice_in_dim(matrix, strip, start, axis=1)

    gram = jnp.zeros((count, count), jnp.float32)
    first = _finish(kind, _add_up(kind, params, gram, None), None, size)
    matrix, _, _ = lax.while_loop(lambda now: now[1] & (now[2] < RETRIES), anew, (*first, 0))
    return fold(count, rows, mirror, matrix)


@DISTANCES.register(itself=True)
def euclidean(params: Params) -> Float[Array, " N N"]:
    """Euclidean distance of every pair of clients over all parameters, in single precision.

    ``d_mn = ‖w_m − w_n‖``, right to 1e-5 of itself, also in groups of clients that are 1e5
    times tighter than they are apart, in groups of groups, and of models along one line. Each
    scale at which clients lie together costs about once more, up to ``RETRIES`` times.

    Args:
        params: One model for each client, leaves ``[N, ...]``.

    Returns:
        Distances: symmetric, 0 on the diagonal; not finite for a client that is not, or whose
        length is above 1e18. Lengths below 1e-15 lose their digits.
    """
    return _distances(Kind(root=True), params)


@DISTANCES.register(itself=True)
def sqeuclidean(params: Params) -> Float[Array, " N N"]:
    """Squared Euclidean distance, ``d_mn = ‖w_m − w_n‖²``; all else as in ``euclidean``."""
    return _distances(Kind(), params)


@DISTANCES.register(itself=True)
def cosine(params: Params) -> Float[Array, " N N"]:
    """Cosine distance, ``d_mn = 1 − ⟨w_m, w_n⟩ / (‖w_m‖ ‖w_n‖)``; else as ``euclidean``.

    Right to 2e-5 of itself, or to 1e-4 where models 1e-4 apart differ much in length. A model of
    zeros has distance ½ to all others and 0 to another of zeros.
    """
    return _distances(Kind(angular=True), params)


@DISTANCES.register(itself=True)
def correlation(params: Params) -> Float[Array, " N N"]:
    """Cosine distance of models less their mean entry each; a constant is a model of zeros."""
    return _distances(Kind(angular=True, less_mean=True), params)


KINDS: dict[Metric, Kind] = {
    euclidean: Kind(root=True),
    sqeuclidean: Kind(),
    cosine: Kind(angular=True),
    correlation: Kind(angular=True, less_mean=True),
}
"""What distances are made of, those of a user's own function aside."""
