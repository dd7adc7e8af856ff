"""Convolution by tiles against SciPy's sums, and its transforms against exact fractions."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax.models.winograd import IMAGES, TILE, correlate_tiles, transforms
from tests.models.test_convolution import images_and_kernel, scipy_conv


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_transforms_correlate_exactly(size):
    back, of_kernel, of_inputs = (
        [[Fraction(number).limit_denominator(1000) for number in row] for row in matrix]
        for matrix in transforms(size)
    )
    for exact, rounded in zip((back, of_kernel, of_inputs), transforms(size), strict=True):
        np.testing.assert_array_equal(np.array(exact, float), rounded)  # on any processor

    def applied(matrix, vector):
        return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]

    rng = np.random.default_rng(size)
    kernel = rng.integers(-9, 10, size).tolist()
    x = rng.integers(-9, 10, TILE + size - 1).tolist()
    products = zip(applied(of_kernel, kernel), applied(of_inputs, x), strict=True)
    got = applied(back, [a * b for a, b in products])
    assert got == np.correlate(x, kernel, "valid").tolist()


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("extent", [(1, 1), (3, 2), (4, 4), (5, 9), (14, 13)])
def test_outputs_are_scipys_sums(size, extent, float64):
    x, kernel = images_and_kernel((2, *extent, 2, 3, size, size))
    got = jax.jit(correlate_tiles)(x, kernel)
    assert got.dtype == jnp.float64
    np.testing.assert_allclose(got, scipy_conv(x, kernel), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [(7, 7), (5, 3), (4, 4)], ids=str)
def test_other_kernels_are_refused(sizes):
    x, kernel = images_and_kernel((1, 8, 8, 1, 1, *sizes))
    with pytest.raises(ValueError, match=f"but it is {sizes[0]}×{sizes[1]}"):
        correlate_tiles(x, kernel)


@pytest.mark.parametrize("batch", [IMAGES - 1, IMAGES, IMAGES + 1, 2 * IMAGES + 1])
def test_images_in_parts_are_those_at_once(batch, float64):
    x, kernel = images_and_kernel((batch, 5, 4, 1, 2, 3, 3))
    got = jax.jit(correlate_tiles)(x, kernel)
    np.testing.assert_allclose(got, scipy_conv(x, kernel), rtol=1e-12, atol=1e-12)


def test_single_precision_keeps_the_digits_that_are_promised():
    x, kernel = images_and_kernel((4, 14, 14, 32, 32, 5, 5))
    kernel = kernel / np.sqrt(5 * 5 * 32)  # outputs around 1
    wanted = scipy_conv(x, kernel)
    assert np.std(wanted) == pytest.approx(1, abs=0.1)
    error = np.abs(jax.jit(correlate_tiles)(x, kernel) - wanted)
    assert 1e-7 < np.max(error) < 3e-5
    assert np.sqrt(np.mean(error**2)) < 1e-5


def test_transforms_do_not_depend_on_how_an_inverse_is_rounded(monkeypatch):
    exact, inverse = transforms(5), np.linalg.inv
    noise = np.random.default_rng(0).uniform(-1, 1, (TILE + 4, TILE + 4))
    monkeypatch.setattr(np.linalg, "inv", lambda matrix: inverse(matrix) + 1e-14 * noise)
    for rounded, wanted in zip(transforms.__wrapped__(5), exact, strict=True):
        np.testing.assert_array_equal(rounded, wanted)
