"""Small groups dissolved, and their clients attached to the nearest, against recursion."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import assert_attached, assert_well_formed, random_case, random_tree

from demjax.base import NO_GROUP
from demjax.clustering.group_sizes import attach_small
from demjax.hierarchy import from_groups

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 2**32 - 1)
ATTACH = jax.jit(attach_small, static_argnums=2)


@QUICK
@given(seed=SEEDS, shape=st.sampled_from([(1, 1, 2), (5, 2, 2), (24, 3, 2), (24, 3, 4)]))
def test_small_groups_of_any_tree_are_attached(seed, shape):
    count, levels, min_size = shape
    _, distances = random_case(seed, count, "average")
    hierarchy = from_groups(random_tree(seed, count, levels, 7), 7)
    assert_well_formed(hierarchy)
    got = ATTACH(hierarchy, distances, min_size)
    assert_attached(got.groups, hierarchy.groups, distances, min_size)
    assert_well_formed(got, min_size)


def test_moved_clients_are_regrouped_below_their_new_parent():
    #            the group of two at 9 and 10 is dissolved into the nearer one, and there too
    line = np.array([0.0, 1, 2, 3, 9, 10, 14, 15, 20, 21])
    groups = [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4], [0, 0, 0, 0, 1, 1, 2, 2, 2, 2], [0] * 10]
    distances = jnp.asarray(np.abs(line[:, None] - line), jnp.float32)
    got = ATTACH(from_groups(groups, 5), distances, 3)
    assert got.groups.tolist() == [
        [NO_GROUP] * 10,
        [0, 0, 0, 0, 0, 2, 2, 2, 2, 2],  # 9 is 7.5 from the left and 8.5 from the right
        [0] * 10,
    ]
    wider = [[0, 0, 0, 1, 2, 2, 3, 3, 3, 4], groups[1], groups[2]]
    got = ATTACH(from_groups(wider, 5), distances, 3)
    assert got.groups[0].tolist() == [0, 0, 0, 0, 0, 3, 3, 3, 3, 3]


def test_dissolving_every_group_of_a_level_leaves_none_there_nor_below():
    groups = [[0, 1, 2, 2, 3, 3], [0, 0, 1, 1, 2, 2], [0] * 6]
    got = ATTACH(from_groups(groups, 4), jnp.ones((6, 6)), 3)
    assert got.groups.tolist() == [[NO_GROUP] * 6, [NO_GROUP] * 6, [0] * 6]
    assert got.size.tolist() == [[0] * 4, [0] * 4, [6, 0, 0, 0]]


def test_a_group_that_hangs_under_the_root_two_levels_up_stays():
    groups = [[3, 3, 3, NO_GROUP], [1, 1, 1, 2], [NO_GROUP] * 4, [0] * 4]
    got = ATTACH(from_groups(groups, 4), jnp.ones((4, 4)), 2)
    assert got.groups.tolist() == [[3] * 4, [1] * 4, [NO_GROUP] * 4, [0] * 4]
