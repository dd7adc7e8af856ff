"""The models of the experiments, as Flax modules."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Annotated, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from demjax.models.convolution import Conv, conv_for_backend
from demjax.registry import MODELS, Range


def uniform_fan_in(fan_in: int) -> Callable[..., Array]:
    """Initializer that draws weights and biases uniformly from ``±1/√fan_in``."""
    bound = fan_in**-0.5

    def init(key: PRNGKeyArray, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, minval=-bound, maxval=bound)

    return init


def max_pool(x: Float[Array, " B H W C"]) -> Float[Array, " B H//2 W//2 C"]:
    """Largest of each 2×2 square; an odd last row or column is left out.

    Written with slices: the gradient of a windowed reduction is slow on a CPU.
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    rows = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(rows[:, :, 0:width:2], rows[:, :, 1:width:2])


def dropout(x: Float[Array, " ..."], key: PRNGKeyArray, rate: float) -> Float[Array, " ..."]:
    """Zero each number with probability ``rate`` and scale the others by ``1/(1 − rate)``.

    Sixteen random bits decide each number, half the work of the usual thirty-two, so the
    rate, from 0 to below 1, is met to within 2⁻¹⁷.
    """
    kept = jax.random.bits(key, x.shape, jnp.uint16) >= round(rate * 65536)
    return jnp.where(kept, x / (1.0 - rate), 0.0)


