"""Trees as arrays against the same trees as nested lists, walked by recursion in NumPy."""

import functools
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy
from hypothesis import given, settings
from hypothesis import strategies as st

from demjax.base import NO_GROUP, Hierarchy
from demjax.clustering import METHODS
from demjax.hierarchy import (
    flat_groups,
    flat_index,
    from_groups,
    from_own,
    from_parent,
    from_root,
    group_means,
    lowest_group,
    membership,
    mix_down,
    parent_group,
    per_level,
    root_only,
    soft_update,
)
from demjax.hierarchy.anchors import ancestors, ancestors_mean
from demjax.pytrees import select

# clients, levels under the root; 40 trees of each
FOREST = [(1, 3), (2, 2), (3, 5), (6, 3), (10, 1), (17, 4), (25, 0), (40, 5)]
TREES = 40


def random_linkage_tree(split_tree, rng, count, levels):
    """A dendrogram of random points, some of them the same, split from the top."""
    if count == 1:
        return split_tree(np.zeros((0, 4)), levels)
    points = rng.normal(size=(count, 2))
    points = points[rng.integers(count, size=count)] if rng.random() < 0.5 else points
    method = METHODS[rng.integers(len(METHODS))]
    return split_tree(scipy.cluster.hierarchy.linkage(points, method), levels)


def random_free_tree(group_type, rng, count, levels, slots):
    """A tree of any number of branches, in slots of any order, that may leave levels out."""
    free = [rng.permutation(slots).tolist() for _ in range(levels)]

    def grow(members, level, slot):
        groups, clients = [], []
        parts = np.array_split(rng.permutation(members), rng.integers(1, 4))
        for part in parts:
            below = rng.integers(-1, level)
            if part.size and below >= 0 and rng.random() < 0.8:
                groups.append(grow(part, below, free[below].pop()))
            else:
                clients.extend(part.tolist())
        return group_type(level, slot, groups, clients)

    return grow(np.arange(count), levels, 0)


@functools.cache
def pipeline(levels, slots):
    """Everything that is asked of a tree, for many trees at once."""

    def everything(groups, client, group, weight, amplification, mix):
        hierarchy = from_groups(groups, slots)
        return {
            "size": hierarchy.size,
            "groups": hierarchy.groups,
            "places": flat_index(hierarchy),
            "lowest": lowest_group(hierarchy),
            "parents": parent_group(hierarchy),
            "membership": membership(hierarchy),
            "means": group_means(client, hierarchy),
            "weighted": group_means(client, hierarchy, weight, amplification),
            "mixed": mix_down(client, group, hierarchy, [mix[i] for i in range(levels + 1)]),
            "ancestors": ancestors(hierarchy),
            "ancestors_mean": ancestors_mean(group, hierarchy),
        }

    return jax.jit(jax.vmap(everything))


@pytest.fixture(scope="module", params=FOREST, ids=str)
def forest(request, split_tree, groups_of):
    """Random trees, numbers that stand in them, and what demjax makes of them."""
    count, levels = request.param
    slots = max(2**levels, count)
    rng = np.random.default_rng(count + 100 * levels)
    group_type = type(split_tree(np.zeros((0, 4)), 0))
    trees = [
        random_linkage_tree(split_tree, rng, count, levels)
        if number % 2
        else random_free_tree(group_type, rng, count, levels, slots)
        for number in range(TREES)
    ]

    def models(*axes):
        return {
            "w": rng.normal(size=(TREES, *axes, 2, 1)).astype(np.float32),
            "b": rng.normal(size=(TREES, *axes)).astype(np.float32),
        }

    put = {
        "groups": np.stack([groups_of(tree, count) for tree in trees]),
        "client": models(count),
        "group": models(levels + 1, slots),
        "weight": rng.integers(1, 200, size=(TREES, count)).astype(np.float32),
        "amplification": rng.uniform(0.8, 1.3, TREES).astype(np.float32),
        "mix": rng.uniform(0, 1, (TREES, levels + 1)).astype(np.float32),
    }
    got = pipeline(levels, slots)(*put.values())
    take = functools.partial(jax.tree.map, np.asarray)
    pick = [
        jax.tree.map(lambda leaf, n=number: leaf[n], (take(put), take(got)))
        for number in range(TREES)
    ]
    return [(tree, *both) for tree, both in zip(trees, pick, strict=True)], slots


