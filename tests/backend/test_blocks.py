import jax.numpy as jnp
import numpy as np
import pytest

from demjax.backend import blocks


@pytest.mark.parametrize(("size", "width"), [(1, 1), (7, 3), (9, 3), (5, 5)])
def test_windows_are_new_once_each(size, width):
    def step(seen, start, new):
        return seen.at[start + jnp.arange(width)].add(new.astype(int))

    seen = blocks.fold(size, width, step, jnp.zeros(size, int))
    np.testing.assert_array_equal(seen, 1)


@pytest.mark.parametrize(("count", "rows"), [(10, 10), (64, 64), (1000, 125), (100, 64)])
def test_parts_of_a_matrix_are_not_too_small(count, rows):
    assert blocks.rows_of_a_part(count, 8) == rows
