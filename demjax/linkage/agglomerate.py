"""Agglomerative clustering from a matrix of distances, as SciPy's linkage matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.cluster.hierarchy
from jaxtyping import Array, Float

METHODS = ("average", "complete", "single", "ward", "weighted")
"""Linkage methods, named as SciPy names them."""


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
