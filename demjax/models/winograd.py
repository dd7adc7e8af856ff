"""Convolution by tiles: one multiplication in place of six, for kernels of 5×5 on a CPU.

A tile of 4×4 outputs needs 8×8 inputs. Seen as polynomials, both are told by their values at 8
points (Toom and Cook; Winograd for two dimensions), and a convolution is a product at each point:
64 products of channels and filters a tile, where 400 would be summed. Values at points cost sums
only, which are cheap where there are many channels and filters.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

TILE = 4
"""Outputs of a tile in each direction: more would cost digits, for points lie farther apart."""
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Where polynomials are told apart, besides infinity."""
IMAGES = 40
"""How many images are worked on at a time, which the processor's caches can hold."""


@cache
def transforms(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What turns outputs, kernels and inputs of one dimension into values at points, and back.

    With ``n = 4 + size − 1`` points, ``y = A ((G k) · (B x))`` is the correlation
    ``y_i = Σ_j k_j x_{i+j}`` of ``size`` weights ``k`` with ``n`` inputs ``x``.

    Args:
        size: Size of the kernel, 1 to 5.

    Returns:
        ``A [4, n]``, ``G [n, size]`` and ``B [n, n]``, the doubles nearest to the exact fractions.
    """
    count = TILE + size - 1
    points = np.array(POINTS[: count - 1])[:, None]

    def values(coefficients: int) -> np.ndarray:
        infinity = np.eye(coefficients)[-1:]
        return np.concatenate([points ** np.arange(coefficients), infinity])

    # LAPACK's last digits depend on the processor: some leave 1e-17 where a term should vanish.
    nearest = np.vectorize(lambda entry: float(Fraction(entry).limit_denominator(1000)))
    matrices = values(TILE).T, values(size), nearest(np.linalg.inv(values(count)).T)
    for matrix in matrices:
        matrix.setflags(write=False)
    return matrices


def correlate_tiles(
    x: Float[Array, " B H W C"], kernel: Float[Array, " R R C F"]
) -> Float[Array, " B H W F"]:
    """Correlate images with a kernel, zeros around them: as many outputs as inputs.

    Rounding is some ten times that of plain sums: 3e-5 in single precision, for outputs around 1.
    What is not finite, or within a hundredth of the largest number, spoils the tiles that it is in.

    Args:
        x: Images.
        kernel: As high as wide, 1, 3 or 5.

    Raises:
        ValueError: If the kernel is of another size.
    """
    if kernel.shape[:2] not in ((1, 1), (3, 3), (5, 5)):
        raise ValueError(
            f"Tiles need a kernel of 1×1, 3×3 or 5×5, but it is {kernel.shape[0]}×"
            f"{kernel.shape[1]}."
        )
    batch, *shape = x.shape
    parts = -(-batch // IMAGES)
    if parts <= 1:
        return _correlate(x, kernel)
    some = -(-batch // parts)
    x = jnp.pad(x, ((0, parts * some - batch), (0, 0), (0, 0), (0, 0)))
    y = lax.map(lambda part: _correlate(part, kernel), x.reshape(parts, some, *shape))
    return y.reshape(parts * some, *y.shape[2:])[:batch]


def _correlate(
    x: Float[Array, " B H W C"], kernel: Float[Array, " R R C F"]
) -> Float[Array, " B H W F"]:
    batch, height, width, channels = x.shape
    size, filters = kernel.shape[0], kernel.shape[3]
    back, of_kernel, of_inputs = transforms(size)
    points, down, right = len(of_inputs), -(-height // TILE), -(-width // TILE)
    near = size // 2
    padding = [
        (near, tiles * TILE - extent + near) for tiles, extent in ((down, height), (right, width))
    ]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))

    def every_fourth(x, axis, tiles):
        """Inputs 0, 1, … of all tiles along an axis."""
        reach = TILE * (tiles - 1) + 1
        return [lax.slice_in_dim(x, i, i + reach, TILE, axis) for i in range(points)]

    rows = jnp.stack(_sums(of_inputs, every_fourth(x, 1, down)))
    inputs = jnp.stack(_sums(of_inputs, every_fourth(rows, 3, right)))
    weights = jnp.asarray(of_kernel, x.dtype)
    highest = lax.Precision.HIGHEST
    weights = jnp.einsum("ar,rscf,bs->bacf", weights, kernel, weights, precision=highest)
    product = lax.dot_general(
        inputs.reshape(points**2, batch * down * right, channels),
        weights.reshape(points**2, channels, filters),
        (((2,), (1,)), ((0,), (0,))),
        precision=highest,
    )
    product = product.reshape(points, points, batch, down, right, filters)
    across = jnp.stack(_sums(back, product), axis=4)  # [points, B, down, right, 4, F]
    whole = jnp.stack(_sums(back, across), axis=2)  # [B, down, 4, right, 4, F]
    return whole.reshape(batch, down * TILE, right * TILE, filters)[:, :height, :width]


def _sums(matrix: np.ndarray, parts: Sequence[Array] | Array) -> list[Array]:
    """The product of a matrix and a list of arrays, written as sums of those that count."""
    found = []
    for row in matrix:
        terms = [float(weight) * part for weight, part in zip(row, parts, strict=True) if weight]
        found.append(sum(terms[1:], terms[0]))
    return found
