"""Pixels are normalised as the formulas say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partitions_alike import failure

from demjax.data import Partition, scale_to_unit, standardize, standardize_pixels


def test_scaling_is_a_division():
    x = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    scaled = scale_to_unit(x)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.ravel(), np.arange(256) / 255, rtol=1e-7)
    np.testing.assert_array_equal(scale_to_unit(x, maximum=1), x)
    assert x[-1, -1, -1, 0] == 255
    for maximum in (0, -1, np.nan, np.inf):
        failure(lambda maximum=maximum: scale_to_unit(x, maximum=maximum), maximum)


def test_standardising_by_hand():
    x = np.array([[[[0], [7]]], [[[10], [7]]]], np.uint8)  # two images of 1×2 pixels
    standardized = standardize_pixels(x)
    assert standardized.dtype == np.float32
    # the first pixel: mean 5, population std 5; the second never changes
    expected = [[[[-5 / 5.001], [0]]], [[[5 / 5.001], [0]]]]
    np.testing.assert_allclose(standardized, expected, rtol=1e-6)
    assert x[0, 0, 1, 0] == 7
    failure(lambda: standardize_pixels(x[:0]), "at least one")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_standardising_is_the_published_formula_also_across_chunks(dtype):
    x = np.random.default_rng(0).integers(0, 256, (9001, 3, 2, 1)).astype(dtype)
    x[:, 0, 0] = 255
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(axis=0)) / (np.std(exact, axis=0) + 0.001)
    np.testing.assert_allclose(standardize_pixels(x), expected, rtol=0, atol=1e-5)
    assert (standardize_pixels(x)[:, 0, 0] == 0).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 40))
def test_a_standardised_pixel_has_mean_0_and_std_just_below_1(seed, count):
    x = np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 1), dtype=np.uint8)
    standardized = standardize_pixels(x).astype(np.float64)
    std = x.astype(np.float64).std(axis=0)
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standardized.std(axis=0), std / (std + 0.001), atol=1e-5)


def test_one_mean_and_deviation_of_the_training_images_standardizes_all():
    generator = np.random.default_rng(0)
    x = generator.uniform(0, 1, (30, 4, 4, 1)).astype(np.float32)
    by = x[:20].astype(np.float64)
    expected = (x - by.mean()) / (np.sqrt(((by - by.mean()) ** 2).mean()) + 0.001)
    standardized = standardize(x, by=x[:20])
    assert standardized.dtype == np.float32
    np.testing.assert_allclose(standardized, expected, rtol=1e-4, atol=1e-6)
    failure(lambda: standardize(x, by=x[:0]), "at least one")


@pytest.mark.parametrize("maximum", [1.0, 255.0])
def test_standardising_by_a_partition_is_that_of_the_command_line(maximum):
    raw = np.random.default_rng(3).integers(0, 256, (9, 2, 2, 1)).astype(np.uint8)
    x = raw if maximum == 255 else (raw / 255).astype(np.float32)
    split = Partition((np.array([0, 3]), np.array([5, 6, 8])), (np.array([1]), np.array([2])))
    mine = raw[[0, 3, 5, 6, 8]] / 255
    expected = (raw / 255 - mine.mean()) / (mine.std() + 0.001)
    np.testing.assert_allclose(standardize(x, by=split), expected, rtol=1e-5, atol=1e-5)
