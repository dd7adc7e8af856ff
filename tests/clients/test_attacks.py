"""Attacks against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax.clients import attacks
from demjax.registry import ATTACKS

RNG = np.random.default_rng(2)
UPDATES = {"w": RNG.normal(size=(7, 5, 2)).astype(np.float32), "b": RNG.normal(size=(7, 3))}
UPDATES = {name: leaf.astype(np.float32) for name, leaf in UPDATES.items()}
HONEST = np.array([1, 1, 0, 1, 0, 1, 1], bool)
KEY = jax.random.key(0)


def lies(attack):
    return jax.tree.map(np.asarray, attack.lie(UPDATES, jnp.asarray(HONEST), KEY))


@pytest.mark.parametrize(
    ("attack", "wanted"),
    [
        (attacks.sign_flip(scale=3.0), lambda u: -3 * u),
        (attacks.scaled(factor=10.0), lambda u: 10 * u),
        (attacks.inner_product(epsilon=0.5), lambda u: -0.5 * u[HONEST].mean(0) + 0 * u),
        (
            attacks.a_little_is_enough(z=2.0),
            lambda u: u[HONEST].mean(0) - 2 * u[HONEST].std(0, ddof=1) + 0 * u,
        ),
        (attacks.nan(), lambda u: u * np.nan),
    ],
)
def test_lies_are_what_the_papers_say(attack, wanted):
    for name, leaf in lies(attack).items():
        np.testing.assert_allclose(leaf, wanted(UPDATES[name].astype(float)), rtol=1e-4, atol=1e-5)


def test_noise_is_of_the_clients_own_and_as_strong_as_asked():
    one = lies(attacks.gaussian(std=2.0))
    everything = np.concatenate([leaf.ravel() for leaf in one.values()])
    assert np.std(everything) == pytest.approx(2.0, rel=0.2)
    fewer = jax.tree.map(lambda leaf: leaf[:3], UPDATES)
    again = attacks.gaussian(std=2.0).lie(fewer, jnp.ones(3, bool), KEY)
    for name, leaf in again.items():
        np.testing.assert_array_equal(leaf, one[name][:3])


def test_labels_are_flipped_where_liars_train():
    y, rows = np.array([0, 1, 2, 2, 0, 1]), [np.array([0, 1]), np.array([5, 2]), np.array([3])]
    liars = np.array([False, True, False])
    got = attacks.lied_labels(y, rows, liars, attacks.label_flip(), 3)
    assert got.tolist() == [0, 1, 0, 2, 0, 1]
    assert attacks.lied_labels(y, rows, liars, attacks.nan(), 3) is y


def test_attackers_are_as_many_as_asked_and_those_who_are_named():
    drawn = attacks.attackers(50, 0.2, seed=1)
    assert drawn.sum() == 10
    assert (attacks.attackers(50, 0.2, seed=2) != drawn).any()
    assert np.flatnonzero(attacks.attackers(5, named=(4, 0))).tolist() == [0, 4]
    for wrong in ({"share": 1.5}, {"named": (5,)}):
        with pytest.raises(ValueError, match="An attack needs attackers"):
            attacks.attackers(5, **wrong)
    assert "label_flip" in ATTACKS
