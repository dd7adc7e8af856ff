"""What clients take from their groups before they train, on a tree worked out by hand."""

import jax.numpy as jnp
import numpy as np

from demjax.base import Hierarchy
from demjax.hierarchy import from_parent
from demjax.hierarchy.anchors import by_ancestors, by_parent

TREE = Hierarchy(
    groups=jnp.array([[0, 0, 1, -1], [0, 0, 0, 0]], jnp.int32),
    size=jnp.array([[2, 1], [4, 0]], jnp.int32),
)
"""Clients 0 and 1 in one group, 2 in one of its own, 3 right under the root."""
CLIENT = {"w": jnp.array([1.0, 2, 3, 4])}
GROUP = {"w": jnp.array([[10.0, 20], [40, 0]])}


def test_the_lowest_group_pulls_with_the_whole_strength():
    told = by_parent(CLIENT, GROUP, TREE, strength=jnp.float32(0.5), start=from_parent)
    np.testing.assert_array_equal(told.place, [[0], [0], [1], [2]])
    np.testing.assert_array_equal(told.weight, np.full((4, 1), 0.5))
    np.testing.assert_array_equal(told.begin["w"], [10, 10, 20, 40])


def test_all_groups_pull_with_the_strength_over_their_size_and_their_mean_is_taken_on():
    told = by_ancestors(CLIENT, GROUP, TREE, strength=jnp.float32(2), share=jnp.float32(0.5))
    np.testing.assert_array_equal(told.place, [[0, 2], [0, 2], [1, 2], [0, 2]])
    np.testing.assert_allclose(told.weight, [[1, 0.5], [1, 0.5], [2, 0.5], [0, 0.5]])
    # (10/2 + 40/4) / (1/2 + 1/4) = 20; (20/1 + 40/4) / (1 + 1/4) = 24; 40.
    np.testing.assert_allclose(told.begin["w"], [10.5, 11, 13.5, 22], rtol=1e-6)
