import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads
from scipy.signal import correlate2d

from demjax.backend.policy import compiling_for
from demjax.models import conv_direct, conv_for_backend, conv_product, conv_tiles

FORMS = pytest.mark.parametrize(
    "conv", [conv_direct, conv_tiles, conv_product], ids=["direct", "tiles", "product"]
)
# batch, height, width, channels, filters, kernel rows, kernel columns
SIZES = pytest.mark.parametrize(
    "sizes",
    [
        (2, 6, 6, 3, 4, 3, 3),
        (1, 7, 5, 1, 2, 5, 5),
        (2, 8, 5, 2, 1, 3, 5),
        (2, 5, 9, 1, 3, 5, 1),
        (1, 3, 2, 2, 2, 5, 5),  # a kernel larger than the image
        (1, 1, 1, 1, 1, 1, 1),
        (5, 2, 7, 4, 2, 1, 3),
        (32, 5, 3, 16, 17, 5, 5),  # many channels, filters and images
    ],
    ids=str,
)


def images_and_kernel(sizes, models=()):
    batch, height, width, channels, filters, rows, columns = sizes
    rng = np.random.default_rng(sum(sizes))
    x = rng.normal(size=(*models, batch, height, width, channels))
    kernel = rng.normal(size=(*models, rows, columns, channels, filters))
    return jnp.asarray(x), jnp.asarray(kernel)


def xla_conv(x, kernel):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def scipy_conv(x, kernel):
    """Each filter's sum over channels of SciPy's correlation, image by image."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    y = np.zeros((*x.shape[:3], kernel.shape[3]))
    padding = [(size // 2, size // 2) for size in kernel.shape[:2]]
    for image in range(x.shape[0]):
        for channel in range(x.shape[3]):
            padded = np.pad(x[image, :, :, channel], padding)
            for number in range(kernel.shape[3]):
                filtered = correlate2d(padded, kernel[:, :, channel, number], mode="valid")
                y[image, :, :, number] += filtered
    return y


def output_and_gradients(conv, x, kernel, cotangent):
    output, pull_back = jax.vjp(conv, x, kernel)
    return output, *pull_back(cotangent)


def cotangent_for(x, kernel):
    shape = (*x.shape[:-1], kernel.shape[-1])
    return jnp.asarray(np.random.default_rng(7).normal(size=shape), x.dtype)


@functools.cache
def xla_answer(sizes):
    x, kernel = images_and_kernel(sizes)
    return jax.jit(output_and_gradients, static_argnums=0)(
        xla_conv, x, kernel, cotangent_for(x, kernel)
    )


@FORMS
@SIZES
def test_output_and_both_gradients_are_those_of_xla_and_scipy(conv, sizes, float64):
    x, kernel = images_and_kernel(sizes)
    got = jax.jit(output_and_gradients, static_argnums=0)(conv, x, kernel, cotangent_for(x, kernel))
    for one, other in zip(got, xla_answer(sizes), strict=True):
        assert one.shape == other.shape
        assert one.dtype == jnp.float64
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(got[0], scipy_conv(x, kernel), rtol=1e-12, atol=1e-12)


@FORMS
def test_first_and_second_derivatives_are_those_of_finite_differences(conv, float64):
    x, kernel = images_and_kernel((1, 2, 3, 2, 1, 1, 3))
    check_grads(jax.jit(conv), (x, kernel), order=2, modes=["rev"])


def test_derivatives_by_tiles_are_those_of_finite_differences(float64):
    x, kernel = images_and_kernel((32, 2, 1, 16, 16, 5, 5))
    check_grads(jax.jit(conv_tiles), (x, kernel), order=2, modes=["rev"])


def test_tiles_are_taken_where_they_pay():
    def multiplies(batch, height, width, channels, filters, rows, columns, dtype=jnp.float32):
        """Whether there is a product of matrices, which tiles are made of."""
        x = jax.ShapeDtypeStruct((batch, height, width, channels), dtype)
        kernel = jax.ShapeDtypeStruct((rows, columns, channels, filters), dtype)
        return "dot_general" in str(jax.make_jaxpr(conv_tiles)(x, kernel))

    assert multiplies(32, 9, 9, 16, 16, 5, 5)
    assert not multiplies(31, 9, 9, 16, 16, 5, 5)
    assert not multiplies(32, 9, 9, 1, 32, 5, 5)
    assert not multiplies(32, 9, 9, 32, 15, 5, 5)
    assert not multiplies(32, 9, 9, 16, 32, 3, 3)
    assert not multiplies(32, 9, 9, 16, 32, 5, 3)
    assert not multiplies(32, 9, 9, 32, 32, 5, 5, jnp.bfloat16)


@FORMS
@pytest.mark.parametrize("sizes", [(2, 5, 6, 2, 3, 3, 5), (32, 3, 2, 16, 16, 5, 5)], ids=str)
def test_many_models_at_once_are_computed_as_one_after_another(conv, sizes, float64):
    x, kernel = images_and_kernel(sizes, models=(3,))
    cotangent = cotangent_for(x, kernel)

    def one_by_one(*args):
        return lax.map(lambda some: output_and_gradients(xla_conv, *some), args)

    got = jax.jit(jax.vmap(functools.partial(output_and_gradients, conv)))(x, kernel, cotangent)
    wanted = jax.jit(one_by_one)(x, kernel, cotangent)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@FORMS
def test_models_may_share_their_images(conv, float64):
    x, kernel = images_and_kernel((2, 5, 5, 2, 3, 3, 3), models=(3,))
    got = jax.jit(jax.vmap(conv, in_axes=(None, 0)))(x[0], kernel)
    for one, own in zip(got, kernel, strict=True):
        np.testing.assert_allclose(one, scipy_conv(x[0], own), rtol=1e-12, atol=1e-12)


@FORMS
def test_single_precision_is_met_inside_a_program(conv):
    x, kernel = images_and_kernel((3, 9, 8, 3, 5, 5, 5))
    assert x.dtype == jnp.float32
    np.testing.assert_allclose(jax.jit(conv)(x, kernel), scipy_conv(x, kernel), rtol=0, atol=3e-5)


@FORMS
@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (3, 4), (2, 2)])
def test_a_kernel_of_even_size_is_refused(conv, rows, columns):
    x, kernel = images_and_kernel((1, 6, 6, 1, 1, rows, columns))
    with pytest.raises(ValueError, match=f"odd height and width, but it is {rows}×{columns}"):
        conv(x, kernel)
    with pytest.raises(ValueError, match="odd"):
        jax.grad(lambda kernel: jnp.sum(conv(x, kernel)))(kernel)


def test_the_platform_chooses_the_form():
    assert conv_for_backend() is conv_tiles
    for platform in ("gpu", "tpu"):
        with compiling_for(platform):
            assert conv_for_backend() is conv_product
