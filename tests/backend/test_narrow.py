"""Rounding to 16 bits against bits of NumPy, and that loops leave stores in place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from demjax.backend.narrow import NARROW, narrowed, readable, stored_as, widened, writable
from demjax.backend.policy import compiling_for


def below_and_above(x):
    """The two next numbers whose last 16 bits are 0, towards 0 and away from it."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    low = bits & np.uint32(0xFFFF0000)
    high = np.where(bits == low, low, low + np.uint32(0x10000))
    return low.view(np.float32).astype(np.float64), high.view(np.float32).astype(np.float64)


def test_numbers_become_one_of_the_two_next_and_those_of_16_bits_stay():
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=10_000) * 10.0 ** rng.integers(-30, 30, 10_000)
    x = np.concatenate([drawn, [0, 1, -1.5, 2.0**-100]]).astype(np.float32)
    low, high = below_and_above(x)
    for round_ in (narrowed, jax.jit(narrowed, static_argnums=1)):
        stored = round_(jnp.asarray(x), jnp.bfloat16)
        assert stored.dtype == NARROW
        got = np.asarray(widened(stored), np.float64)
        assert ((got == low) | (got == high)).all()
        assert (np.abs(got - x) <= 2.0**-7 * np.abs(x)).all()
        np.testing.assert_array_equal(got[-4:], x[-4:])
        np.testing.assert_array_equal(narrowed(widened(stored), jnp.bfloat16), stored)
        same = narrowed(jnp.asarray(x[::-1]), jnp.bfloat16)[::-1]
        np.testing.assert_array_equal(same, stored)  # wherever they are


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.97])
@pytest.mark.parametrize("sign", [-1, 1])
def test_as_many_are_rounded_up_as_lie_above_the_lower_one(share, sign):
    """Of numbers all different, and of copies of one number."""
    count = 20_000
    every = np.arange(0x0100, 0x7F00, dtype=np.uint32)  # the upper halves of finite numbers
    whole = np.random.default_rng(1).choice(every, count, replace=False)
    bits = (whole << 16) + np.uint32(round(share * 2**16))
    many = sign * bits.view(np.float32)
    copies = np.full(count, many[0])
    for x, axes in ((many, 0), (copies, 1)):
        high = below_and_above(x)[1]
        got = np.asarray(widened(narrowed(jnp.asarray(x), jnp.bfloat16, axes=axes)), np.float64)
        up = np.mean(got == high)
        assert abs(up - share) < 5 * np.sqrt(share * (1 - share) / count)
    assert len(np.unique(narrowed(jnp.asarray(copies), jnp.bfloat16).astype(jnp.float32))) == 1


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
