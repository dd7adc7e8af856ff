"""Who learns alike: distances between models, linkage, and cutting a dendrogram into levels."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import scipy.cluster.hierarchy
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.base import NO_GROUP, Hierarchy, Params
from demjax.hierarchy import from_groups

METHODS = ("average", "complete", "single", "ward", "weighted")
"""Linkage methods, named as SciPy names them."""

Metric = Callable[[Params], Float[Array, " N N"]]


def _squared(gram: Float[Array, " N N"]) -> Float[Array, " N N"]:
    """Squared distances from products of centred vectors; exactly symmetric, zero diagonal."""
    norms = jnp.diagonal(gram)
    squared = jnp.maximum(norms[:, None] + norms[None, :] - (gram + gram.T), 0.0)
    return squared * (1.0 - jnp.eye(gram.shape[0]))


def _centred_gram(params: Params, scale: Float[Array, " N"] | float = 1.0) -> Float[Array, " N N"]:
    """Products of all pairs of clients, the clients' mean subtracted first.

    Without the subtraction the products of models that are close together cancel, and with a
    GPU's default precision nothing would be left of their distance.
    """
    gram = jnp.zeros(())
    for leaf in jax.tree.leaves(params):
        flat = leaf.reshape(leaf.shape[0], -1).astype(jnp.float32)
        flat = flat * jnp.reshape(scale, (-1, 1))
        flat = flat - jnp.mean(flat, axis=0)
        gram = gram + jnp.matmul(flat, flat.T, precision=lax.Precision.HIGHEST)
    return gram


def euclidean(params: Params) -> Float[Array, " N N"]:
    """Euclidean distance of every pair of clients over all parameters.

    ``d_mn = ‖w_m − w_n‖``. Squared distances are exact to a few 1e-6 of the *largest* one, so
    that distances within groups a thousand times tighter than the groups are apart are lost.

    Args:
        params: One model for each client, leaves ``[N, ...]``.

    Returns:
        Distances: symmetric, 0 on the diagonal.
    """
    return jnp.sqrt(_squared(_centred_gram(params)))


def cosine(params: Params) -> Float[Array, " N N"]:
    """Cosine distance of every pair of clients over all parameters.

    ``d_mn = 1 − ⟨w_m, w_n⟩ / (‖w_m‖ ‖w_n‖) = ½ ‖w_m/‖w_m‖ − w_n/‖w_n‖‖²``, computed in the
    second form, which does not cancel when models point almost the same way.

    Args:
        params: One model for each client, leaves ``[N, ...]``; a model of zeros has
            distance ½ to all others and 0 to another of zeros.

    Returns:
        Distances from 0 to 2: symmetric, 0 on the diagonal.
    """
    leaves = jax.tree.leaves(params)
    squares = sum(jnp.sum(leaf.reshape(leaf.shape[0], -1) ** 2, axis=1) for leaf in leaves)
    scale = jnp.where(squares > 0, lax.rsqrt(jnp.maximum(squares, 1e-38)), 0.0)
    return _squared(_centred_gram(params, scale)) / 2


def check_method(method: str) -> None:
    """Refuse an unknown linkage method.

    Raises:
        ValueError: One sentence that names the possible ones.
    """
    if method not in METHODS:
        raise ValueError(f"Linkage {method!r} is unknown; possible are {', '.join(METHODS)}.")


def linkage(
    distances: Float[Array, " N N"], method: str = "average", backend: str = "scipy"
) -> Float[Array, " N-1 4"]:
    """Agglomerative clustering from a matrix of distances, as SciPy's linkage matrix.

    Row ``i`` merges the clusters ``Z[i, 0] < Z[i, 1]`` at distance ``Z[i, 2]`` into cluster
    ``N + i`` of ``Z[i, 3]`` clients. It may be called inside a traced program: then only the
    distances travel to the host, and the linkage matrix back. Distances that are not finite,
    as after a divergence, count as the largest there is, so that a tree always results.

    Args:
        distances: Symmetric; the part above the diagonal is read.
        method: One of ``METHODS``.
        backend: ``"scipy"``: ``scipy.cluster.hierarchy.linkage`` on the host.

    Returns:
        The linkage matrix, float32.

    Raises:
        ValueError: If the method or backend is unknown, or the matrix is not square.
    """
    check_method(method)
    if backend != "scipy":
        raise ValueError(f"The linkage backend {backend!r} is unknown; possible is 'scipy'.")
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1]:
        raise ValueError(f"Linkage needs a square matrix, but its shape is {distances.shape}.")
    count = distances.shape[0]
    if count == 1:
        return jnp.zeros((0, 4), jnp.float32)

    def on_host(matrix):
        matrix = np.array(matrix, np.float64)
        np.fill_diagonal(matrix, 0.0)
        finite = np.isfinite(matrix)
        matrix[~finite] = matrix.max(where=finite, initial=0.0)
        pairs = matrix[np.triu_indices(count, 1)]
        return scipy.cluster.hierarchy.linkage(pairs, method=method).astype(np.float32)

    shape = jax.ShapeDtypeStruct((count - 1, 4), jnp.float32)
    return jax.pure_callback(on_host, shape, distances, vmap_method="sequential")


def cut_depth(merges: Float[Array, " N-1 4"], levels: int) -> Hierarchy:
    """Cut a dendrogram into a tree by splitting from the top, ``levels`` times.

    The root's children are the two clusters of the last merge, theirs those of the merges that
    made them, and so on: slot ``s`` splits into the slots ``2s`` and ``2s + 1`` one level
    below. A client that a split leaves alone hangs directly under the group that was split,
    at whatever level; it has no group below. So trees are ragged.

    Args:
        merges: SciPy's linkage matrix of ``N`` clients.
        levels: Levels of groups under the root, ``K ≥ 0``.

    Returns:
        The hierarchy: ``L = K + 1`` levels with ``G = 2**K`` slots.

    Source: Nguyen et al., arXiv 2007.03278; the authors' published experiment.
    """
    count, slots = merges.shape[0] + 1, 2**levels
    if count == 1:
        groups = jnp.full((levels + 1, 1), NO_GROUP, jnp.int32).at[-1].set(0)
        return from_groups(groups, slots)
    children = merges[:, :2].astype(jnp.int32)
    root = 2 * count - 2
    made_by = jnp.arange(count, 2 * count - 1, dtype=jnp.int32)
    parent = (
        jnp.zeros(2 * count - 1, jnp.int32).at[children.T].set(made_by[None]).at[root].set(root)
    )

    node = jnp.full(slots, NO_GROUP, jnp.int32).at[0].set(root)
    rows = [jnp.zeros(count, jnp.int32)]
    for level in range(1, levels + 1):
        node = _split(node[: 2 ** (level - 1)], children, count, slots)
        rows.insert(0, _slot_above(node, parent, count))
    return from_groups(jnp.stack(rows), slots)


def _split(
    node: Int[Array, " G2"], children: Int[Array, " N-1 2"], count: int, slots: int
) -> Int[Array, " G"]:
    """The nodes that each group's node was merged from; a single client is no group."""
    pairs = jnp.where((node >= count)[:, None], children[node - count], NO_GROUP)
    pairs = jnp.where(pairs >= count, pairs, NO_GROUP).reshape(-1)
    return jnp.full(slots, NO_GROUP, jnp.int32).at[: pairs.shape[0]].set(pairs)


def _slot_above(
    node: Int[Array, " G"], parent: Int[Array, " 2N-1"], count: int
) -> Int[Array, " N"]:
    """For each leaf, the slot whose node is its ancestor; ``NO_GROUP`` if none is.

    Everybody climbs until a node with a slot, or the root, each hop twice as long as the last.
    """
    total = parent.shape[0]
    index = jnp.where(node == NO_GROUP, total, node)
    slots = jnp.arange(node.shape[0], dtype=jnp.int32)
    slot_of = jnp.full(total, NO_GROUP, jnp.int32).at[index].set(slots, mode="drop")
    here = jnp.arange(total, dtype=jnp.int32)
    hop = jnp.where(slot_of == NO_GROUP, parent, here)
    for _ in range(total.bit_length()):
        hop = hop[hop]
    return slot_of[hop[:count]]
