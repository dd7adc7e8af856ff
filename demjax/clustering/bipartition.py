"""Every cluster parted in two by its own dendrogram, all of them at once."""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from demjax.backend.sharding import everywhere, on_one
from demjax.clustering.dendrogram import parents_of
from demjax.clustering.group_sizes import follow
from demjax.clustering.linkage import Method, linkage


def second_halves(
    distances: Float[Array, " N N"], groups: Int[Array, " N"], method: Method, most: float
) -> Bool[Array, " N"]:
    """Which clients are in that half of their cluster which its first client is not in.

    The halves are what the last merge of a dendrogram of the cluster's clients joins. By single
    linkage they are the two parts whose nearest clients are as far apart as can be.

    One dendrogram has them all: where clients of different clusters are further apart than any of
    the same, no merge joins two clusters before each of them is whole.

    Args:
        distances: Symmetric, 0 on the diagonal.
        groups: The cluster of each client.
        method: The linkage method; one whose heights are no larger than distances are.
        most: What no distance within a cluster is above.

    Returns:
        Truth values; false in a cluster of one.
    """
    count = groups.shape[0]
    apart = groups[:, None] != groups
    distances = everywhere(jnp.where(apart, 4.0 * most, distances))
    merges = on_one(partial(linkage, method=method), distances)
    parent, nodes = parents_of(merges), jnp.arange(2 * count - 1, dtype=jnp.int32)
    height = jnp.concatenate([jnp.zeros(count), merges[:, 2]])
    inside = (height[parent] <= 2.0 * most) & (parent != nodes)
    whole = ~inside & (height <= 2.0 * most)  # the last merge of each cluster
    top = follow(jnp.where(inside, parent, nodes))[:count]
    half = follow(jnp.where(inside & ~whole[parent], parent, nodes))[:count]
    clients = nodes[:count]
    first = jnp.full(nodes.size, count, jnp.int32).at[top].min(clients)[top]
    return half != half[first]
