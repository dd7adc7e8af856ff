"""Subspaces that clients' inputs lie near, and the principal angles between them.

Vahidian et al., *Efficient Distribution Similarity Identification in Clustered Federated Learning
via Principal Angles Between Client Data Subspaces*, AAAI 2023, arXiv 2209.10526.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from demjax.backend.lapack import matrix_by_matrix
from demjax.base import ClientData

Angle = Literal["smallest", "sum"]
"""What of the angles counts: the smallest, or the sum of all."""

NOTHING = 1e-5
"""A singular value below this part of the largest is of no direction."""


def subspaces(
    clients: ClientData, dimensions: int, labels: int | None = None
) -> Float[Array, " N S D p"]:
    """Orthonormal bases of the subspaces that clients' training inputs lie near.

    They are the left singular vectors of the ``p`` largest singular values of a client's inputs,
    as columns ``[D, m]``, not centred; or of those with each label by themselves. Where inputs are
    of fewer dimensions the rest of a basis is 0.

    Args:
        clients: Everybody's data.
        dimensions: ``p``, from 1 to the numbers of an input, and to the most training examples.
        labels: How many labels there are, ``S`` subspaces then; ``None`` for one of all inputs.
    """
    width = clients.train.shape[1]

    def of_client(client):
        rows, size = client
        inputs = clients.x[rows].astype(jnp.float32).reshape(width, -1)
        there = jnp.arange(width) < size
        if labels is None:
            return _basis(jnp.where(there[:, None], inputs, 0.0), dimensions)[None]
        label = jnp.where(there, clients.y[rows], -1)

        def of_label(number):
            return _basis(jnp.where((label == number)[:, None], inputs, 0.0), dimensions)

        return lax.map(of_label, jnp.arange(labels))

    return lax.map(of_client, (clients.train, clients.train_size))


def _basis(inputs: Float[Array, " M D"], dimensions: int) -> Float[Array, " D p"]:
    values, vectors = _directions(inputs)
    there = values[:dimensions] > NOTHING * jnp.maximum(values[0], 1e-30)
    return jnp.where(there, vectors[:dimensions].T, 0.0)


@matrix_by_matrix
def _directions(inputs: Float[Array, " M D"]) -> tuple[Array, Array]:
    """Singular values, and right singular vectors as rows."""
    _, values, vectors = jnp.linalg.svd(inputs, full_matrices=False)
    return values, vectors


@matrix_by_matrix
def _cosines(product: Float[Array, " p p"]) -> Float[Array, " p"]:
    return jnp.clip(jnp.linalg.svd(product, compute_uv=False), 0.0, 1.0)


def principal_angles(bases: Float[Array, " N S D p"], angle: Angle) -> Float[Array, " N N"]:
    """How far clients' subspaces are apart, in degrees: symmetric, 0 on the diagonal.

    The cosines of the principal angles ``Θ_1 ≤ … ≤ Θ_p`` of two subspaces are the singular values
    of ``U_iᵀ U_j``. Of clients with several, those two count that are the nearest. Angles below a
    few hundredths of a degree are rounding.

    Args:
        bases: As ``subspaces`` makes them.
        angle: ``smallest``: ``Θ_1``; ``sum``: ``Θ_1 + … + Θ_p``.
    """

    def from_one(own):
        highest = lax.Precision.HIGHEST
        product = jnp.einsum("sdp,ntdq->nstpq", own, bases, precision=highest)
        count, *_, p, q = product.shape
        cosines = jax.vmap(_cosines)(product.reshape(-1, p, q))
        angles = jnp.degrees(jnp.arccos(cosines))
        one = angles[:, 0] if angle == "smallest" else jnp.sum(angles, axis=-1)
        return jnp.min(one.reshape(count, -1), axis=1)

    found = lax.map(from_one, bases)
    alone = jnp.eye(bases.shape[0], dtype=bool)
    return jnp.where(alone, 0.0, (found + found.T) / 2)