def place(group, slots):
    return group.level * slots + group.slot


def parents_of(group, slots):
    """``{place of a group: place of the one above}``, below ``group``."""
    found = {place(child, slots): place(group, slots) for child in group.groups}
    for child in group.groups:
        found |= parents_of(child, slots)
    return found


def close(got, wanted):
    assert np.shape(got) == np.shape(wanted)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=2e-6)


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


def test_places_number_the_groups_level_by_level(forest):
    trees, slots = forest
    for tree, put, got in trees:
        wanted = np.full(put["groups"].shape, NO_GROUP)
        for group in tree.walk():
            wanted[group.level, group.members] = place(group, slots)
        np.testing.assert_array_equal(got["places"], wanted)


def test_the_lowest_place_is_the_group_that_a_client_hangs_under(forest):
    trees, slots = forest
    for tree, put, got in trees:
        wanted = np.full(put["groups"].shape[1], -7)
        for group in tree.walk():
            wanted[group.clients] = place(group, slots)
        np.testing.assert_array_equal(got["lowest"], wanted)


def test_the_parent_is_the_group_above_and_the_root_for_all_that_have_none(forest):
    trees, slots = forest
    for tree, _, got in trees:
        wanted = np.full(got["parents"].shape, place(tree, slots))
        for below, above in parents_of(tree, slots).items():
            wanted.flat[below] = above
        np.testing.assert_array_equal(got["parents"], wanted)


def means_by_recursion(group, client, weight, factor, means):
    """The sum of weights; ``means`` takes each group's mean, its subgroups' multiplied first."""
    total, whole = 0.0, 0.0
    for child in group.groups:
        share = means_by_recursion(child, client, weight, factor, means)
        total, whole = total + share * means[child.level, child.slot], whole + share
    for n in group.clients:
        total, whole = total + weight[n] * client[n].astype(np.float64), whole + weight[n]
    means[group.level, group.slot] = factor * total / whole
    return whole


def assert_means(tree, client, weight, factor, got):
    for name, leaf in client.items():
        wanted = np.zeros(got[name].shape)  # empty slots hold 0
        means_by_recursion(tree, leaf, weight, factor, wanted)
        close(got[name], wanted)


def test_means_count_every_client_once(forest):
    for tree, put, got in forest[0]:
        everyone = np.ones(put["groups"].shape[1])
        assert_means(tree, put["client"], everyone, 1.0, got["means"])


def test_means_count_by_weight_and_are_amplified_after_those_below(forest):
    for tree, put, got in forest[0]:
        factor = float(put["amplification"])
        assert_means(tree, put["client"], put["weight"], factor, got["weighted"])


def mix_by_recursion(group, parent, client, models, mix):
    """Mix from the top, in place: the parent is mixed before what hangs under it."""
    if parent is not None:
        alpha = mix[group.level + 1]
        models[group.level, group.slot] *= 1 - alpha
        models[group.level, group.slot] += alpha * parent
    own = models[group.level, group.slot]
    for n in group.clients:
        client[n] = (1 - mix[0]) * client[n] + mix[0] * own
    for child in group.groups:
        mix_by_recursion(child, own, client, models, mix)


def test_mixing_down_takes_each_model_towards_its_mixed_parent(forest):
    for tree, put, got in forest[0]:
        exists = got["size"] > 0
        for name in put["client"]:
            client = put["client"][name].astype(np.float64)
            models = put["group"][name].astype(np.float64)
            mix_by_recursion(tree, None, client, models, put["mix"].astype(np.float64))
            close(got["mixed"][0][name], client)
            close(got["mixed"][1][name][exists], models[exists])
            assert np.isfinite(got["mixed"][1][name]).all()


def test_ancestors_are_weighted_by_one_over_their_size(forest):
    trees, slots = forest
    for tree, put, got in trees:
        count = put["groups"].shape[1]
        where, weight = got["ancestors"]
        wanted = [{} for _ in range(count)]
        for group in tree.walk():
            for n in group.members:
                wanted[n][place(group, slots)] = 1 / len(group.members)
        for n in range(count):
            held = weight[n] > 0
            assert set(where[n][held]) == set(wanted[n])
            np.testing.assert_array_equal(where[n][~held], 0)
            close(weight[n][held], [wanted[n][p] for p in where[n][held]])
            for name, leaf in put["group"].items():
                bank = leaf.reshape(-1, *leaf.shape[2:]).astype(np.float64)
                mean = sum(share * bank[p] for p, share in wanted[n].items())
                close(got["ancestors_mean"][name][n], mean / sum(wanted[n].values()))


