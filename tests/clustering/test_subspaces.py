"""Subspaces of clients' inputs, and their angles, against SciPy's."""

from itertools import product

import jax
import numpy as np
import pytest
import tiny
from scipy.linalg import subspace_angles

from demjax.clustering.subspaces import principal_angles, subspaces

SIZES = (7, 5, 12, 5, 9, 4, 10, 6)
CLIENTS = tiny.clients(SIZES)
X, Y = np.asarray(CLIENTS.x, np.float64), np.asarray(CLIENTS.y)


def spaces_of(client, count, labels):
    """The leading left singular vectors of a client's inputs, or of those with each label."""
    rows = np.asarray(CLIENTS.train)[client, : SIZES[client]]
    parts = [rows] if labels is None else [rows[Y[rows] == label] for label in range(labels)]
    parts = [part for part in parts if len(part)]
    return [np.linalg.svd(X[part].T, full_matrices=False)[0][:, :count] for part in parts]


@pytest.mark.parametrize("labels", [None, 3])
@pytest.mark.parametrize("angle", ["smallest", "sum"])
def test_angles_are_those_of_scipy(angle, labels):
    found = jax.jit(lambda c: principal_angles(subspaces(c, 2, labels), angle))(CLIENTS)

    def of(one, other):
        angles = np.zeros(2) + np.pi / 2  # a direction that is missing is at a right angle
        both = subspace_angles(one, other)
        angles[: len(both)] = np.sort(both)
        missing = min(one.shape[1], other.shape[1])
        angles[missing:] = np.pi / 2
        return np.degrees(angles[0] if angle == "smallest" else angles.sum())

    spaces = [spaces_of(client, 2, labels) for client in range(8)]
    for i, j in product(range(8), range(8)):
        wanted = min(of(*pair) for pair in product(spaces[i], spaces[j])) if i != j else 0
        np.testing.assert_allclose(found[i, j], wanted, atol=0.05)
