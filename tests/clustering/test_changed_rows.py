"""Distances of clients that changed: those of all computed at once, in whatever order."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from demjax.clustering.changed_rows import with_changed
from demjax.clustering.pivots import Kind

changed = partial(jax.jit, static_argnums=0)(with_changed)


def groups_of_groups(rng, count=60):
    """Clients at three scales: far groups, groups in them a thousand times tighter, and copies."""
    far = rng.normal(size=(3, 70))[np.arange(count) % 3]
    near = 1e-3 * rng.normal(size=(6, 70))[np.arange(count) % 6]
    points = far + near + 1e-5 * rng.normal(size=(count, 70))
    points[7] = points[1]
    return points.astype(np.float32)


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_rows_that_changed_are_right_to_five_digits_and_others_are_kept(root, seed):
    rng = np.random.default_rng(seed)
    points = groups_of_groups(rng)
    metric = "euclidean" if root else "sqeuclidean"
    known = cdist(points.astype(np.float64), points, metric).astype(np.float32)
    rows = rng.permutation(60)[:12]
    moved = points.copy()
    moved[rows] = groups_of_groups(rng)[rows]
    moved[rows[0]] = points[rows[1]] + np.float32(1e-6)
    wanted = cdist(moved.astype(np.float64), moved, metric)
    padded = np.append(rows, [60, 60])
    params = {"a": moved[:, :33], "b": moved[:, 33:].reshape(60, 37, 1)}
    found = changed(Kind(root=root), params, jnp.asarray(known), padded)
    np.testing.assert_allclose(found, wanted, rtol=3e-5, atol=1e-9)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diagonal(found), 0)
    others = np.setdiff1d(np.arange(60), rows)
    np.testing.assert_array_equal(found[np.ix_(others, others)], known[np.ix_(others, others)])


def test_nobody_changed():
    points = groups_of_groups(np.random.default_rng(0))
    known = jnp.asarray(cdist(points, points), jnp.float32)
    nobody = jnp.full(4, 60)
    np.testing.assert_array_equal(changed(Kind(root=True), [points], known, nobody), known)


def test_a_client_that_diverged_is_far_from_all_and_spoils_no_other():
    points = groups_of_groups(np.random.default_rng(0))
    known = jnp.asarray(cdist(points, points), jnp.float32)
    points[5] = np.nan
    found = changed(Kind(root=True), [points], known, jnp.asarray([5, 9]))
    others = np.setdiff1d(np.arange(60), [5])
    assert not np.isfinite(np.asarray(found)[5, others]).any()
    exact = cdist(points.astype(np.float64), points)
    np.testing.assert_allclose(
        np.asarray(found)[np.ix_(others, others)], exact[np.ix_(others, others)], rtol=1e-4
    )
