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


def test_chunks_hold_every_parameter_once(monkeypatch):
    monkeypatch.setattr(blocks, "CHUNK", 1)
    monkeypatch.setattr(blocks, "NARROWEST", 8)
    monkeypatch.setattr(blocks, "SMALL", 16)
    rng = np.random.default_rng(0)
    shapes = [(3, 2, 2), (3,), (3, 20), (3, 7, 5)]
    params = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]
    widths = []

    def step(shared, state, chunk, new):
        widths.append(chunk.shape)
        return state[0] + jnp.sum(jnp.where(new, chunk, 0)), state[1] + jnp.sum(new)

    total, seen = blocks.fold_chunks(params, step, (jnp.float32(0), 0))
    np.testing.assert_allclose(total, sum(np.sum(leaf) for leaf in params), rtol=1e-5)
    assert int(seen) == sum(leaf.size for leaf in params) // 3
    # Two leaves of their own, and the small ones as one: 4 + 1 columns.
    assert sorted(widths) == [(3, 5), (3, 8), (3, 8)]


@pytest.mark.parametrize(("count", "rows"), [(10, 10), (64, 64), (1000, 125), (100, 64)])
def test_parts_of_a_matrix_are_not_too_small(count, rows):
    assert blocks.rows_of_a_part(count, 8) == rows
