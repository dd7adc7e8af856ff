"""Means, soft update and mixing in blocks against the same in double precision, group by group."""

from functools import partial
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax.backend import policy
from demjax.backend.policy import compiling_for, storing_models
from demjax.backend.sharding import compiler_options, spread_over
from demjax.base import NO_GROUP
from demjax.hierarchy import aggregation, from_groups, group_means, mix_down
from demjax.hierarchy.aggregation import average_and_mix
from demjax.pytrees import StackedModels, exactly, interpolate

MIXING = import_module("demjax.hierarchy.mixing")  # a function has its name too

SLOTS, COUNT = 3, 6
GROUPS = np.array(
    [
        [2, 2, 0, NO_GROUP, NO_GROUP, 0],
        [1, 1, 1, 2, 2, 1],
        [0, 0, 0, 0, 0, 0],
    ]
)
SHAPES = {"scalar": (), "some": (5,), "many": (7, 4)}
MIX, SOFT, AMPLIFICATION = [0.3, 0.5, 0.9], 0.7, 1.15


def drawn(*axes, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(*axes, *shape)) for name, shape in SHAPES.items()}


def single(models):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), models)


def one_by_one(client, group, weight, *, soft=SOFT, amplification=AMPLIFICATION):
    """What must come out, for one leaf: a group at a time."""
    new, levels = group.copy(), len(GROUPS)
    for level, row in enumerate(GROUPS):
        for slot in range(SLOTS):
            members = np.flatnonzero(row == slot)
            mean = np.zeros(group.shape[2:])
            for n in members:
                depth = sum(GROUPS[lower, n] != NO_GROUP for lower in range(level + 1))
                share = weight[level, n] / weight[level, members].sum()
                mean += share * amplification**depth * client[n]
            new[level, slot] = (1 - soft) * group[level, slot] + soft * mean

    def above(level, n):
        return next((up, GROUPS[up, n]) for up in range(level + 1, levels) if GROUPS[up, n] >= 0)

    for level in range(levels - 2, -1, -1):
        for slot in range(SLOTS):
            members = np.flatnonzero(GROUPS[level] == slot)
            parent = above(level, members[0]) if members.size else (levels - 1, 0)
            share = MIX[level + 1]
            new[level, slot] = (1 - share) * new[level, slot] + share * new[parent]
    own = np.stack([(1 - MIX[0]) * client[n] + MIX[0] * new[above(-1, n)] for n in range(COUNT)])
    return own, new


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("places", [8, 9], ids=["by level", "by product"])
@pytest.mark.parametrize("block", [1, 3, 28, 1000, None])
def test_blocks_of_any_size_on_any_devices_are_the_groups_one_by_one(
    block, places, devices, monkeypatch
):
    monkeypatch.setattr(MIXING, "FEW_GROUPS", places)
    client, group = drawn(COUNT), drawn(3, SLOTS, seed=1)
    weight = np.random.default_rng(2).uniform(0.5, 3, (3, COUNT))
    with spread_over(devices):
        found = jax.jit(
            partial(average_and_mix, mix=MIX, block=block), compiler_options=compiler_options()
        )(
            single(client),
            single(group),
            from_groups(GROUPS, SLOTS),
            soft=SOFT,
            weight=jnp.asarray(weight, jnp.float32),
            amplification=AMPLIFICATION,
        )
    for name in SHAPES:
        wanted = one_by_one(client[name], group[name], weight)
        for got, one in zip(found, wanted, strict=True):
            np.testing.assert_allclose(got[name], one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("block", [5, None])
@pytest.mark.parametrize("all_at_once", [False, True])
def test_only_the_cohort_takes_and_only_what_is_chosen(all_at_once, block, devices, monkeypatch):
    client, group = drawn(COUNT), drawn(3, SLOTS, seed=1)
    cohort, chosen = [1, 4, 5], {"scalar": True, "some": False, "many": True}
    if all_at_once:
        monkeypatch.setattr(policy, "parameters_averaged_at_once", lambda models: 10**9)
        block = None
    with spread_over(devices):
        run = partial(average_and_mix, mix=MIX, soft=SOFT, chosen=chosen, block=block)
        found = jax.jit(run)(
            single(client), single(group), from_groups(GROUPS, SLOTS), cohort=jnp.array(cohort)
        )
    for name in SHAPES:
        ones = np.ones((3, COUNT))
        own, groups = one_by_one(client[name], group[name], ones, amplification=1.0)
        wanted = client[name].copy()
        if chosen[name]:
            wanted[cohort] = own[cohort]
        np.testing.assert_allclose(found[0][name], wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[1][name], groups, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("columns", "block", "width"),
    [(28, 3, 3), (28, 28, 28), (28, 100, 28), (28, 9, 7), (29, 10, 10), (1, 1, 1), (0, 3, None)],
)
def test_no_block_is_wider_than_asked_and_all_are_about_as_wide(columns, block, width):
    seen = []

    def noted(one, other):
        seen.append(one.shape[1])
        return one + 1, other + one

    one, other = jnp.zeros((2, columns)), jnp.zeros((3, columns))
    found = aggregation._in_blocks(noted, (one, other[:2]), (), block)
    assert set(seen) == ({width} if columns else set())
    np.testing.assert_array_equal(found[0], np.ones((2, columns)))
    np.testing.assert_array_equal(found[1], np.zeros((2, columns)))


def test_models_keep_their_precision():
    client, group = (
        jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), models)
        for models in (drawn(COUNT), drawn(3, SLOTS, seed=1))
    )
    found = average_and_mix(client, group, from_groups(GROUPS, SLOTS), mix=MIX)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
    for name in SHAPES:
        ones = np.ones((3, COUNT))
        given = np.asarray(client[name], np.float64), np.asarray(group[name], np.float64)
        wanted = one_by_one(*given, ones, soft=1.0, amplification=1.0)
        for got, one in zip(found, wanted, strict=True):
            np.testing.assert_allclose(np.asarray(got[name], np.float64), one, atol=0.03)


