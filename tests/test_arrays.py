"""A user's arrays of every type: the numbers that were given, or a sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partitions_alike import failure

from demjax.arrays import in_32_bits, on_device, real_numbers

QUICK = settings(deadline=None, max_examples=60)
WHOLE = [
    np.dtype(f"{order}{kind}{size}") for order in "<>" for kind in "iu" for size in (1, 2, 4, 8)
]


@QUICK
@given(dtype=st.sampled_from(WHOLE), data=st.data())
def test_whole_numbers_stay_whole_in_32_bits_and_else_are_rounded_as_single(dtype, data):
    info = np.iinfo(dtype)
    numbers = data.draw(st.lists(st.integers(int(info.min), int(info.max)), min_size=1, max_size=5))
    got = in_32_bits(np.array(numbers, dtype), "They")
    assert got.dtype.isnative
    assert got.dtype.itemsize <= 4
    held = any(k.min <= min(numbers) and max(numbers) <= k.max for k in map(np.iinfo, ("i4", "u4")))
    assert (got.dtype.kind in "iu") == held
    assert [int(n) for n in got] == (numbers if held else [int(np.float32(n)) for n in numbers])


@QUICK
@given(kind=st.sampled_from(["<f2", ">f4", "<f8", ">f8"]), values=st.lists(st.floats(), min_size=1))
def test_real_numbers_are_those_given_in_single_precision_or_refused(kind, values):
    with np.errstate(over="ignore"):
        given = np.array(values, kind)
        single = given.astype(np.float32)
    if np.isfinite(single).all():
        got = in_32_bits(given, "They")
        assert got.dtype.isnative
        np.testing.assert_array_equal(got.astype(np.float32), single)
    else:
        at = int(np.argmin(np.isfinite(single)))
        failure(lambda: in_32_bits(given, "They"), "They", f"example {at} holds {given[at]}")


def test_what_sums_to_infinity_is_finite():
    given = np.full(4, 3e38, np.float32)
    np.testing.assert_array_equal(in_32_bits(given, "They"), given)


@pytest.mark.parametrize("values", [[[1, 2.5], [0, -1]], [[True, False]], np.ones((2, 2), bool)])
def test_lists_and_truth_values_are_numbers(values):
    got = in_32_bits(values, "They")
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.array(values, float))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([1 + 1j]), "complex128"),
        (np.array(["1", "2"]), "<U1"),
        (np.array([1.5, None]), "object"),
        ([10**30], "object"),
        ([[1, 2], [3]], "one length"),
        (np.array(["2020-01-01"], "M8[D]"), "datetime64"),
        (np.ma.masked_equal([1, 2], 2), "masked"),
    ],
)
def test_what_is_no_number_is_refused(values, said):
    failure(lambda: real_numbers(values, "They"), "They must", said)


@pytest.mark.parametrize("values", [[2**31 - 1, -5], [2**32 - 1], [0.1, 1e30], [True, False], 7])
def test_what_jax_holds_is_what_it_makes(values):
    if values == [2**32 - 1]:
        values = np.array(values, np.uint32)
    np.testing.assert_array_equal(on_device(values, "They"), np.asarray(jnp.asarray(values)))


@pytest.mark.parametrize("values", [[2**31], [-(2**40)], np.array([2**63], np.uint64), [1.0, 1e39]])
def test_what_jax_would_cut_is_refused_by_its_name(values):
    failure(lambda: on_device(values, "They"), str(np.asarray(values)[-1]))


def test_jax_arrays_are_passed_on():
    key = jax.random.key(0)
    assert on_device(key, "They") is key
