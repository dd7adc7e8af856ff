"""What clients take from their groups before they train, on a tree worked out by hand."""

import jax.numpy as jnp
import numpy as np
from forest import close, flat_index_of

from demjax.base import Hierarchy
from demjax.hierarchy import from_parent
from demjax.hierarchy.anchors import guide

TREE = Hierarchy(
    groups=jnp.array([[0, 0, 1, -1], [0, 0, 0, 0]], jnp.int32),
    size=jnp.array([[2, 1], [4, 0]], jnp.int32),
)
"""Clients 0 and 1 in one group, 2 in one of its own, 3 right under the root."""
CLIENT = {"w": jnp.array([1.0, 2, 3, 4])}
GROUP = {"w": jnp.array([[10.0, 20], [40, 0]])}


def test_the_lowest_group_is_the_anchor_with_the_whole_strength():
    told = guide(CLIENT, GROUP, TREE, 3, prox=0.5, beta=None, start=from_parent)
    np.testing.assert_array_equal(told.which, [[0], [0], [1], [2]])
    np.testing.assert_array_equal(told.weight, np.full((4, 1), 0.5))
    np.testing.assert_array_equal(told.begin["w"], [10, 10, 20, 40])


def test_all_groups_are_anchors_by_the_strength_over_their_size_and_their_mean_is_taken_on():
    told = guide(CLIENT, GROUP, TREE, 1, prox=2.0, beta=lambda r: 0.5**r, start=None)
    np.testing.assert_array_equal(told.which, [[0, 2], [0, 2], [1, 2], [0, 2]])
    np.testing.assert_allclose(told.weight, [[1, 0.5], [1, 0.5], [2, 0.5], [0, 0.5]])
    # (10/2 + 40/4) / (1/2 + 1/4) = 20; (20/1 + 40/4) / (1 + 1/4) = 24; 40.
    np.testing.assert_allclose(told.begin["w"], [10.5, 11, 13.5, 22], rtol=1e-6)


def test_in_round_0_there_is_no_anchor_and_nothing_is_taken_on():
    told = guide(CLIENT, GROUP, TREE, 0, prox=2.0, beta=lambda r: 0.5, start=None)
    np.testing.assert_array_equal(told.weight, np.zeros((4, 2)))
    np.testing.assert_array_equal(told.begin["w"], CLIENT["w"])
    told = guide(CLIENT, GROUP, TREE, 0, prox=2.0, beta=None, start=from_parent)
    np.testing.assert_array_equal(told.weight, np.zeros((4, 1)))


def test_ancestors_are_weighted_by_one_over_their_size(forest):
    trees, slots = forest
    for tree, put, got in trees:
        count = put["groups"].shape[1]
        where, weight = got["ancestors"]
        wanted = [{} for _ in range(count)]
        for group in tree.walk():
            for n in group.members:
                wanted[n][flat_index_of(group, slots)] = 1 / len(group.members)
        for n in range(count):
            held = weight[n] > 0
            assert set(where[n][held]) == set(wanted[n])
            np.testing.assert_array_equal(where[n][~held], 0)
            close(weight[n][held], [wanted[n][p] for p in where[n][held]])
            for name, leaf in put["group"].items():
                bank = leaf.reshape(-1, *leaf.shape[2:]).astype(np.float64)
                mean = sum(share * bank[p] for p, share in wanted[n].items())
                close(got["ancestors_mean"][name][n], mean / sum(wanted[n].values()))
