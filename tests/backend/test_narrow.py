"""Rounding to 16 bits against its bits counted by hand, and that loops leave stores in place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from demjax.backend.narrow import NARROW, narrowed, readable, stored_as, widened, writable
from demjax.backend.policy import compiling_for


def nearest(x):
    """The nearest numbers whose last 16 bits are 0, of two as near the one whose 17th is 0."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    up = (bits & 0x8000 != 0) & ((bits & 0x7FFF != 0) | (bits & 0x10000 != 0))
    return ((bits & 0xFFFF0000) + np.where(up, 0x10000, 0).astype(np.uint32)).view(np.float32)


def test_numbers_are_rounded_to_the_nearest_of_equals_to_the_even_one():
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=10_000) * 10.0 ** rng.integers(-30, 30, 10_000)
    ties = np.arange(0x3F808000, 0x3FFF8000, 0x10000, dtype=np.uint32).view(np.float32)
    x = np.concatenate([drawn.astype(np.float32), ties, -ties, np.zeros(1, np.float32)])
    for round_ in (narrowed, jax.jit(narrowed, static_argnums=1)):
        stored = round_(jnp.asarray(x), jnp.bfloat16)
        assert stored.dtype == NARROW
        np.testing.assert_array_equal(widened(stored), nearest(x))
        np.testing.assert_array_equal(round_(stored, jnp.bfloat16), stored)
    assert np.abs(nearest(x) - x).max() > 0
    assert (np.abs(nearest(x) - x) <= 2.0**-8 * np.abs(x)).all()


def test_what_is_not_finite_stays_so():
    x = jnp.array([jnp.nan, jnp.inf, -jnp.inf], jnp.float32)
    np.testing.assert_array_equal(widened(narrowed(x, jnp.bfloat16)), x)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.int32])
def test_numbers_of_other_types_are_let_alone(dtype):
    x = jnp.arange(3, dtype=dtype)
    assert narrowed(x, dtype) is widened(x) is writable(x) is readable(x, x.dtype) is x
    assert stored_as(x, x / 3).dtype != NARROW
    assert stored_as(x.astype(jnp.bfloat16), jnp.ones(3)).dtype == NARROW


def test_on_a_cpu_loops_write_whole_numbers_and_elsewhere_the_numbers_themselves():
    x = jnp.array([1.5, -2.0, jnp.nan], jnp.bfloat16)
    bits = writable(x)
    assert bits.dtype == jnp.uint16
    assert bits.tolist()[:2] == [0x3FC0, 0xC000]
    back = readable(bits, x.dtype)
    assert back.dtype == x.dtype
    np.testing.assert_array_equal(back.astype(jnp.float32), x.astype(jnp.float32))
    with compiling_for("gpu"):
        assert writable(x) is readable(x, x.dtype) is x


def test_a_loop_that_writes_rows_makes_no_copy_in_32_bits():
    def written(store):
        def one(row, store):
            mine = widened(readable(store[row], NARROW))
            return store.at[row].set(writable(narrowed(1.5 * mine, NARROW)))

        return readable(lax.fori_loop(0, 30, one, writable(store)), NARROW)

    store = jnp.ones((30, 500), NARROW)
    text = jax.jit(written).lower(store).compile().as_text()
    assert "u16[30,500]" in text
    assert "f32[30,500]" not in text
    np.testing.assert_array_equal(written(store), np.full((30, 500), 1.5))
