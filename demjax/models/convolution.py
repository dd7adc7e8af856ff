"""The convolution that stays fast when every client has its own kernel.

XLA's own gradients are the trap here. On a CPU the weight gradient of ``lax.conv`` misses
the fast path of its library, some 20 times slower than the same sum laid out as an ordinary
convolution; and under ``vmap`` over models a convolution becomes a grouped one, slow
everywhere. So there are three forms with hand-written gradients, equal to rounding:

- ``conv_direct``: forward and both gradients as plain forward convolutions. For one client
  at a time, on a CPU.
- ``conv_tiles``: the same, but where a kernel of 5×5 joins 16 channels and filters or more, of
  32 images or more, forward and the gradient of the input by tiles (``tiles.py``), 1.7 times
  as fast.
- ``conv_product``: everything as matrix products, which batch over clients. For
  accelerators, where many clients train at once.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from demjax.backend import policy
from demjax.models.winograd import correlate_tiles

MANY, IMAGES = 16, 32
"""Channels and filters, and images, from which on tiles pay."""

Conv = Callable[[Float[Array, " B H W C"], Float[Array, " R S C F"]], Float[Array, " B H W F"]]


WeightGradient = Callable[
    [Float[Array, " B H W C"], Float[Array, " B H W F"], tuple[int, int]], Float[Array, " R S C F"]
]


def _correlate(
    x: Float[Array, " B H W C"], kernel: Float[Array, " R S C F"], padding: list[tuple[int, int]]
) -> Float[Array, " B H2 W2 F"]:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=layout)


def _forward_direct(
    x: Float[Array, " B H W C"], kernel: Float[Array, " R S C F"]
) -> Float[Array, " B H W F"]:
    return _correlate(x, kernel, [(size // 2, size // 2) for size in kernel.shape[:2]])


def _forward_tiles(
    x: Float[Array, " B H W C"], kernel: Float[Array, " R S C F"]
) -> Float[Array, " B H W F"]:
    large = kernel.shape[:2] == (5, 5) and min(kernel.shape[2:]) >= MANY and len(x) >= IMAGES
    # Tiles take digits, and numbers of 16 bits have none to spare.
    spare = x.dtype == kernel.dtype and jnp.finfo(x.dtype).bits >= 32
    return correlate_tiles(x, kernel) if large and spare else _forward_direct(x, kernel)


def _weight_gradient_direct(
    x: Float[Array, " B H W C"], cotangent: Float[Array, " B H W F"], sizes: tuple[int, int]
) -> Float[Array, " R S C F"]:
    """Correlate the images with the cotangent, channels as batch and batch as channels."""
    padding = [(size // 2, size // 2) for size in sizes]
    turned = _correlate(x.transpose(3, 1, 2, 0), cotangent.transpose(1, 2, 0, 3), padding)
    return turned.transpose(1, 2, 0, 3)


def _neighbourhoods(
    x: Float[Array, " B H W C"], sizes: tuple[int, int]
) -> Float[Array, " B*H*W R*S*C"]:
    """Each pixel's surroundings as a row, laid out as a kernel is: row, column, channel."""
    batch, height, width, channels = x.shape
    rows, columns = sizes
    padding = ((0, 0), (rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0))
    padded = jnp.pad(x, padding)
    shifted = [
        padded[:, row : row + height, column : column + width]
        for row in range(rows)
        for column in range(columns)
    ]
    flat = (batch * height * width, rows * columns * channels)
    return jnp.concatenate(shifted, axis=-1).reshape(flat)


def _forward_product(
    x: Float[Array, " B H W C"], kernel: Float[Array, " R S C F"]
) -> Float[Array, " B H W F"]:
    filters = kernel.shape[3]
    product = _neighbourhoods(x, (kernel.shape[0], kernel.shape[1])) @ kernel.reshape(-1, filters)
    return product.reshape(*x.shape[:3], filters)


def _weight_gradient_product(
    x: Float[Array, " B H W C"], cotangent: Float[Array, " B H W F"], sizes: tuple[int, int]
) -> Float[Array, " R S C F"]:
    filters = cotangent.shape[3]
    product = _neighbourhoods(x, sizes).T @ cotangent.reshape(-1, filters)
    return product.reshape(*sizes, x.shape[3], filters)


def _with_gradients(forward: Conv, weight_gradient: WeightGradient) -> Conv:
    """Give a same-size convolution its gradients, all of them in its own fast form.

    With ``y = x ⋆ k``: ``∂x = ∂y ⋆ k'``, where ``k'`` is the kernel turned by half a turn
    with its channels swapped, and ``∂k[r, s] = Σ x shifted by (r, s), times ∂y``.
    """

    def checked(x, kernel):
        if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
            raise ValueError(
                f"A convolution needs a kernel of odd height and width, but it is "
                f"{kernel.shape[0]}×{kernel.shape[1]}."
            )
        return forward(x, kernel)

    @jax.custom_vjp
    def conv(x, kernel):
        return checked(x, kernel)

    def keep(x, kernel):
        return checked(x, kernel), (x, kernel)

    def gradients(kept, cotangent):
        x, kernel = kept
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        return forward(cotangent, turned), weight_gradient(x, cotangent, kernel.shape[:2])

    conv.defvjp(keep, gradients)
    return conv


conv_direct: Conv = _with_gradients(_forward_direct, _weight_gradient_direct)
"""Same-size convolution, stride 1, odd kernel; fast for one model at a time on a CPU."""

conv_tiles: Conv = _with_gradients(_forward_tiles, _weight_gradient_direct)
"""The same to rounding, by tiles where they are faster."""

conv_product: Conv = _with_gradients(_forward_product, _weight_gradient_product)
"""The same as matrix products, fast when many models are computed at once."""


def conv_for_backend() -> Conv:
    """The fastest form on the platform that is compiled for, as ``policy`` says."""
    return {"tiles": conv_tiles, "product": conv_product}[policy.convolution_form()]