@pytest.mark.parametrize("clients", [5, 6])
def test_clients_that_cannot_be_dealt_evenly_are_on_all_devices(clients):
    groups = np.where(np.arange(clients) < 3, 1, 0)[None].repeat(2, axis=0) * [[1], [0]]
    client, group = single(drawn(clients)), single(drawn(2, 2, seed=1))
    run = jax.jit(partial(average_and_mix, mix=[0.5, 0.5]))
    wanted = run(client, group, from_groups(groups, 2))
    with spread_over(2):
        found = run(client, group, from_groups(groups, 2))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, wanted)


def test_other_platforms_take_more_parameters_at_once():
    client, group = drawn(COUNT), drawn(3, SLOTS, seed=1)
    with policy.compiling_for("gpu"):
        found = average_and_mix(single(client), single(group), from_groups(GROUPS, SLOTS), mix=MIX)
    for name in SHAPES:
        ones = np.ones((3, COUNT))
        wanted = one_by_one(client[name], group[name], ones, soft=1.0, amplification=1.0)
        for got, one in zip(found, wanted, strict=True):
            np.testing.assert_allclose(got[name], one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("side", ["client", "group"])
def test_what_is_not_finite_spoils_its_parameter_for_all_and_no_other(side, devices):
    client, group = drawn(COUNT)["many"], drawn(3, SLOTS, seed=1)["many"]
    (client if side == "client" else group)[(1, 2)[: 1 if side == "client" else 2]][4, 1] = np.nan
    with spread_over(devices):
        found = jax.jit(partial(average_and_mix, mix=MIX, soft=1.0, block=3))(
            single(client), single(group), from_groups(GROUPS, SLOTS)
        )
    for models in found:
        spoilt = np.isnan(np.asarray(models)).reshape(-1, 28)
        assert np.flatnonzero(spoilt.any(axis=0)).tolist() == [4 * 4 + 1]
        assert spoilt[:, 4 * 4 + 1].all()


@pytest.mark.parametrize("devices", [1, 2])
def test_models_are_written_over_the_old_ones(devices):
    """No group model is made in fresh memory: the work's own is a few blocks."""
    size, count = 100_000, 8
    client, group = jnp.zeros((count, size)), jnp.zeros((2, 4, size))
    tree = from_groups(np.stack([np.arange(count) % 4, np.zeros(count, int)]), 4)
    run = partial(average_and_mix, mix=[0.5, 0.5], block=1000)
    with spread_over(devices):
        program = jax.jit(run, donate_argnums=(0, 1), compiler_options=compiler_options())
        used = program.lower(client, group, tree).compile().memory_analysis()
    assert used is not None
    assert used.temp_size_in_bytes < group.nbytes / 2
    assert used.alias_size_in_bytes >= client.nbytes / devices + group.nbytes
    whole = jax.jit(partial(run, block=size), donate_argnums=(0, 1)).lower(client, group, tree)
    assert whole.compile().memory_analysis().temp_size_in_bytes >= group.nbytes


@pytest.mark.parametrize("devices", [1, 2])
def test_many_at_once_under_vmap(devices):
    client, group = single(drawn(COUNT)), single(drawn(3, SLOTS, seed=1))
    tree = from_groups(GROUPS, SLOTS)

    def run(share):
        return average_and_mix(client, group, tree, mix=[share, 0.5, 0.9], block=3)

    with spread_over(devices):
        found = jax.jit(jax.vmap(run))(jnp.array([0.0, 0.3]))
    for number, share in enumerate((0.0, 0.3)):
        for got, one in zip(*map(jax.tree.leaves, (found, run(share))), strict=True):
            np.testing.assert_allclose(got[number], one, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_is_refused():
    client, group = single(drawn(COUNT)), single(drawn(3, SLOTS))
    tree = from_groups(GROUPS, SLOTS)
    with pytest.raises(
        ValueError, match=r"^Aggregation needs block of at least 1, but 0 was given"
    ):
        average_and_mix(client, group, tree, mix=MIX, block=0)
    with pytest.raises(ValueError, match=r"needs 3 mixing factors.* but 2 were given"):
        average_and_mix(client, group, tree, mix=[0.5, 0.5])


@pytest.mark.parametrize("block", [1, 3, None])
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_models_in_16_bits_are_averaged_and_mixed_in_32_and_rounded_once(platform, block):
    client, group = single(drawn(COUNT)), single(drawn(3, SLOTS, seed=1))
    hierarchy, weight = from_groups(GROUPS, SLOTS), np.ones((3, COUNT))
    options = {"mix": MIX, "soft": SOFT, "amplification": AMPLIFICATION}
    with compiling_for(platform), storing_models("bf16"):
        stored = StackedModels.from_pytree(client), StackedModels.from_pytree(group, axes=2)
        found = average_and_mix(*stored, hierarchy, **options, block=block)
        means = group_means(stored[0], hierarchy, amplification=AMPLIFICATION)
        softened = interpolate(exactly(stored[1]), means, SOFT)
        parts = mix_down(stored[0], softened, hierarchy, MIX)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
    for name in SHAPES:
        held = (np.asarray(models.as_pytree()[name], np.float64) for models in stored)
        wanted = one_by_one(*held, weight)
        for got, part, one in zip(found, parts, wanted, strict=True):
            last_place = 2.0 ** (np.ceil(np.log2(np.abs(one) + 1e-30)) - 8)
            for mixed in (got, part):
                error = np.abs(np.asarray(mixed.as_pytree()[name], np.float64) - one)
                assert (error <= 1.01 * last_place).all()
