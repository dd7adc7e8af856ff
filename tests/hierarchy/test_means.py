"""Means of groups against recursion over nested lists, segment sums and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forest import FIXED, close
from hypothesis import given, settings
from hypothesis import strategies as st

from demjax.backend import policy
from demjax.backend.policy import compiling_for, storing_models
from demjax.base import NO_GROUP
from demjax.hierarchy import from_groups, group_means, mean_of_all
from demjax.hierarchy.anchors import ancestors_mean
from demjax.pytrees import StackedModels, interpolate


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
    np.testing.assert_array_equal(interpolate({"w": old}, {"w": new}, 1.0)["w"], new)
    np.testing.assert_array_equal(interpolate({"w": old}, {"w": new}, 0.0)["w"], old)
    moved = interpolate({"w": old}, {"w": new}, rate)["w"]
    wanted = [(1 - rate) * o + rate * n for o, n in zip(old.tolist(), new.tolist(), strict=True)]
    tolerance = 1e-6 * max(1, *np.abs(pairs).ravel())
    np.testing.assert_allclose(moved, wanted, rtol=0, atol=tolerance)


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


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize("at_once", [64, 10**9])
def test_means_of_models_in_16_bits_are_those_of_what_is_stored_unrounded(
    platform, at_once, monkeypatch
):
    monkeypatch.setattr(policy, "parameters_averaged_at_once", lambda models: at_once)
    rng = np.random.default_rng(0)
    groups = np.stack([rng.integers(0, 5, 30), np.zeros(30, int)])
    plain = {"w": rng.normal(size=(30, 20, 10)), "b": rng.normal(size=(30,))}
    single = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), plain)
    weight = rng.uniform(0.5, 3, 30).astype(np.float32)
    with compiling_for(platform), storing_models("bf16"):
        client = StackedModels.from_pytree(single)
        got = group_means(client, from_groups(groups, 5), jnp.asarray(weight)).as_pytree()
        root = mean_of_all(client, jnp.asarray(weight))
    for name, leaf in client.as_pytree().items():
        held = np.asarray(leaf, np.float64)
        assert np.abs(held - plain[name]).max() > 1e-4
        for level, row in enumerate(groups):
            for slot in set(row.tolist()):
                mine = row == slot
                wanted = np.average(held[mine], axis=0, weights=weight[mine])
                np.testing.assert_allclose(got[name][level, slot], wanted, rtol=1e-5, atol=1e-6)
        assert root[name].dtype == np.float32
        np.testing.assert_allclose(root[name], got[name][1, 0], rtol=1e-6, atol=1e-7)
