"""Ranges of numbers, and the sentences of what is outside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax.registry import Range, check_number, check_whole, nearest


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        (Range(0, 1), (0, 0.5, 1), (-1e-9, 1.1, float("nan"), float("inf"))),
        (Range(1), (1, 2**31, float("inf")), (0, 0.999, float("nan"))),
        (Range(0, 0.99), (0.99,), (1.0,)),
    ],
)
def test_both_ends_belong_to_a_range_and_nan_to_none(bounds, inside, outside):
    assert all(value in bounds for value in inside)
    assert not any(value in bounds for value in outside)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Range(0, 1), "0 to 1"),
        (Range(0.0, 1.0), "0 to 1"),
        (Range(1), "1 or more"),
        (Range(0.01, 0.99), "0.01 to 0.99"),
        (Range(1, 1_000_000), "1 to 1000000"),
        (Range(0, 2**31 - 1), "0 to 2147483647"),
        (Range(0, 1e6), "0 to 1000000"),
    ],
)
def test_a_range_in_words_shows_every_digit(bounds, words):
    assert bounds.words == words


def test_a_number_outside_is_refused_in_a_sentence_and_a_traced_one_passes():
    check_number("A cut", "levels", 2, 0, 3)
    with pytest.raises(ValueError, match=r"^A cut needs levels of at least 0, but -1 was given\.$"):
        check_number("A cut", "levels", -1, 0)
    with pytest.raises(ValueError, match=r"^A cut needs levels from 0 to 3, but 4 was given\.$"):
        check_number("A cut", "levels", 4, 0, 3)

    def traced(number):
        check_number("A cut", "levels", number, 0, 3)
        return number

    assert float(jax.jit(traced)(jnp.float32(9))) == 9


def test_the_nearest_name_is_guessed_only_where_one_is_near():
    assert nearest("zzz", ["cnn", "mlp"]) == "possible are cnn, mlp"
    assert nearest("CN", ["cnn", "mlp"]) == "perhaps 'cnn' was meant, and possible are cnn, mlp"


@pytest.mark.parametrize("value", [np.int64(0), np.float32(0.5), np.float64("nan"), True - 1])
def test_numbers_of_numpy_are_numbers(value):
    with pytest.raises(ValueError, match=r"A cut needs levels of at least 1, but .* was given\."):
        check_number("A cut", "levels", value, 1)


@pytest.mark.parametrize("value", [1.5, 2.0, "12", None, np.float32(2)])
def test_what_is_no_whole_number_is_refused(value):
    check_whole("A cut", "counts", np.int64(3), 1)
    with pytest.raises(ValueError, match=r"counts that are whole numbers of at least 1, but "):
        check_whole("A cut", "counts", value, 1)
