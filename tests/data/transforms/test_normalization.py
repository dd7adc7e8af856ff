"""Normalisation against float64, beforehand and inside a program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax.data import centred, overall, per_pixel, standardize, standardize_pixels, unit
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


def test_the_rules_are_those_that_normalise_all_images_at_once():
    x = images()
    np.testing.assert_array_equal(per_pixel(x)(x), standardize_pixels(x))
    scaled = (x / 255).astype(np.float32)
    whole = overall(scaled, rows=np.arange(20), maximum=1.0)(scaled)
    np.testing.assert_allclose(whole, standardize(scaled, by=scaled[:20]), rtol=1e-6, atol=1e-6)


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
