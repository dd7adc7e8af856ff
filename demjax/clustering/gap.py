"""How many groups there are, told by the heights of a dendrogram: where they jump, if they do.

Whether a jump is one is asked of surrogates: clients that differ as much, in as many directions,
but of one group. They show how far heights jump by chance. Clients who are like nobody, and join a
group late, are looked over: what counts are heights at which two groups become one.
"""

import math
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from demjax import keys
from demjax.backend.lapack import matrix_by_matrix
from demjax.base import Hierarchy
from demjax.clustering.clusterings import Wanted
from demjax.clustering.cuts import Cut, cut_heights
from demjax.clustering.group_sizes import attach_small
from demjax.clustering.linkage import linkage
from demjax.hierarchy import from_groups
from demjax.registry import CUTS, Number, Range, check_whole

SAMPLE = 256
"""Clients among whom surrogates are made, at most."""
MOST_GROUPS, LEAST, SHARE, SURROGATES, MARGIN = 16, 2, 1 / 16, 39, 1.15
"""What ``gap`` takes where nothing else is asked for."""


class Jumps(NamedTuple):
    """How heights of a dendrogram rise, and how they do by chance.

    Attributes:
        ratio: Of each number of groups ``2 … G`` the height at which they become one less, in parts
            of the height at which they became so many, or of the merge before, whichever jumps
            farther above chance; 1 where there are not so many.
        limit: Up to what ratio that is chance.
        chance: Largest ratios of surrogates.
    """

    ratio: Float[Array, " G-1"]
    limit: Float[Array, ""]
    chance: Float[Array, " S"]


@CUTS.register()
def gap(
    *,
    levels: Annotated[int, Range(1, 8)] = 1,
    most_groups: Annotated[int, Range(2)] = MOST_GROUPS,
    min_size: Annotated[int, Range(1)] = LEAST,
    min_share: Annotated[Number, Range(0, 0.5)] = SHARE,
    surrogates: Annotated[int, Range(8)] = SURROGATES,
    margin: Annotated[Number, Range(1)] = MARGIN,
) -> Cut:
    """As many groups as there are: where merge heights jump, and one where they do not.

    A group has at least ``m = max(min_size, min_share · N)`` clients. Of the merges of two groups
    let ``h_k`` be the height of that which leaves ``k`` groups of ``k + 1``; ``k`` groups jump by
    ``q_k = h_{k−1} / h_k``, and by ``h_{k−1} / h'_k`` above the height ``h'_k`` of the merge
    before, of whomever. The largest of either is compared with those of ``S`` surrogates, clients
    from one normal distribution of the same covariance: it counts if it is above the largest of
    theirs, by a margin. The former sees groups among which there are clients like nobody, the
    latter groups of few clients. So the threshold follows from the distances alone, whatever their
    noise: among clients like these each is met by chance in less than one of ``S + 1`` draws.
    The groups are then those at ``√(h_{k−1} h_k)``, or at the height where the last of them has
    enough clients, if that is above; who is in none there joins the nearest. With
    several levels, each is cut at a jump of its own, the lowest level at the lowest; a level for
    which none is left has one group of everyone.

    Args:
        levels: Levels of groups under the root, ``K``.
        most_groups: Most groups on a level, ``G``.
        min_size: Fewest clients of a group; those of smaller ones join the nearest.
        min_share: Fewest clients of a group in parts of all.
        surrogates: ``S``; with more clients than ``SAMPLE`` they are of so many of these.
        margin: In parts of the largest jump of all surrogates, how far one has to be above it.

    Returns:
        The cut.

    Raises:
        ValueError: If a number is out of its range or not whole.

    Source: the null of Liu, Hayes, Nobel and Marron, *Statistical significance of clustering*,
    JASA 103, 2008, and of Kimes et al., Biometrics 73, 2017, for ratios of heights.
    """

    def take(merges, distances, wanted=None):
        count = merges.shape[0] + 1
        if count < 3:
            return from_groups(jnp.zeros((levels + 1, count), jnp.int32), most_groups)
        most, fewest = min(most_groups, count - 1), fewest_of(count, min_size, min_share)
        found = jumps(merges, distances, wanted, most, fewest, surrogates, margin)
        counted = jnp.where(found.ratio > found.limit, found.ratio, 0.0)
        best, at = lax.top_k(counted, min(levels, most - 1))
        height = jnp.where(best > 0, between(merges, most, fewest)[at], jnp.inf)
        height = jnp.pad(height, (0, levels - height.size), constant_values=jnp.inf)
        return at_heights(merges, distances, jnp.sort(height), most_groups, fewest)

    check_whole("The cut by gap", "min_size", min_size, 1)
    return Cut(take, levels, most_groups, least=min_size, needs=1, compares=True)


