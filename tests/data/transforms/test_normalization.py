"""Normalisation against float64, beforehand and inside a program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demjax.data import Partition, centred, overall, per_pixel, unit
from demjax.data.transforms.normalization import AT_ONCE


def images(count=50, shape=(4, 3, 2), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def reference(name, x, rows):
    """Each rule in float64, and at once."""
    known = x[rows].astype(np.float64)
    x = x.astype(np.float64)
    return {
        "unit": lambda: x / 255,
        "centred": lambda: (x / 255 - 0.5) / 0.5,
        "overall": lambda: (x / 255 - (known / 255).mean()) / ((known / 255).std() + 0.001),
        "per_pixel": lambda: (x - known.mean(axis=0)) / (known.std(axis=0) + 0.001),
    }[name]()


def made(name, x, rows=None):
    return {
        "unit": unit,
        "centred": centred,
        "overall": lambda: overall(x, rows=rows),
        "per_pixel": lambda: per_pixel(x, rows=rows),
    }[name]()


NAMES = ("unit", "centred", "overall", "per_pixel")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("some", [False, True])
def test_every_rule_is_its_equation(name, some):
    x = images(AT_ONCE + 7 if name == "overall" else 50)
    rows = np.random.default_rng(1).permutation(len(x))[: len(x) // 2] if some else None
    wanted = reference(name, x, np.arange(len(x)) if rows is None else rows)
    got = made(name, x, rows)(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_inside_a_program_the_numbers_are_the_same(name):
    x = images()
    normalization = made(name, x)
    inside = jax.jit(lambda x: normalization(x))(jnp.asarray(x))
    np.testing.assert_allclose(inside, normalization(x), rtol=1e-6, atol=1e-6)


def test_scaling_is_a_division_and_leaves_the_pixels_as_they_are():
    x = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    np.testing.assert_allclose(unit()(x).ravel(), np.arange(256) / 255, rtol=1e-7)
    np.testing.assert_array_equal(unit(maximum=1)(x), x)
    assert x[-1, -1, -1, 0] == 255


def test_a_mean_for_each_pixel_by_hand():
    x = np.array([[[[0], [7]]], [[[10], [7]]]], np.uint8)  # two images of 1×2 pixels
    # the first pixel: mean 5, population std 5; the second never changes
    expected = [[[[-5 / 5.001], [0]]], [[[5 / 5.001], [0]]]]
    np.testing.assert_allclose(per_pixel(x)(x), expected, rtol=1e-6)
    assert x[0, 0, 1, 0] == 7


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_mean_for_each_pixel_is_the_published_formula_also_across_chunks(dtype):
    x = np.random.default_rng(0).integers(0, 256, (9001, 3, 2, 1)).astype(dtype)
    x[:, 0, 0] = 255
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(axis=0)) / (np.std(exact, axis=0) + 0.001)
    np.testing.assert_allclose(per_pixel(x)(x), expected, rtol=0, atol=1e-5)
    assert (per_pixel(x)(x)[:, 0, 0] == 0).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 40))
def test_a_normalised_pixel_has_mean_0_and_std_just_below_1(seed, count):
    x = np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 1), dtype=np.uint8)
    normalised = per_pixel(x)(x).astype(np.float64)
    std = x.astype(np.float64).std(axis=0)
    np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std(axis=0), std / (std + 0.001), atol=1e-5)


def test_one_mean_and_deviation_of_the_training_images_normalise_all():
    x = np.random.default_rng(0).uniform(0, 1, (30, 4, 4, 1)).astype(np.float32)
    by = x[:20].astype(np.float64)
    expected = (x - by.mean()) / (np.sqrt(((by - by.mean()) ** 2).mean()) + 0.001)
    got = overall(x, rows=np.arange(20), maximum=1.0)(x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(got, overall(x[:20], maximum=1.0)(x))


def test_a_pixel_that_never_changes_is_nought():
    x = np.full((9, 2), 200, np.uint8)
    assert not per_pixel(x)(x).any()
    assert not overall(x)(x).any()


@pytest.mark.parametrize("maximum", [0.0, -1.0, np.inf, np.nan])
def test_a_maximum_that_is_not_positive_is_refused(maximum):
    for rule in (unit, centred, lambda maximum: overall(images(), maximum=maximum)):
        with pytest.raises(ValueError, match="above 0"):
            rule(maximum=maximum)


def test_nothing_gives_no_mean():
    for rule in (overall, per_pixel):
        with pytest.raises(ValueError, match="at least one image"):
            rule(images(count=0))
        with pytest.raises(ValueError, match="at least one image"):
            rule(images(), rows=np.arange(0))


@pytest.mark.parametrize("maximum", [1.0, 255.0])
def test_the_training_examples_of_a_partition_are_found(maximum):
    raw = np.random.default_rng(3).integers(0, 256, (9, 2, 2, 1)).astype(np.uint8)
    x = raw if maximum == 255 else (raw / 255).astype(np.float32)
    split = Partition((np.array([0, 3]), np.array([5, 6, 8])), (np.array([1]), np.array([2])))
    mine = raw[[0, 3, 5, 6, 8]] / 255
    expected = (raw / 255 - mine.mean()) / (mine.std() + 0.001)
    found = overall(x, rows=split, maximum=maximum)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
