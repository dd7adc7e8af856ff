"""Trees as arrays against the same trees as nested lists, walked by recursion in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forest import FIXED, flat_index_of
from partitions_alike import failure

from demjax.base import NO_GROUP
from demjax.hierarchy import (
    flat_groups,
    from_groups,
    group_means,
    lowest_group,
    no_server,
    parent_group,
    root_only,
    under_one_root,
)
from demjax.pytrees import StackedModels


def parents_of(group, slots):
    """``{flat index of a group: that of the one above}``, below ``group``."""
    found = {flat_index_of(child, slots): flat_index_of(group, slots) for child in group.groups}
    for child in group.groups:
        found |= parents_of(child, slots)
    return found


def test_groups_hold_the_members_of_the_tree(forest):
    for tree, put, got in forest[0]:
        np.testing.assert_array_equal(got["groups"], put["groups"])
        size = np.zeros(got["size"].shape)
        member = np.zeros(got["membership"].shape, bool)
        for group in tree.walk():
            size[group.level, group.slot] = len(group.members)
            member[group.level, group.slot, group.members] = True
        np.testing.assert_array_equal(got["size"], size)
        np.testing.assert_array_equal(got["membership"], member)
        assert got["size"].dtype == got["groups"].dtype == np.int32
        assert got["membership"].dtype == bool


def test_flat_indices_number_the_groups_level_by_level(forest):
    trees, slots = forest
    for tree, put, got in trees:
        wanted = np.full(put["groups"].shape, NO_GROUP)
        for group in tree.walk():
            wanted[group.level, group.members] = flat_index_of(group, slots)
        np.testing.assert_array_equal(got["flat_index"], wanted)


def test_the_lowest_flat_index_is_the_group_that_a_client_hangs_under(forest):
    trees, slots = forest
    for tree, put, got in trees:
        wanted = np.full(put["groups"].shape[1], -7)
        for group in tree.walk():
            wanted[group.clients] = flat_index_of(group, slots)
        np.testing.assert_array_equal(got["lowest"], wanted)


def test_the_parent_is_the_group_above_and_the_root_for_all_that_have_none(forest):
    trees, slots = forest
    for tree, _, got in trees:
        wanted = np.full(got["parents"].shape, flat_index_of(tree, slots))
        for below, above in parents_of(tree, slots).items():
            wanted.flat[below] = above
        np.testing.assert_array_equal(got["parents"], wanted)


def test_a_tree_worked_out_by_hand():
    counted = jax.jit(from_groups, static_argnums=1)(FIXED.groups, 3)
    np.testing.assert_array_equal(counted.size, FIXED.size)
    assert counted.levels == FIXED.levels == 2
    np.testing.assert_array_equal(jax.jit(lowest_group)(FIXED), [2, 2, 0, 5, 5, 0])
    np.testing.assert_array_equal(jax.jit(parent_group)(FIXED), [[6, 6, 4], [6, 6, 6], [6, 6, 6]])
    means = jax.jit(group_means)(jnp.array([0.0, 2, 4, 6, 8, 10]), FIXED, amplification=2.0)
    # {0, 1}: 2·1 = 2, above it 2·2 = 4; {3, 4}: 2·7 = 14; {2, 5}: 2·7 = 14.
    # The root: 2·(2·4 + 2·14 + 2·14)/6.
    np.testing.assert_allclose(means, [[14, 0, 2], [0, 4, 14], [64 / 3, 0, 0]], rtol=1e-6)


def test_groups_may_be_given_as_lists():
    hierarchy = from_groups([[0, 1, -1], [0, 0, 0]], 2)
    np.testing.assert_array_equal(hierarchy.size, [[1, 1], [3, 0]])


@pytest.mark.parametrize(("clients", "levels", "slots"), [(1, 0, 1), (5, 3, 8), (3, 2, 4)])
def test_root_only_has_room_for_levels_that_nobody_is_in(clients, levels, slots):
    hierarchy = root_only(clients, levels, slots)
    size = np.zeros((levels + 1, slots))
    size[-1, 0] = clients
    np.testing.assert_array_equal(hierarchy.size, size)
    np.testing.assert_array_equal(hierarchy.groups[-1], np.zeros(clients))
    np.testing.assert_array_equal(hierarchy.groups[:-1], np.full((levels, clients), NO_GROUP))


def test_flat_groups_hold_every_group_at_its_flat_index():
    group = {"w": jnp.arange(18.0).reshape(3, 3, 2), "b": jnp.arange(9.0).reshape(3, 3)}
    flat = flat_groups(group)
    for level, slot in np.ndindex(3, 3):
        for name in group:
            np.testing.assert_array_equal(flat[name][level * 3 + slot], group[name][level, slot])


def test_under_one_root_and_without_a_server_the_kind_of_thing_is_kept():
    plain = {"w": jnp.arange(6.0).reshape(3, 2)}
    for client in (plain, StackedModels.from_pytree(plain)):
        models = under_one_root(client, {"w": jnp.array([7.0, 8.0])})
        assert type(models.group) is type(client)
        assert [leaf.tolist() for leaf in jax.tree.leaves(models.group)] == [[[[7.0, 8.0]]]]
        assert models.hierarchy.groups.tolist() == [[0, 0, 0]]
        alone = no_server(client)
        assert alone.client is client
        assert alone.group is None
        assert alone.hierarchy.groups.shape == (0, 3)


@pytest.mark.parametrize("wrong", [2**32, 2, -2, 0.5])
def test_groups_that_are_none_are_refused(wrong):
    for groups in ([[0, wrong], [0, 0]], np.array([[1, wrong], [0, 0]])):
        failure(lambda groups=groups: from_groups(groups, 2), "0 to 1, or -1 for none", wrong)
