"""The form of a model in a row, against places counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from demjax.backend.flat_store import PADDED_TO, Flat, Leaves, beside_parameters, form_of

MODEL = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.int32(7),
    "c": np.float32(9),
    "d": np.arange(4, dtype=np.float16),
}
LEAVES, STRUCTURE = jax.tree.flatten(MODEL)
FORM = form_of(LEAVES, STRUCTURE, 0)


def test_leaves_of_single_precision_lie_one_after_another_and_others_apart():
    assert FORM.columns() == [(6, 0), (1, None), (1, 6), (4, None)]
    assert FORM.used() == 7
    row, count, half = FORM.flatten(LEAVES, 0)
    np.testing.assert_array_equal(row, [0, 1, 2, 3, 4, 5, 9, *[0] * (PADDED_TO - 7)])
    assert count == 7
    np.testing.assert_array_equal(half, MODEL["d"])


def test_what_was_flattened_is_found_again_with_any_axes_in_front():
    many = jax.tree.map(lambda leaf: jnp.stack([jnp.stack([leaf, leaf + 1])] * 3), MODEL)
    arrays = form_of(jax.tree.leaves(many), STRUCTURE, 2).flatten(jax.tree.leaves(many), 2)
    assert arrays[0].shape == (3, 2, PADDED_TO)
    back = FORM.unflatten(arrays)
    for name, leaf in many.items():
        assert back[name].dtype == leaf.dtype
        np.testing.assert_array_equal(back[name], leaf)


def test_what_is_said_of_leaves_is_said_of_their_columns():
    assert FORM.said_of([True, False, True, True]) == (True, False, True)
    assert FORM.said_of([False, True, False, False]) == (False, True, False)
    columns, *others = FORM.said_of([False, True, True, False])
    assert np.flatnonzero(columns).tolist() == [6]
    assert columns.size == PADDED_TO
    assert others == [True, False]


def test_a_model_of_whole_columns_is_not_padded():
    leaves, structure = jax.tree.flatten(np.zeros(2 * PADDED_TO, np.float32))
    (row,) = form_of(leaves, structure, 0).flatten(leaves, 0)
    assert row.shape == (2 * PADDED_TO,)


def test_what_is_stored_in_16_bits_is_rounded_but_for_what_is_kept():
    few, more = 1 + 2**-7, 1 + 2**-9  # the first has 8 binary digits, the second 10
    model = {"a": np.float32([few, more]), "b": np.float32([more]), "c": np.int32(3)}
    leaves, structure = jax.tree.flatten(model)
    for kind in (Flat, Leaves):
        form = form_of(leaves, structure, 0, kept=[False, True, False], kind=kind)
        assert form.inside == (True, False, False)
        stored = form.flatten(leaves, 0, jnp.bfloat16)
        assert form.dtype(stored) == jnp.bfloat16
        back = form.unflatten(stored)
        assert back["a"][0] == few
        assert back["a"][1] in (1, few)
        np.testing.assert_array_equal(back["b"], model["b"])
        assert [leaf.dtype for leaf in jax.tree.leaves(back)] == ["float32", "float32", "int32"]
        exact = form.flatten(leaves, 0)
        assert form.dtype(exact) == np.float32
        np.testing.assert_array_equal(form.unflatten(exact)["a"], model["a"])
    flat, apart = (form_of(leaves, structure, 0, kind=kind) for kind in (Flat, Leaves))
    assert flat != apart


def test_collections_beside_the_parameters_are_kept():
    model = {"params": {"w": 0, "b": 0}, "batch_stats": {"mean": 0}}
    assert beside_parameters(model) == {
        "params": {"w": False, "b": False},
        "batch_stats": {"mean": True},
    }
    assert beside_parameters({"w": 0}) == {"w": False}
    assert beside_parameters([0, 0]) == [False, False]
