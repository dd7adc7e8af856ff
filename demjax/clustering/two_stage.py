"""A dendrogram in two stages: clients around centroids, then exact linkage of the centroids.

For clients so many that their distances from one another, ``N²`` numbers, take too long or too
much memory. What is near the leaves of the dendrogram is coarse, what is near the root is not.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Shaped

from demjax.backend import policy
from demjax.backend.blocks import fold
from demjax.backend.sharding import everywhere, over_clients
from demjax.clustering.dendrogram import cophenetic_correlation
from demjax.clustering.distances import sqeuclidean
from demjax.clustering.linkage import Method, as_scipy, linkage_of_parts
from demjax.clustering.neighbor_chain import Merges
from demjax.clustering.pivots import Kind


def two_stage_linkage(
    points: Float[Array, " N D"], kind: Kind, method: Method, centroids: int
) -> tuple[Float[Array, " N-1 4"], Float[Array, ""]]:
    """The linkage matrix of clients, and how well its upper part keeps distances of centroids.

    1. ``C`` clients, evenly spread along a coordinate, gather those that are nearest to them; the
       centroids are the means ``c_a`` of what they gather, with variances ``v_a``.
    2. Linkage of the centroids, weighted by how many clients each has. They are as far apart as
       their clients on average, in squares ``‖c_a − c_b‖² + v_a + v_b``; for Ward's method as far
       as it has two clusters, ``2 n_a n_b ‖c_a − c_b‖² / (n_a + n_b)``.
    3. Below its centroid's first merge a cluster is a chain of its clients, the nearest first.

    Args:
        points: A point for each client. One that is not finite lies far from all others, and the
            last merge then has the height infinity to tell.
        kind: What the distance is made of; angular: the cosine distance.
        method: The linkage method.
        centroids: ``C``, at least 2; at most ``N`` are made.

    Returns:
        The linkage matrix, and the cophenetic correlation of the centroids' dendrogram.
    """
    count = points.shape[0]
    if count == 1:
        return jnp.zeros((0, 4), jnp.float32), jnp.float32(jnp.nan)
    points, finite = _made_finite(points, kind)
    order = jnp.argsort(jnp.where(finite, everywhere(points[:, 0]), jnp.inf))
    places = jnp.round(jnp.linspace(0, count - 1, min(centroids, count))).astype(jnp.int32)
    seeds = order[places]
    points = _made_safe(points, finite, seeds, kind)
    own, mean, size = _gathered(points, seeds)
    apart = _squares(points, mean, own)
    spread = jnp.zeros_like(size).at[own].add(apart) / size
    squares = sqeuclidean({"centroids": mean})
    if method.squared:
        factor = jnp.sqrt(2 * size * size[:, None] / (size + size[:, None]))
        distances, height = factor * _finished(kind, squares), 2**0.5 * _finished(kind, apart)
    else:
        distances = _finished(kind, squares + spread + spread[:, None])
        distances = jnp.where(jnp.eye(size.size, dtype=bool), 0.0, distances)
        height = _finished(kind, apart + spread[own])
    merges = linkage_of_parts(distances, size, method)
    cophenetic = cophenetic_correlation(_counting_parts(merges), distances)
    rows = _with_clients(merges, own, size, height)
    found = as_scipy(Merges(rows, jnp.int32(count - 1)))
    return found.at[-1, 2].set(jnp.where(jnp.all(finite), found[-1, 2], jnp.inf)), cophenetic


def _made_finite(
    points: Float[Array, " N D"], kind: Kind
) -> tuple[Float[Array, " N D"], Bool[Array, " N"]]:
    """Points of length 1 for angles, zeros in the place of what is not finite, and who is."""
    finite = everywhere(jnp.isfinite(points).all(axis=1))
    points = jnp.where(finite[:, None], points, 0.0)
    if kind.angular:
        length = _lengths(points)
        points = points / jnp.where(length > 0, length, 1.0)
    return points, finite


def _made_safe(
    points: Float[Array, " N D"], finite: Bool[Array, " N"], seeds: Int[Array, " C"], kind: Kind
) -> Float[Array, " N D"]:
    """Points of which those that are not finite lie far off, and others near the origin.

    That is the middle of the seeds, coordinate by coordinate, which no client can move: products
    of what is far from 0 lose digits. Angles stay as they are.
    """
    if not kind.angular:
        points = points - jnp.median(points[seeds], axis=0)
    far = 4 * jnp.max(jnp.where(finite, _lengths(points)[:, 0], 0.0))
    return jnp.where(finite[:, None], points, jnp.zeros_like(points[0]).at[0].set(far))


def _lengths(points: Float[Array, " N D"]) -> Float[Array, " N 1"]:
    return jnp.sqrt(jnp.sum(points**2, axis=1, keepdims=True))


def _gathered(
    points: Float[Array, " N D"], seeds: Int[Array, " C"]
) -> tuple[Int[Array, " N"], Float[Array, " C D"], Float[Array, " C"]]:
    """The centroid of each client, the centroids, and how many clients each has, at least 1."""

    def nearest(shared, mine):
        centres, squares = shared
        product = jnp.matmul(mine, centres.T, precision=lax.Precision.HIGHEST)
        return jnp.argmin(squares - 2 * product, axis=1).astype(jnp.int32)

    centres = points[seeds]
    own = _of_each(nearest, (centres, jnp.sum(centres**2, axis=1)), points, seeds.size)
    # Of several seeds in one place only the first is anybody's nearest; none is left empty.
    own = own.at[seeds].set(jnp.arange(seeds.size, dtype=jnp.int32))
    size = jnp.zeros(seeds.size, jnp.float32).at[own].add(1.0)
    return own, jnp.zeros_like(centres).at[own].add(points) / size[:, None], size


def _of_each(function: Callable, shared: Any, divided: Any, width: int) -> Shaped[Array, " N"]:
    """``function(shared, rows)``, a number for each client, of some rows at a time.

    Args:
        function: Works on any number of rows, on each for itself.
        shared: Arrays that all rows get whole.
        divided: Arrays of ``N`` rows, which stay where they are.
        width: Numbers that it makes of each row on the way.
    """

    def one_device(shared, divided):
        count = jax.tree.leaves(divided)[0].shape[0]
        rows = max(1, min(count, policy.parameters_averaged_at_once(width)))

        def block(found, start, _):
            some = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, start, rows), divided)
            return lax.dynamic_update_slice_in_dim(found, function(shared, some), start, axis=0)

        first = jax.tree.map(lambda x: x[:rows], divided)
        kind = jax.eval_shape(function, shared, first).dtype
        return fold(count, rows, block, jnp.zeros(count, kind))

    return everywhere(over_clients(one_device, shared, divided))


def _counting_parts(merges: Float[Array, " C-1 4"]) -> Float[Array, " C-1 4"]:
    """The centroids' linkage matrix with the number of centroids, not of clients, of each merge."""
    parts, children = merges.shape[0] + 1, merges[:, :2].astype(jnp.int32)

    def one_merge(number, count):
        return count.at[parts + number].set(jnp.sum(count[children[number]]))

    count = lax.fori_loop(0, parts - 1, one_merge, jnp.ones(2 * parts - 1, jnp.float32))
    return merges.at[:, 3].set(count[parts:])


