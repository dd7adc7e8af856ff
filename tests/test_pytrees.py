"""Stacked models against plain NumPy, and that they are one pytree node."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from demjax.backend import policy
from demjax.backend.policy import compiling_for, storing_models
from demjax.pytrees import (
    StackedModels,
    combine,
    difference,
    exactly,
    finite_clients,
    interpolate,
    leaf_columns,
    like,
    model_bytes,
    select,
    stack_copies,
    stored_bytes,
    take_rows,
    used_columns,
)

RNG = np.random.default_rng(0)
PLAIN = {"w": RNG.normal(size=(5, 2, 3)).astype(np.float32), "b": np.float32([3, 1, 4, 1, 5])}
MODELS = StackedModels.from_pytree(jax.tree.map(jnp.asarray, PLAIN))


def test_rows_are_taken_and_put_back():
    rows = jnp.array([4, 0, 9])  # past the end is the last, and nobody
    some = MODELS.gather(rows)
    for name, leaf in PLAIN.items():
        np.testing.assert_array_equal(some.as_pytree()[name], leaf[[4, 0, 4]])
    new = jax.tree.map(lambda leaf: leaf + 1, some)
    put = MODELS.scatter(rows, new).as_pytree()
    for name, leaf in PLAIN.items():
        wanted = leaf.copy()
        wanted[[4, 0]] += 1
        np.testing.assert_array_equal(put[name], wanted)
    tiny.same_bits(MODELS.model(3), {name: leaf[3] for name, leaf in PLAIN.items()})
    assert MODELS.count == 5


def test_copies_have_the_axes_that_are_asked_for():
    model = MODELS.model(2)
    grid = stack_copies(model, 2, 3)
    assert grid.count == 2
    for level in range(2):
        for slot in range(3):
            tiny.same_bits(grid.model(level, slot), model)


def test_sums_and_choices_are_those_of_numpy_and_of_the_kind_that_was_given():
    other = jax.tree.map(lambda leaf: leaf[::-1], MODELS)
    shares = RNG.normal(size=(2, 5)).astype(np.float32)
    for given, also in ((MODELS, other), (MODELS.as_pytree(), other.as_pytree())):
        kind = type(given)
        found = {
            "combine": combine(given, jnp.asarray(shares)),
            "interpolate": interpolate(given, also, 0.25),
            "difference": difference(given, also),
            "select": select({"w": True, "b": False}, also, given),
        }
        assert {type(one) for one in found.values()} == {kind}
        got = {name: tiny.plain(one) for name, one in found.items()}
        for name, leaf in PLAIN.items():
            back = leaf[::-1]
            np.testing.assert_allclose(
                got["combine"][name], np.tensordot(shares, leaf, axes=1), rtol=1e-5, atol=1e-6
            )
            np.testing.assert_allclose(got["interpolate"][name], 0.75 * leaf + 0.25 * back)
            np.testing.assert_array_equal(got["difference"][name], leaf - back)
            np.testing.assert_array_equal(got["select"][name], back if name == "w" else leaf)
    assert like(MODELS, PLAIN) == StackedModels.from_pytree(PLAIN)


def test_they_are_a_pytree_that_maps_jits_and_is_donated():
    sums = jax.vmap(lambda one: jnp.sum(one.as_pytree()["w"]))(MODELS)
    np.testing.assert_allclose(sums, PLAIN["w"].sum(axis=(1, 2)), rtol=1e-5)
    mine = jax.tree.map(jnp.copy, MODELS)
    step = jax.jit(lambda models: jax.tree.map(lambda leaf: leaf + 1, models), donate_argnums=0)
    after = step(mine)
    assert isinstance(after, StackedModels)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(mine))
    broken = MODELS.scatter(jnp.array([1]), jax.tree.map(lambda x: x[:1] * jnp.nan, MODELS))
    assert finite_clients(broken).tolist() == [True, False, True, True, True]


def test_nobody_changes_what_is_inside():
    with pytest.raises(AttributeError):
        MODELS._stacked = PLAIN


def test_only_the_chosen_leaves_are_new():
    new, old = {"a": 1, "b": [2, 3]}, {"a": 10, "b": [20, 30]}
    chosen = {"a": True, "b": [False, True]}
    assert select(chosen, new, old) == {"a": 1, "b": [20, 3]}


def test_on_an_accelerator_they_are_rows_of_one_array_and_all_else_is_the_same():
    plain = {**PLAIN, "count": np.arange(5, dtype=np.int32)}  # whole numbers stay by themselves
    with compiling_for("gpu"):
        flat = StackedModels.from_pytree(jax.tree.map(jnp.asarray, plain))
        copies = stack_copies(flat.model(2), 2, 3)
    leaves = StackedModels.from_pytree(jax.tree.map(jnp.asarray, plain))
    assert [leaf.shape for leaf in jax.tree.leaves(flat)] == [(5, 1024), (5,)]
    np.testing.assert_array_equal(jax.tree.leaves(flat)[0][:, 7:], 0)
    tiny.same_bits(flat.as_pytree(), plain)
    tiny.same_bits(copies.model(1, 2), leaves.model(2))
    tiny.same_bits(like(flat, plain).as_pytree(), plain)
    rows = jnp.array([4, 0, 9])
    tiny.same_bits(flat.gather(rows).as_pytree(), leaves.gather(rows).as_pytree())
    back = jax.tree.map(lambda leaf: leaf[::-1], flat)
    also = jax.tree.map(lambda leaf: leaf[::-1], leaves)
    for chosen in ({"w": True, "b": False, "count": True}, dict.fromkeys(plain, False)):
        tiny.same_bits(
            select(chosen, back, flat).as_pytree(), select(chosen, also, leaves).as_pytree()
        )
    tiny.same_bits(difference(flat, back).as_pytree(), difference(leaves, also).as_pytree())
    tiny.same_bits(difference(flat, also).as_pytree(), difference(leaves, also).as_pytree())
    assert model_bytes(flat) == model_bytes(leaves) == 4 * 8
    for array, first, size in leaf_columns(flat):
        assert array.shape[0] == 5
        assert first + size <= array.shape[1]
    assert [used for _, used in used_columns(flat)] == [7, 1]
    assert sum(used for _, used in used_columns(leaves)) == 8


def test_long_rows_are_copied_one_after_another(monkeypatch):
    monkeypatch.setattr(policy, "widest_gathered_row", lambda: 3)
    rows = jnp.array([4, 0, 9])
    for name, leaf in MODELS.gather(rows).as_pytree().items():
        np.testing.assert_array_equal(leaf, PLAIN[name][[4, 0, 4]])
    one = take_rows(MODELS, jnp.int32(9)).as_pytree()
    tiny.same_bits(one, {name: leaf[4] for name, leaf in PLAIN.items()})


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_models_in_16_bits_come_out_in_32_and_are_rounded_once(platform):
    plain = jax.tree.map(jnp.asarray, PLAIN)
    with compiling_for(platform), storing_models("bf16"):
        models = StackedModels.from_pytree(plain)
        exact = StackedModels.from_pytree(plain, exact=True)
    assert {leaf.dtype for leaf in jax.tree.leaves(models)} == {jnp.dtype(jnp.bfloat16)}
    assert jax.tree.structure(models) == jax.tree.structure(exact)
    tiny.same_bits(exact, PLAIN)
    held = jax.tree.map(np.asarray, models.as_pytree())
    for name, leaf in PLAIN.items():
        rounded(held[name], leaf)
    tiny.same_bits(models.holding(plain), held)
    tiny.same_bits(models.holding(plain, exact=True), PLAIN)
    tiny.same_bits(exactly(models), held)
    back = jax.tree.map(lambda leaf: leaf[::-1], models)
    shares = RNG.normal(size=(2, 5)).astype(np.float32)
    found = {
        "interpolate": interpolate(models, back, 0.3),
        "also": interpolate(models, exact, jnp.float32(0.3)),
        "difference": difference(models, back),
        "combine": combine(models, jnp.asarray(shares)),
        "exactly": combine(exactly(models), jnp.asarray(shares)),
        "select": select({"w": True, "b": False}, back, models),
        "put": models.scatter(jnp.array([1, 9]), models.gather(jnp.array([4, 0]))),
    }
    widths = {name: {x.dtype.itemsize for x in jax.tree.leaves(one)} for name, one in found.items()}
    assert widths.pop("exactly") == {4}
    assert set.union(*widths.values()) == {2}
    got = {name: one.as_pytree() for name, one in found.items()}
    for name, leaf in PLAIN.items():
        one = held[name].astype(np.float64)
        other = one[::-1]
        sums = np.tensordot(shares.astype(np.float64), one, axes=1)
        rounded(got["interpolate"][name], 0.7 * one + 0.3 * other)
        rounded(got["also"][name], 0.7 * one + 0.3 * leaf)
        rounded(got["difference"][name], one - other)
        rounded(got["combine"][name], sums)
        np.testing.assert_allclose(got["exactly"][name], sums, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(got["select"][name], other if name == "w" else one)
        np.testing.assert_array_equal(got["put"][name], one[[0, 4, 2, 3, 4]])
    assert model_bytes(models) == 4 * 7  # what travels is in single precision
    assert stored_bytes(models) == stored_bytes(jax.eval_shape(lambda: models)) == 2 * 7
    assert stored_bytes(exact) == stored_bytes(MODELS) == 4 * 7


def rounded(got, wanted):
    """Hold numbers of 16 bits against others in double precision, up to a last place away."""
    error = np.abs(np.asarray(got, np.float64) - wanted)
    assert (error <= 1.001 * 2.0**-8 * 2 ** np.ceil(np.log2(np.abs(wanted) + 1e-30))).all()
    assert not np.any(np.asarray(got).view(np.uint32) & 0xFFFF)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_the_mean_of_rounded_copies_is_about_the_model(platform):
    model = {"w": jnp.asarray(RNG.normal(size=(30, 10)), jnp.float32)}
    with compiling_for(platform), storing_models("bf16"):
        copies = stack_copies(model, 40, 50).as_pytree()["w"]
    assert copies.shape == (40, 50, 30, 10)
    rounded(copies, np.broadcast_to(model["w"], copies.shape))
    apart = np.mean(np.asarray(copies, np.float64), axis=(0, 1)) - np.asarray(model["w"])
    # 2,000 draws between two numbers have a mean of a hundredth of what these are apart.
    assert (np.abs(apart) < 0.06 * 2.0**-7 * np.abs(model["w"])).all()


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_batch_statistics_and_whole_numbers_keep_their_type(platform):
    model = {
        "params": {"w": jnp.float32([1 + 2**-12])},
        "batch_stats": {"mean": jnp.float32([1 + 2**-12]), "seen": jnp.int32(3)},
    }
    with compiling_for(platform), storing_models("bf16"):
        copies = stack_copies(model, 4)
    back = copies.as_pytree()
    assert set(np.ravel(back["params"]["w"]).tolist()) <= {1, 1 + 2.0**-7}
    tiny.same_bits(copies.model(2)["batch_stats"], model["batch_stats"])
    assert stored_bytes(copies) == 2 + 4 + 4