def jumps(
    merges: Float[Array, " N-1 4"],
    distances: Float[Array, " N N"],
    wanted: Wanted | None,
    most_groups: int,
    fewest: int,
    surrogates: int,
    margin: Number,
) -> Jumps:
    """How far a dendrogram's heights jump, and how far they would by chance.

    Args:
        merges: SciPy's linkage matrix.
        distances: What it was made of.
        wanted: By what metric and method; by default average linkage of squared distances.
        most_groups: Most groups that are looked at, 2 to ``N − 1``.
        fewest: Clients of a group, at least; of a sample as large a part.
        surrogates: How many.
        margin: The limit in parts of the largest jump of these.
    """
    method = "average" if wanted is None else wanted.method
    rooted = wanted is not None and wanted.kind is not None and wanted.kind.root
    finite = jnp.isfinite(distances)
    distances = jnp.where(finite, distances, jnp.max(distances, where=finite, initial=0.0))
    squares = distances**2 if rooted else distances
    if squares.shape[0] > SAMPLE:
        some = jax.random.permutation(keys.for_sample(), squares.shape[0])[:SAMPLE]
        squares = squares[some[:, None], some]
    points, count = points_of(squares), squares.shape[0]
    there = max(min(fewest, 2), math.ceil(fewest * count / distances.shape[0]))

    def one(key):
        apart = surrogate(key, points)
        apart = jnp.sqrt(apart) if rooted else apart
        tree = linkage(apart, method)
        return jnp.max(ratios(tree, min(most_groups, count - 1), there), axis=1)

    each = jax.vmap(partial(keys.for_part, keys.for_surrogates()))(jnp.arange(surrogates))
    chance = lax.map(one, each)
    limits, both = margin * jnp.max(chance, axis=0), ratios(merges, most_groups, fewest)
    which = jnp.argmax(jnp.max(both, axis=1) / limits)
    return Jumps(both[which], limits[which], chance[:, which])


def fewest_of(clients: int, min_size: int, min_share: Number) -> int:
    """Fewest of so many clients that are a group."""
    return min(max(min_size, math.ceil(min_share * clients - 1e-9)), clients)


def ratios(merges: Float[Array, " N-1 4"], most_groups: int, fewest: int) -> Float[Array, " 2 G-1"]:
    """For each number of groups from 2 on how far heights jump above it, as in ``Jumps``.

    That is above the merge of two groups before, and above the merge before.
    """
    high, low, last = splits(merges, most_groups, fewest)
    rise = high / jnp.maximum(jnp.stack([low, last]), 1e-30)
    return jnp.where(jnp.isfinite(high), jnp.maximum(rise, 1.0), 1.0)


def splits(
    merges: Float[Array, " N-1 4"], most_groups: int, fewest: int
) -> tuple[Float[Array, " G-1"], Float[Array, " G-1"], Float[Array, " G-1"]]:
    """For each number of groups from 2 on at what height they become one less, and became as many.

    The latter is the height of the merge of two groups before, or where there is none of the merge
    before; the third that of the merge before in any case. Where there are not so many groups, the
    first is 0.
    """
    count = merges.shape[0] + 1
    of_groups = jnp.min(sizes_of(merges), axis=1)[::-1] >= fewest  # from the top
    (at,) = jnp.nonzero(of_groups, size=most_groups, fill_value=count - 1)
    height = jnp.concatenate([merges[::-1, 2], jnp.zeros(2, merges.dtype)])
    last = height[at[:-1] + 1]
    return height[at[:-1]], jnp.where(at[1:] < count - 1, height[at[1:]], last), last


def sizes_of(merges: Float[Array, " N-1 4"]) -> Float[Array, " N-1 2"]:
    """How many clients the two sides of each merge have."""
    count, children = merges.shape[0] + 1, merges[:, :2].astype(jnp.int32)
    return jnp.concatenate([jnp.ones(count, merges.dtype), merges[:, 3]])[children]


def between(merges: Float[Array, " N-1 4"], most_groups: int, fewest: int) -> Float[Array, " G-1"]:
    """For each number of groups from 2 on a height at which they are there, at ``√(h_{k−1} h_k)``.

    Or where the last of them becomes a group, if that is above; infinity if there are not so many.
    """
    high, low, _ = splits(merges, most_groups, fewest)
    size = sizes_of(merges)
    born = (jnp.max(size, axis=1) < fewest) & (merges[:, 3] >= fewest)
    last = jnp.where(born & (merges[:, 2] < high[:, None]), merges[:, 2], 0.0).max(axis=1)
    return jnp.where(high > 0, jnp.maximum(jnp.sqrt(high) * jnp.sqrt(low), last), jnp.inf)


def at_heights(
    merges: Float[Array, " N-1 4"],
    distances: Float[Array, " N N"],
    heights: Float[Array, " K"],
    slots: int,
    fewest: int,
) -> Hierarchy:
    """The groups of so many clients at a height for each level, and with them who is in none."""
    return attach_small(cut_heights(merges, heights, slots, fewest=fewest), distances, fewest)


@matrix_by_matrix
def _eigh(matrix: Float[Array, " N N"]) -> tuple[Array, Array]:
    value, vector = jnp.linalg.eigh(matrix)
    return value, vector


def points_of(squares: Float[Array, " N N"]) -> Float[Array, " N N"]:
    """Points about their mean that have these squared distances, by classical scaling.

    ``X Xᵀ = −½ J D J``; of distances that no points have, without what is negative of that.
    """
    mean = jnp.mean(squares, axis=0)
    value, vector = _eigh(-0.5 * (squares - mean - mean[:, None] + jnp.mean(mean)))
    return vector * jnp.sqrt(jnp.maximum(value, 0.0))


def surrogate(key: PRNGKeyArray, points: Float[Array, " N D"]) -> Float[Array, " N N"]:
    """Squared distances of as many points of a normal distribution with the same covariance.

    These are the rows of ``Z X / √(N − 1)`` for a matrix ``Z`` of standard normal numbers.
    """
    count = points.shape[0]
    z = jax.random.normal(key, (count, count)) / jnp.sqrt(count - 1.0)
    drawn = jnp.matmul(z, points, precision=lax.Precision.HIGHEST)
    product = jnp.matmul(drawn, drawn.T, precision=lax.Precision.HIGHEST)
    square = jnp.diagonal(product)
    apart = jnp.maximum(square[:, None] + square - 2 * product, 0.0)
    return jnp.where(jnp.eye(count, dtype=bool), 0.0, apart)
