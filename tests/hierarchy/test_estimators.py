"""Robust means of groups against NumPy in float64, member by member."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax.hierarchy import estimators
from demjax.pytrees import StackedModels
from demjax.registry import MEANS

RNG = np.random.default_rng(0)
COUNT = 11
WEIGHT = np.array(
    [
        [1, 2, 1, 3, 1, 1, 2, 1, 1, 1, 1],
        [0, 1, 1, 2, 0, 1, 1, 0, 0, 1, 0],  # six members
        [0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 2],  # three
        [0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0],  # one
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ],
    np.float32,
)


def stacked(count, scale=1.0):
    return {
        "w": (scale * RNG.normal(size=(count, 6, 3))).astype(np.float32),
        "b": (scale * RNG.normal(size=(count, 5))).astype(np.float32),
    }


MODELS, REFERENCE = stacked(COUNT), stacked(len(WEIGHT), 0.3)


def flat(models):
    return np.concatenate(
        [np.asarray(models[name], np.float64).reshape(len(models[name]), -1) for name in "bw"], 1
    )


def average_of(average, models=MODELS, weight=WEIGHT):
    given = StackedModels.from_pytree(jax.tree.map(jnp.asarray, models))
    instead = StackedModels.from_pytree(jax.tree.map(jnp.asarray, REFERENCE))
    found = jax.jit(average)(given, jnp.asarray(weight), reference=instead, key=None)
    return flat(jax.tree.map(np.asarray, found.as_pytree()))


def allowed(share, n, beside):
    return min(int(np.floor(share * n + 1e-3)), max(0, (n - 1 - beside) // 2))


def trimmed(x, weight, reference, share=0.2):
    f = allowed(share, len(x), 0)
    return np.sort(x, axis=0)[f : len(x) - f].mean(axis=0)


def scores(x, f, margin=2):
    apart = ((x[:, None] - x[None]) ** 2).sum(-1)
    return [
        np.sort(np.delete(row, i))[: max(1, len(x) - f - margin)].sum()
        for i, row in enumerate(apart)
    ]


def krum(x, weight, reference):
    return x[np.argmin(scores(x, allowed(0.2, len(x), 2)))]


def multi_krum(x, weight, reference):
    f = allowed(0.2, len(x), 2)
    return x[np.argsort(scores(x, f))[: len(x) - f]].mean(axis=0)


def geometric_median(x, weight, at):
    for _ in range(8):
        pull = weight / np.maximum(1e-6, np.linalg.norm(x - at, axis=1))
        at = pull @ x / pull.sum()
    return at


def clipping(norm, iterations):
    def of(x, weight, at):
        for _ in range(iterations):
            short = np.minimum(1, norm / np.maximum(1e-30, np.linalg.norm(x - at, axis=1)))
            at = at + (weight * short) @ (x - at) / weight.sum()
        return at

    return of


CASES = {
    "median": (estimators.median(), lambda x, *_: np.median(x, axis=0)),
    "trimmed_mean": (estimators.trimmed_mean(liars=0.2), trimmed),
    "krum": (estimators.krum(liars=0.2), krum),
    "multi_krum": (estimators.multi_krum(liars=0.2), multi_krum),
    "geometric_median": (estimators.geometric_median(), geometric_median),
    "norm_clipping": (estimators.norm_clipping(norm=3.0), clipping(3.0, 1)),
    "centered_clipping": (estimators.centered_clipping(norm=3.0), clipping(3.0, 3)),
}


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize("broken", ["nobody", "two"])
def test_a_robust_mean_is_numpys_on_every_level_whoever_breaks(name, broken):
    average, by_hand = CASES[name]
    models, sound = jax.tree.map(np.copy, MODELS), np.ones(COUNT, bool)
    if broken == "two":
        models["w"][3, 2], models["b"][8] = np.nan, np.inf
        sound[[3, 8]] = False
    got, x, instead = average_of(average, models), flat(models), flat(REFERENCE)
    for row, weight, reference in zip(got, WEIGHT, instead, strict=True):
        there = (weight > 0) & sound
        wanted = by_hand(x[there], weight[there], reference) if any(there) else reference
        np.testing.assert_allclose(row, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize("far", [1e6, 1e25])
def test_two_of_eleven_that_are_far_away_carry_nobody_off(name, far):
    models = jax.tree.map(np.copy, MODELS)
    for leaf in models.values():
        leaf[[0, 6]] = far
    got = average_of(CASES[name][0], models, WEIGHT[:1].repeat(len(WEIGHT), 0))[0]
    honest = np.delete(flat(models), [0, 6], axis=0)
    assert np.linalg.norm(got - honest.mean(axis=0)) < 2 * honest.std(axis=0).sum()
    if "krum" in name and far < estimators.LARGEST:
        wanted = CASES[name][1](flat(models), WEIGHT[0], None)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_what_no_robust_mean_bears_is_said():
    for name, wrong in (("trimmed_mean", {"liars": 0.6}), ("krum", {"liars": -0.1})):
        with pytest.raises(ValueError, match="liars"):
            MEANS[name].make(**wrong)
    for wrong in ({"norm": 0.0}, {"iterations": 0}):
        with pytest.raises(ValueError, match="centered_clipping needs"):
            estimators.centered_clipping(**wrong)
