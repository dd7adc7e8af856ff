import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax.base import NO_GROUP
from demjax.hierarchy.groups import root_only
from demjax.pytrees import finite_clients, stack_copies


@pytest.mark.parametrize("count", [1, 4])
def test_stacked_copies_are_each_the_model_itself(count):
    model = {"w": jnp.arange(6.0).reshape(2, 3), "b": [jnp.float32(7), jnp.zeros((0, 2))]}
    stacked = stack_copies(model, count).as_pytree()
    assert jax.tree.structure(stacked) == jax.tree.structure(model)
    for leaf, copies in zip(jax.tree.leaves(model), jax.tree.leaves(stacked), strict=True):
        assert copies.shape == (count, *leaf.shape)
        assert copies.dtype == leaf.dtype
        for copy in copies:
            np.testing.assert_array_equal(copy, leaf)


@pytest.mark.parametrize("count", [1, 5])
def test_single_group_is_a_root_that_holds_everyone(count):
    hierarchy = root_only(count, 0, 1)
    np.testing.assert_array_equal(hierarchy.groups, [[0] * count])
    np.testing.assert_array_equal(hierarchy.size, [[count]])
    assert hierarchy.groups.dtype == hierarchy.size.dtype == jnp.int32
    assert hierarchy.levels == 0
    assert NO_GROUP == -1


def test_a_client_is_finite_if_every_number_of_its_model_is():
    w = np.ones((6, 2, 3), np.float32)
    b = np.full((6,), -3.0, np.float32)
    w[1, 1, 2], w[3, 0, 0], b[4], b[3] = np.nan, np.inf, -np.inf, np.nan
    got = finite_clients({"w": jnp.asarray(w), "b": jnp.asarray(b)})
    np.testing.assert_array_equal(got, [True, False, True, False, False, True])


def test_the_largest_finite_number_is_finite():
    assert finite_clients({"w": jnp.full((1, 3), jnp.finfo(jnp.float32).max)}).tolist() == [True]


def test_client_data_counts_its_clients(ragged_clients):
    clients = ragged_clients(np.zeros((4, 2)), np.zeros(4, int), [[0], [1, 2]], [[3], []])
    assert clients.n_clients == 2
