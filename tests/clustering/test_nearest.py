"""Squared distances of models to others, and their lengths, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from demjax.backend.policy import compiling_for
from demjax.clustering.nearest import lengths, squares_to
from demjax.pytrees import StackedModels


def test_they_are_those_of_the_vectors_also_far_from_0_and_near_one_another():
    rng = np.random.default_rng(0)
    models = {"b": rng.normal(size=(7, 3)), "w": 1e3 + 1e-2 * rng.normal(size=(7, 4, 5))}
    models = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), models)
    parts = [np.asarray(leaf, float).reshape(7, -1) for leaf in models.values()]
    vectors = np.concatenate(parts, axis=1)
    wanted = np.sum((vectors[:, None] - vectors[None, 2:4]) ** 2, axis=2)
    for platform in ("cpu", "gpu"):  # models in leaves, and in one array
        with compiling_for(platform):
            stacked = StackedModels.from_pytree(models)
            found = jax.jit(squares_to)(stacked, stacked.gather(jnp.array([2, 3])))
            np.testing.assert_allclose(found, wanted, rtol=1e-5)
            np.testing.assert_allclose(lengths(stacked), np.linalg.norm(vectors, axis=1), rtol=1e-6)
