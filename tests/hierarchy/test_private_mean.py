"""The mean of clipped updates against NumPy, and its noise as measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax.clients.private_steps import private
from demjax.hierarchy.private_mean import private_mean

RNG = np.random.default_rng(3)
MODELS, REFERENCE = RNG.normal(size=(6, 4)), RNG.normal(size=(2, 4))
WEIGHT = np.array([[1, 5, 2, 0, 1, 1], [0, 0, 3, 0, 1, 0]], np.float32)


def of(how, key=0, models=MODELS):
    given, instead = ({"w": jnp.asarray(part, jnp.float32)} for part in (models, REFERENCE))
    average = jax.jit(private_mean(how))
    found = average(given, jnp.asarray(WEIGHT), reference=instead, key=jax.random.key(key))
    return np.asarray(found["w"])


def test_updates_are_clipped_on_every_level_and_count_alike():
    broken = MODELS.copy()
    broken[4, 1] = np.nan  # which counts as no update
    got = of(private(1.5, 0), models=broken)
    for row, weight, reference in zip(got, WEIGHT, REFERENCE, strict=True):
        update = (MODELS - reference) * (np.arange(6) != 4)[:, None]
        share = np.minimum(1, 1.5 / np.maximum(1e-9, np.linalg.norm(update, axis=1)))
        there = weight > 0
        wanted = reference + (share[:, None] * update)[there].sum(axis=0) / there.sum()
        np.testing.assert_allclose(row, wanted, rtol=1e-5, atol=1e-5)


def test_noise_is_as_strong_as_the_clip_the_multiplier_and_the_members_say():
    average = private_mean(private(1.5, 2.0))
    given, instead = ({"w": jnp.asarray(part, jnp.float32)} for part in (MODELS, REFERENCE))

    def one(key):
        return average(given, jnp.asarray(WEIGHT), reference=instead, key=key)["w"]

    keys = jax.random.split(jax.random.key(0), 1000)
    drawn = np.asarray(jax.jit(jax.vmap(one))(keys)) - of(private(1.5, 0))
    for row, members in ((0, 5), (1, 2)):
        assert drawn[:, row].std() == pytest.approx(2.0 * 1.5 / members, rel=0.05)
