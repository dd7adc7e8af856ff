"""What a dendrogram looks like: the order of its leaves, how well it keeps the distances."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.base import NO_GROUP


def leaf_order(merges: Float[Array, " N-1 4"]) -> Int[Array, " N"]:
    """The clients in the order of the dendrogram's leaves, first children first.

    Args:
        merges: SciPy's linkage matrix of ``N`` clients.
    """
    clients = jnp.arange(merges.shape[0] + 1, dtype=jnp.int32)
    return jnp.zeros_like(clients).at[_nodes(merges)[0][: clients.size]].set(clients)


def _nodes(merges: Float[Array, " N-1 4"]) -> tuple[Int[Array, " 2N-1"], Int[Array, " 2N-1"]]:
    """The place of each node's first leaf in the order of leaves, and its number of leaves.

    The place is a sum over the first siblings up to the root; each hop is twice the last.
    """
    count = merges.shape[0] + 1
    left, right = merges[:, :2].astype(jnp.int32).T
    leaves = jnp.concatenate([jnp.ones(count, jnp.int32), merges[:, 3].astype(jnp.int32)])
    nodes = jnp.arange(2 * count - 1, dtype=jnp.int32)
    above = nodes.at[jnp.stack([left, right])].set(nodes[count:])
    first = jnp.zeros_like(nodes).at[right].set(leaves[left])

    def climb(_, state):
        first, above = state
        return first + first[above], above[above]

    return lax.fori_loop(0, nodes.size.bit_length(), climb, (first, above))[0], leaves


def cophenetic_correlation(
    merges: Float[Array, " N-1 4"], distances: Float[Array, " N N"]
) -> Float[Array, ""]:
    """How well a dendrogram keeps the distances it was made from.

    Pearson's correlation, over all pairs, of their distances and of the heights ``h`` at which
    they are merged: ``h_ij = max(s_{i+1}, …, s_j)`` for the leaves ``i < j`` in order, where
    ``s_j`` is the height of the merge that joins the leaves ``j − 1`` and ``j``.

    Args:
        merges: SciPy's linkage matrix of ``N`` clients, no merge lower than one inside it.
        distances: Distances of the clients: symmetric, 0 on the diagonal.

    Returns:
        The correlation, -1 to 1; NaN where one of the two does not vary or is not finite.

    Raises:
        ValueError: If merges and distances are not of the same number of clients.

    Source: Sokal and Rohlf, The comparison of dendrograms by objective methods, Taxon 11, 1962.
    """
    count = merges.shape[0] + 1
    if distances.shape != (count, count):
        raise ValueError(
            f"Merges of {count} clients need distances of shape {(count, count)}, but those of "
            f"shape {distances.shape} were given."
        )
    if count < 3:
        return jnp.float32(jnp.nan)
    merges, distances = jnp.asarray(merges, jnp.float32), jnp.asarray(distances, jnp.float32)
    children, (first, leaves) = merges[:, :2].astype(jnp.int32), _nodes(merges)
    pairs = count * (count - 1) / 2
    # Of order 1, so that squares stay in range, and about their mean, so that they keep digits.
    unit = jnp.max(distances)
    height, joined = merges[:, 2] / unit, leaves[children].astype(jnp.float32)
    mean_x = jnp.sum(jnp.sum(distances / unit, axis=1) / (2 * pairs))
    mean_y = jnp.sum(height * joined[:, 0] * joined[:, 1]) / pairs
    rows = min(64, count)  # of the distances, in hand at once
    width = -(-count // rows) * rows
    place = jnp.arange(width, dtype=jnp.int32)
    order = jnp.zeros(width, jnp.int32).at[first[:count]].set(place[:count])
    step = jnp.full(width, -jnp.inf, jnp.float32).at[first[children[:, 1]]].set(height)

    def one_block(start):
        mine, ours = (lax.dynamic_slice(z, (start,), (rows,)) for z in (order, step))
        # Steps inside the block row by row; those behind it are the same for all its rows.
        inside = lax.cummax(jnp.where(jnp.tri(rows, k=0, dtype=bool), -jnp.inf, ours), axis=1)
        behind = lax.cummax(jnp.where(place >= start + rows, step, -jnp.inf))
        reach = jnp.broadcast_to(inside[:, -1:], (rows, width))
        reach = lax.dynamic_update_slice_in_dim(reach, inside, start, axis=1)
        reach = jnp.maximum(reach, behind)
        apart = distances.at[mine[:, None], order].get(mode="promise_in_bounds")
        pair = (place > start + place[:rows, None]) & (place < count)
        x = jnp.where(pair, apart / unit - mean_x, 0.0)
        y = jnp.where(pair, reach - mean_y, 0.0)
        varies = pair & (apart != distances[0, 1])
        return jnp.stack([jnp.sum(z, axis=1) for z in (x, y, x * x, y * y, x * y, varies)])

    sums = jnp.sum(lax.map(one_block, place[::rows]), axis=(0, 2))
    x, y, xx, yy, xy, varies = sums / pairs
    correlation = (xy - x * y) / jnp.sqrt((xx - x * x) * (yy - y * y))
    varies = (varies > 0) & (jnp.min(height) < jnp.max(height))
    return jnp.where(varies, jnp.clip(correlation, -1.0, 1.0), jnp.nan)


def upgma_correlation(
    merges: Float[Array, " N-1 4"], distances: Float[Array, " N N"]
) -> Float[Array, ""]:
    """``cophenetic_correlation`` of average linkage, for which its merges and sums suffice.

    A merge's height is the mean of the distances that it joins, so that heights ``h`` and distances
    ``d`` of all pairs have the same mean, ``cov(d, h) = var(h)``, and their correlation is the
    ratio of their standard deviations, ``√(var(h) / var(d))``.

    Args:
        merges: SciPy's linkage matrix of ``N`` clients by average linkage.
        distances: Those it was made from: symmetric, 0 on the diagonal.

    Returns:
        The correlation, 0 to 1; NaN where one of the two does not vary or is not finite.
    """
    count = merges.shape[0] + 1
    if count < 3:
        return jnp.float32(jnp.nan)
    pairs, unit = count * (count - 1) / 2, jnp.max(distances)
    leaves = jnp.concatenate([jnp.ones(count, jnp.float32), merges[:, 3]])
    joined = jnp.prod(leaves[merges[:, :2].astype(jnp.int32)], axis=1) / pairs
    height = merges[:, 2] / unit
    mean = jnp.sum(height * joined)
    of_heights = jnp.sum((height - mean) ** 2 * joined)
    apart = jnp.where(jnp.eye(count, dtype=bool), 0.0, distances / unit - mean)
    of_distances = jnp.sum(jnp.sum(apart**2, axis=1) / (2 * pairs))
    varies = (jnp.min(height) < jnp.max(height)) & (of_distances > 0)
    correlation = jnp.sqrt(of_heights / of_distances)
    return jnp.where(varies & (unit < jnp.inf), jnp.minimum(correlation, 1.0), jnp.nan)


def parents_of(merges: Float[Array, " N-1 4"]) -> Int[Array, " 2N-1"]:
    """The node that each node is merged into; the root's is itself."""
    root = 2 * merges.shape[0]
    made_by = jnp.arange(merges.shape[0] + 1, root + 1, dtype=jnp.int32)
    parent = jnp.full(root + 1, root, jnp.int32)
    return parent.at[merges[:, :2].astype(jnp.int32).T].set(made_by[None])


def numbered(top: Int[Array, " N"], total: int, counts: Bool[Array, " N"]) -> Int[Array, " N"]:
    """Number the clusters, given by their top nodes, in the order of their first clients.

    Clients whose cluster does not count are in none.
    """
    clients = jnp.arange(top.shape[0], dtype=jnp.int32)
    first = jnp.full(total, total, jnp.int32).at[top].min(clients)[top]
    number = (jnp.cumsum((first == clients) & counts, dtype=jnp.int32) - 1)[first]
    return jnp.where(counts, number, NO_GROUP)