FIXED = Hierarchy(
    groups=jnp.array([[2, 2, 0, -1, -1, 0], [1, 1, -1, 2, 2, -1], [0] * 6], jnp.int32),
    size=jnp.array([[2, 0, 2], [0, 2, 2], [6, 0, 0]], jnp.int32),
)
"""Six clients; on the lowest level {0, 1} and {2, 5}, the second of which skips the middle."""


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


def test_means_are_those_of_segment_sums():
    rng = np.random.default_rng(0)
    groups = rng.integers(-1, 5, (3, 30))
    groups[-1] = 0
    client = jnp.asarray(rng.normal(size=(30, 4)), jnp.float32)
    weight = jnp.asarray(rng.uniform(0.5, 3, 30), jnp.float32)
    got = group_means(client, from_groups(groups, 5), weight)
    for level, row in enumerate(groups):
        segment = jnp.where(row == NO_GROUP, 5, row)
        total = jax.ops.segment_sum(weight[:, None] * client, segment, num_segments=6)
        whole = jax.ops.segment_sum(weight, segment, num_segments=6)
        wanted = total[:5] / jnp.maximum(whole[:5, None], 1e-9)
        np.testing.assert_allclose(got[level], wanted, rtol=1e-5, atol=1e-6)


def test_products_ask_for_full_precision_where_the_backend_would_round_them(full_precision):
    assert full_precision(jax.jit(group_means), jnp.ones((6, 2)), FIXED) == 1
    assert full_precision(jax.jit(ancestors_mean), jnp.ones((3, 3, 2)), FIXED) == 1


def test_means_do_not_depend_on_the_scale_of_the_weights():
    client = jnp.arange(12.0).reshape(6, 2)
    weight = jnp.arange(1.0, 7.0)
    one, other = (group_means(client, FIXED, weight * scale) for scale in (1e-3, 1e6))
    np.testing.assert_allclose(one, other, rtol=1e-5)


numbers = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


@settings(deadline=None, max_examples=60)
@given(pairs=st.lists(st.tuples(numbers, numbers), min_size=4, max_size=4), rate=st.floats(0, 1))
def test_a_soft_update_moves_by_its_rate_and_at_one_replaces(pairs, rate):
    old, new = (jnp.array(side, jnp.float32) for side in zip(*pairs, strict=True))
    np.testing.assert_array_equal(soft_update({"w": old}, {"w": new}, 1.0)["w"], new)
    np.testing.assert_array_equal(soft_update({"w": old}, {"w": new}, 0.0)["w"], old)
    moved = soft_update({"w": old}, {"w": new}, rate)["w"]
    wanted = [(1 - rate) * o + rate * n for o, n in zip(old.tolist(), new.tolist(), strict=True)]
    tolerance = 1e-6 * max(1, *np.abs(pairs).ravel())
    np.testing.assert_allclose(moved, wanted, rtol=0, atol=tolerance)


def test_mixing_by_nothing_changes_nothing_and_by_everything_leaves_the_root():
    rng = np.random.default_rng(0)
    client, group = (
        jnp.asarray(rng.normal(size=(*axes, 2)), jnp.float32) for axes in ((6,), (3, 3))
    )
    same = mix_down(client, group, FIXED, [0.0] * 3)
    jax.tree.map(np.testing.assert_array_equal, same, (client, group))
    clients, groups = mix_down(client, group, FIXED, [1.0] * 3)
    root = np.asarray(group[-1, 0])
    np.testing.assert_array_equal(clients, np.broadcast_to(root, (6, 2)))
    np.testing.assert_array_equal(
        np.asarray(groups)[np.asarray(FIXED.size) > 0], np.broadcast_to(root, (5, 2))
    )


@pytest.mark.parametrize("put", [0, 2, 4])
def test_mixing_needs_one_factor_a_level(put):
    with pytest.raises(ValueError, match=f"needs 3 mixing factors.* but {put} were given"):
        mix_down(jnp.zeros(6), jnp.zeros((3, 3)), FIXED, [0.5] * put)


