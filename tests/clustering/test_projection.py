"""Random projections: distances, linearity and signs, against NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy.spatial.distance import pdist

from demjax.clustering import layers, projection, sketch, updates

COUNT = len(tiny.SIZES)


def models(seed, count=COUNT, width=40):
    rng = np.random.default_rng(seed)
    return {
        "w": jnp.asarray(rng.normal(size=(count, width, 3)), jnp.float32),
        "b": jnp.asarray(rng.normal(size=count), jnp.float32),
    }


DIMENSIONS = 64


def ratios(seed, chunk=None, monkeypatch=None):
    """Squared distances in a sketch over true ones, of all pairs of 60 models."""
    if chunk is not None:
        monkeypatch.setattr(projection, "SKETCH_CHUNK", chunk)
    points = models(seed, 60)
    got = jax.jit(sketch(DIMENSIONS, seed=seed))(points)
    whole = np.concatenate([np.asarray(points["w"]).reshape(60, -1), points["b"][:, None]], 1)
    return pdist(np.asarray(got, np.float64)) ** 2 / pdist(whole.astype(np.float64)) ** 2


@pytest.mark.parametrize("chunk", [None, 7, 32])
def test_squared_distances_spread_as_documented(chunk, monkeypatch):
    ratio = np.concatenate([ratios(seed, chunk, monkeypatch) for seed in range(8)])
    assert ratio.mean() == pytest.approx(1, abs=0.03)
    assert ratio.std() == pytest.approx(np.sqrt(2 / DIMENSIONS), rel=0.2)


def test_all_squared_distances_are_within_the_documented_bound():
    count, epsilon = 30, 0.4
    dimensions = int(np.ceil(6 * np.log(count) / (epsilon**2 / 2 - epsilon**3 / 3)))
    points = np.random.default_rng(0).normal(size=(count, 900)).astype(np.float32)
    got = jax.jit(sketch(dimensions))({"w": jnp.asarray(points)})
    assert got.shape == (count, dimensions)
    ratio = pdist(np.asarray(got, np.float64)) ** 2 / pdist(points.astype(np.float64)) ** 2
    assert 1 - epsilon <= ratio.min() <= ratio.max() <= 1 + epsilon


def test_a_sketch_is_linear():
    project, one, other = jax.jit(sketch(DIMENSIONS)), models(0), models(1)
    both = jax.tree.map(lambda a, b: 2 * a - 3 * b, one, other)
    np.testing.assert_allclose(project(both), 2 * project(one) - 3 * project(other), atol=2e-4)


def test_a_sketch_follows_from_its_seed():
    points = models(0)
    first, again, other = (jax.jit(sketch(33, seed=seed))(points) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize("chunk", [7, 30])
def test_every_parameter_has_signs_of_its_own_whatever_the_chunk(chunk, monkeypatch):
    monkeypatch.setattr(projection, "SKETCH_CHUNK", chunk)
    signs = np.asarray(jax.jit(sketch(DIMENSIONS))({"w": jnp.eye(60)})) * np.sqrt(DIMENSIONS)
    np.testing.assert_allclose(np.abs(signs), 1, rtol=1e-6)
    assert len(np.unique(signs, axis=0)) == 60
    shared = signs @ signs.T / DIMENSIONS - np.eye(60)
    assert np.abs(shared).max() < 0.75


def test_leaves_have_signs_of_their_own():
    same = models(0)["w"]
    got = jax.jit(sketch(DIMENSIONS))({"one": same, "other": -same})
    assert np.abs(got).max() > 0.1


def test_a_sketch_of_updates_is_the_update_of_sketches():
    project = sketch(DIMENSIONS)
    sketched, plain = updates(project), updates()

    def both(rounds):
        seen = []
        for looking in (sketched, plain):
            memory = looking.memory(rounds[0][0], None)
            for before, after in rounds:
                memory = looking.before(memory, before, None)
                features, memory = looking.after(memory, after, cohort=None, regroup=False)
            seen.append(features)
        return seen[0], project(seen[1])

    few = [(models(2 * number), models(2 * number + 1)) for number in range(2)]
    np.testing.assert_allclose(*jax.jit(both)(few), atol=2e-4)


def test_a_sketch_of_some_layers_does_not_see_the_others():
    project = jax.jit(sketch(8, of=layers("b")))
    np.testing.assert_array_equal(project(models(0)), project({**models(0), "w": models(1)["w"]}))


@pytest.mark.parametrize("dimensions", [0, -1])
def test_a_sketch_needs_a_dimension(dimensions):
    with pytest.raises(ValueError, match=f"dimensions of at least 1, but {dimensions} was given"):
        sketch(dimensions)
