"""Mixing from the root down against recursion over nested lists, and where training starts."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forest import FIXED, close

from demjax.hierarchy import from_own, from_parent, from_root, mix_down, per_level


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
    module = importlib.import_module("demjax.hierarchy.mixing")  # a function has its name too
    monkeypatch.setattr(module, "FEW_GROUPS", 8)
    many = mix_down(client, group, FIXED, [0.3, 0.5, 0.9])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), few, many)
    assert np.abs(many[1]["w"][0] - group["w"][0]).max() > 0.1