def test_the_bank_holds_every_group_at_its_place():
    group = {"w": jnp.arange(18.0).reshape(3, 3, 2), "b": jnp.arange(9.0).reshape(3, 3)}
    bank = flat_groups(group)
    for level, slot in np.ndindex(3, 3):
        for name in group:
            np.testing.assert_array_equal(bank[name][level * 3 + slot], group[name][level, slot])


def test_weights_of_each_level_count_on_that_level_only():
    rng = np.random.default_rng(1)
    client = rng.normal(size=(6, 2))
    weight = rng.uniform(0.5, 3, (3, 6))
    got = jax.jit(group_means)(jnp.asarray(client, jnp.float32), FIXED, jnp.asarray(weight))
    groups = np.asarray(FIXED.groups)
    wanted = np.zeros((3, 3, 2))
    for level, row in enumerate(groups):
        for slot in set(row.tolist()) - {NO_GROUP}:
            mine = row == slot
            wanted[level, slot] = np.average(client[mine], axis=0, weights=weight[level, mine])
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    alike = group_means(jnp.asarray(client), FIXED, jnp.asarray(np.tile(weight[0], (3, 1))))
    np.testing.assert_array_equal(
        alike, group_means(jnp.asarray(client), FIXED, jnp.asarray(weight[0]))
    )


def test_training_starts_from_the_own_model_the_lowest_groups_or_the_roots():
    client = {"w": jnp.arange(12.0).reshape(6, 2), "b": jnp.arange(6.0)}
    group = {"w": 100 + jnp.arange(18.0).reshape(3, 3, 2), "b": 100 + jnp.arange(9.0).reshape(3, 3)}
    jax.tree.map(np.testing.assert_array_equal, from_own(client, group, FIXED), client)
    parent, root = from_parent(client, group, FIXED), from_root(client, group, FIXED)
    # {0, 1} and {2, 5} hang on the lowest level in slots 2 and 0, {3, 4} on the middle in slot 2.
    levels, slots = [0, 0, 0, 1, 1, 0], [2, 2, 0, 2, 2, 0]
    for name in client:
        np.testing.assert_array_equal(parent[name], group[name][np.array(levels), np.array(slots)])
        np.testing.assert_array_equal(root[name], np.stack([group[name][2, 0]] * 6))


def test_only_the_chosen_leaves_are_new():
    new, old = {"a": 1, "b": [2, 3]}, {"a": 10, "b": [20, 30]}
    chosen = {"a": True, "b": [False, True]}
    assert select(chosen, new, old) == {"a": 1, "b": [20, 3]}


def test_one_value_is_for_all_levels_and_a_list_must_have_one_for_each():
    assert per_level("A tree", "mix", 0.5, 3) == [0.5, 0.5, 0.5]
    assert per_level("A tree", "mix", (0.5, 0.1), 2) == [0.5, 0.1]
    assert per_level("A tree", "mix", [0.5], 1) == [0.5]
    assert per_level("A tree", "mix", np.array([0.5, 0.1]), 2) == [0.5, 0.1]
    assert per_level("A tree", "mix", jnp.float32(0.5), 2) == [0.5, 0.5]
    with pytest.raises(
        ValueError, match=r"^A tree needs mix as one value or as 3, but 2 were given\.$"
    ):
        per_level("A tree", "mix", [0.5, 0.1], 3)


def test_many_groups_are_mixed_level_by_level_to_the_same_models(monkeypatch):
    rng = np.random.default_rng(0)
    client = {"w": jnp.asarray(rng.normal(size=(6, 2, 3)), jnp.float32)}
    group = {"w": jnp.asarray(rng.normal(size=(3, 3, 2, 3)), jnp.float32)}
    few = mix_down(client, group, FIXED, [0.3, 0.5, 0.9])
    # the function of this name hides its module
    monkeypatch.setattr(import_module("demjax.hierarchy.mixing"), "FEW_GROUPS", 8)
    many = mix_down(client, group, FIXED, [0.3, 0.5, 0.9])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), few, many)
    assert np.abs(many[1]["w"][0] - group["w"][0]).max() > 0.1
