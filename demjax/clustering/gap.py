"""How many groups there are, told by the heights of a dendrogram: where they jump, if they do.

Whether a jump is one is asked of surrogates: clients that differ as much, in as many directions,
but of one group. They show how far heights jump by chance.
"""

from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from demjax import keys
from demjax.base import Hierarchy
from demjax.clustering.clusterings import Wanted
from demjax.clustering.cuts import Cut, cut_counts, cut_heights
from demjax.clustering.group_sizes import attach_small
from demjax.clustering.linkage import linkage
from demjax.hierarchy import from_groups
from demjax.registry import CUTS, Number, Range, check_whole

SAMPLE = 256
"""Clients among whom surrogates are made, at most."""


class Jumps(NamedTuple):
    """How heights of a dendrogram rise, and how they do by chance.

    Attributes:
        ratio: Of each number of groups ``2 … G`` the height at which they become one less, in parts
            of the height of the merge before; 1 where they are not at least two of enough clients.
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
    most_groups: Annotated[int, Range(2)] = 16,
    min_size: Annotated[int, Range(1)] = 2,
    surrogates: Annotated[int, Range(8)] = 39,
    margin: Annotated[Number, Range(1)] = 1.1,
) -> Cut:
    """As many groups as there are: where merge heights jump, and one where they do not.

    With ``h_k`` the height of the merge that leaves ``k`` groups of ``k + 1``, ``k`` groups jump
    by ``q_k = h_{k−1} / h_k``. The largest of these that leaves two groups or more of
    ``min_size`` is compared with those of ``S`` surrogates, clients from one normal distribution
    of the same covariance: it counts if it is above the largest of theirs, by a margin. So the
    threshold follows from the distances alone, whatever their noise: among clients like these it is
    met by chance in less than one of ``S + 1`` draws. With
    several levels, each is cut at a jump of its own, the lowest level at the lowest; a level for
    which none is left has one group of everyone.

    Args:
        levels: Levels of groups under the root, ``K``.
        most_groups: Most groups on a level, ``G``.
        min_size: Fewest clients of a group; smaller ones join the nearest.
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
        most = min(most_groups, count - 1)
        found = jumps(merges, distances, wanted, most, min_size, surrogates, margin)
        counted = jnp.where(found.ratio > found.limit, found.ratio, 0.0)
        best, at = lax.top_k(counted, min(levels, most - 1))
        # A cut into k groups keeps all merges but the last k − 1.
        height = jnp.where(best > 0, merges[:, 2][count - 3 - at], jnp.inf)
        height = jnp.pad(height, (0, levels - height.size), constant_values=jnp.inf)
        cut = cut_heights(merges, jnp.sort(height), most_groups)
        return attach_small(cut, distances, min_size)

    check_whole("The cut by gap", "min_size", min_size, 1)
    return Cut(take, levels, most_groups, least=min_size, needs=1, compares=True)


def jumps(
    merges: Float[Array, " N-1 4"],
    distances: Float[Array, " N N"],
    wanted: Wanted | None,
    most_groups: int,
    min_size: int,
    surrogates: int,
    margin: Number,
) -> Jumps:
    """How far a dendrogram's heights jump, and how far they would by chance.

    Args:
        merges: SciPy's linkage matrix.
        distances: What it was made of.
        wanted: By what metric and method; by default average linkage of squared distances.
        most_groups: Most groups that are looked at, 2 to ``N − 1``.
        min_size: Fewest clients of a group that counts.
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
    points = points_of(squares)

    def one(key):
        apart = surrogate(key, points)
        apart = jnp.sqrt(apart) if rooted else apart
        tree = linkage(apart, method)
        return jnp.log(jnp.max(ratios(tree, min(most_groups, tree.shape[0]), min_size)))

    each = jax.vmap(partial(keys.for_part, keys.for_surrogates()))(jnp.arange(surrogates))
    chance = lax.map(one, each)
    limit = margin * jnp.exp(jnp.max(chance))
    return Jumps(ratios(merges, most_groups, min_size), limit, jnp.exp(chance))


def ratios(merges: Float[Array, " N-1 4"], most_groups: int, min_size: int) -> Float[Array, " G-1"]:
    """For each number of groups from 2 on how far heights jump above it, as in ``Jumps``."""
    numbers = range(most_groups, 1, -1)
    height = merges[::-1, 2][:most_groups]
    below = jnp.maximum(height[1:], 1e-30)
    return jnp.where(
        _are_groups(cut_counts(merges, tuple(numbers)), min_size)[::-1],
        jnp.maximum(height[:-1] / below, 1.0),
        1.0,
    )


def points_of(squares: Float[Array, " N N"]) -> Float[Array, " N N"]:
    """Points about their mean that have these squared distances, by classical scaling.

    ``X Xᵀ = −½ J D J``; of distances that no points have, without what is negative of that.
    """
    mean = jnp.mean(squares, axis=0)
    value, vector = jnp.linalg.eigh(-0.5 * (squares - mean - mean[:, None] + jnp.mean(mean)))
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


def _are_groups(hierarchy: Hierarchy, min_size: int) -> Bool[Array, " K"]:
    """Of each level under the root whether two groups or more have enough clients."""
    return jnp.sum(hierarchy.size[:-1] >= min_size, axis=1) >= 2