def _squares(
    points: Float[Array, " N D"], mean: Float[Array, " C D"], own: Int[Array, " N"]
) -> Float[Array, " N"]:
    def apart(mean, mine):
        points, own = mine
        return jnp.sum((points - mean[own]) ** 2, axis=1)

    return _of_each(apart, mean, (points, own), points.shape[1])


def _finished(kind: Kind, squares: Float[Array, " *n"]) -> Float[Array, " *n"]:
    """Distances from squares of distances of points, which are of length 1 for angles."""
    squares = squares / 2 if kind.angular else squares
    return jnp.sqrt(squares) if kind.root else squares


def _with_clients(
    merges: Float[Array, " C-1 4"],
    own: Int[Array, " N"],
    size: Float[Array, " C"],
    height: Float[Array, " N"],
) -> Float[Array, " N-1 4"]:
    """All merges: first the chains of each centroid's clients, then the centroids.

    Args:
        merges: Of the centroids.
        own: Each client's centroid.
        size: Clients of each centroid.
        height: At which each client joins its chain.
    """
    count, parts = own.shape[0], size.shape[0]
    children = merges[:, :2].astype(jnp.int32)
    joined = jnp.full(parts, jnp.inf).at[children].set(merges[:, 2:3], mode="drop")
    order = jnp.lexsort((height, own))
    # The i-th of a chain makes a merge with the ones before it, but for the first.
    first = jnp.cumsum(size.astype(jnp.int32)) - size.astype(jnp.int32)
    place = jnp.arange(count, dtype=jnp.int32)
    part = own[order]
    within = place - first[part]
    number = place - part - 1
    left = jnp.where(within == 1, order[place - 1], count + number - 1)
    low = jnp.minimum(height[order], joined[part])
    chains = jnp.stack([left, order, low, within + 1], axis=1).astype(jnp.float32)
    rows = jnp.zeros((count - 1, 4), jnp.float32)
    rows = rows.at[jnp.where(within > 0, number, count)].set(chains, mode="drop")
    last = first + size.astype(jnp.int32) - 1
    top = jnp.where(size > 1, count + number[last], order[last])
    made = children - parts + count + (count - parts)
    nodes = jnp.where(children < parts, top[jnp.minimum(children, parts - 1)], made)
    upper = jnp.concatenate([nodes.astype(jnp.float32), merges[:, 2:]], axis=1)
    return lax.dynamic_update_slice(rows, upper, (count - parts, 0))