class Dense(nn.Module):
    """A dense layer initialised uniformly in ``±1/√fan_in``, weights and biases."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, " B D"]) -> Float[Array, " B F"]:
        """Apply the layer."""
        init = uniform_fan_in(x.shape[-1])
        return nn.Dense(self.features, kernel_init=init, bias_init=init)(x)


class Conv2D(nn.Module):
    """A same-size convolution with bias, initialised uniformly in ``±1/√fan_in``.

    Attributes:
        features: Number of filters.
        size: Height and width of the kernel, odd.
        conv: The convolution; by default the fast one of JAX's default backend.
    """

    features: int
    size: int
    conv: Conv | None = None

    @nn.compact
    def __call__(self, x: Float[Array, " B H W C"]) -> Float[Array, " B H W F"]:
        """Apply the layer, also to images of whole numbers."""
        init = uniform_fan_in(self.size**2 * x.shape[-1])
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", init, shape)
        bias = self.param("bias", init, (self.features,))
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(kernel.dtype)
        return (self.conv or conv_for_backend())(x, kernel) + bias


@MODELS.register("linear")
class Linear(nn.Module):
    """Softmax regression: one dense layer on the flattened input.

    Attributes:
        classes: Number of labels.
    """

    classes: int

    @nn.compact
    def __call__(self, x: Float[Array, " B *shape"], *, train: bool) -> Float[Array, " B classes"]:
        """Logits of each input; ``train`` turns dropout on, where there is any."""
        return Dense(self.classes)(x.reshape(x.shape[0], -1))


@MODELS.register("mlp")
class MLP(nn.Module):
    """Dense layers with ReLU between them, on the flattened input.

    Attributes:
        classes: Number of labels.
        hidden: Widths of the hidden layers.
    """

    classes: int
    hidden: Annotated[Sequence[int], Range(1)] = (200,)

    @nn.compact
    def __call__(self, x: Float[Array, " B *shape"], *, train: bool) -> Float[Array, " B classes"]:
        """Logits of each input; ``train`` turns dropout on, where there is any."""
        x = x.reshape(x.shape[0], -1)
        for width in self.hidden:
            x = nn.relu(Dense(width)(x))
        return Dense(self.classes)(x)


@MODELS.register("cnn", least_image=4)
class CNN(nn.Module):
    """The published network for MNIST: 834,922 parameters on 28×28 grey images.

    Two blocks of a 5×5 convolution with 32 filters, ReLU, 2×2 max-pool and dropout, then a
    hidden dense layer of 512 with ReLU and the output layer. (Pooling before the ReLU gives
    the same numbers and a quarter of the work.) By name ``Dense_0`` is the output layer,
    ``Dense_1`` the hidden one.

    Attributes:
        classes: Number of labels.
        filters: Filters of each convolution.
        hidden: Width of the hidden dense layer.
        dropout: Share of activations dropped after each block while training.
        batch_norm: Whether batch normalization follows each convolution; the published network
            has none.
        conv: The convolution; by default the fast one of JAX's default backend.

    Source: Nguyen et al., arXiv 2007.03278.
    """

    classes: int
    filters: Annotated[Sequence[int], Range(1)] = (32, 32)
    hidden: Annotated[int, Range(1)] = 512
    dropout: Annotated[float, Range(0, 0.99)] = 0.4
    batch_norm: bool = False
    conv: Conv | None = None

    @nn.compact
    def __call__(self, x: Float[Array, " B H W C"], *, train: bool) -> Float[Array, " B classes"]:
        """Logits of each input; ``train`` turns dropout on, where there is any."""
        for features in self.filters:
            x = Conv2D(features, size=5, conv=self.conv)(x)
            if self.batch_norm:
                x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
            x = nn.relu(max_pool(x))
            if train and self.dropout > 0:
                x = dropout(x, self.make_rng("dropout"), self.dropout)
        x = x.reshape(x.shape[0], prod(x.shape[1:]))
        return Dense(self.classes)(nn.relu(Dense(self.hidden)(x)))


@MODELS.register("cifar_cnn", least_image=8)
class CifarCNN(nn.Module):
    """The published network for CIFAR-10: 581,866 parameters on 32×32 images of 3 colours.

    Blocks of a 3×3 convolution, ReLU and 2×2 max-pool with 16, 32 and 64 filters, then hidden
    dense layers of 512 and 64, each with ReLU and dropout, and the output layer.

    Attributes:
        classes: Number of labels.
        filters: Filters of each convolution; images are halved by each.
        hidden: Widths of the hidden dense layers.
        dropout: Share of activations dropped after each hidden layer while training.
        conv: The convolution; by default the fast one of JAX's default backend.

    Source: Nguyen et al., arXiv 2007.03278.
    """

    classes: int
    filters: Annotated[Sequence[int], Range(1)] = (16, 32, 64)
    hidden: Annotated[Sequence[int], Range(1)] = (512, 64)
    dropout: Annotated[float, Range(0, 0.99)] = 0.5
    conv: Conv | None = None

    @nn.compact
    def __call__(self, x: Float[Array, " B H W C"], *, train: bool) -> Float[Array, " B classes"]:
        """Logits of each input; ``train`` turns dropout on, where there is any."""
        for features in self.filters:
            x = nn.relu(max_pool(Conv2D(features, size=3, conv=self.conv)(x)))
        x = x.reshape(x.shape[0], prod(x.shape[1:]))
        for width in self.hidden:
            x = nn.relu(Dense(width)(x))
            if train and self.dropout > 0:
                x = dropout(x, self.make_rng("dropout"), self.dropout)
        return Dense(self.classes)(x)


@MODELS.register("pfllib_cnn", least_image=16)
class PFLlibCNN(nn.Module):
    """The network of PFLlib's tables: 582,026 parameters on 28×28 grey images.

    Two blocks of a 5×5 convolution without padding, ReLU and 2×2 max-pool, with 32 and 64 filters,
    then a hidden dense layer of 512 with ReLU and the output layer. It is computed as the inner
    part of a convolution of the same size. By name ``Dense_0`` is the output layer.

    Attributes:
        classes: Number of labels.
        filters: Filters of each convolution.
        hidden: Width of the hidden dense layer.
        conv: The convolution; by default the fast one of JAX's default backend.

    Source: Zhang et al., arXiv 2312.04992.
    """

    classes: int
    filters: Annotated[Sequence[int], Range(1)] = (32, 64)
    hidden: Annotated[int, Range(1)] = 512
    conv: Conv | None = None

    @nn.compact
    def __call__(self, x: Float[Array, " B H W C"], *, train: bool) -> Float[Array, " B classes"]:
        """Logits of each input; ``train`` turns dropout on, where there is any."""
        for features in self.filters:
            inner = Conv2D(features, size=5, conv=self.conv)(x)[:, 2:-2, 2:-2]
            x = nn.relu(max_pool(inner))
        x = x.reshape(x.shape[0], prod(x.shape[1:]))
        return Dense(self.classes)(nn.relu(Dense(self.hidden)(x)))
