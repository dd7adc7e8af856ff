"""Labels of any kind by number, and the table of what each was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partitions_alike import failure

from demjax.data import encode_labels
from demjax.data.classes import label_note, without_gaps

QUICK = settings(deadline=None, max_examples=60)
labels = st.one_of(
    st.lists(st.text(max_size=3).filter(lambda word: "\0" not in word), min_size=1),
    st.lists(st.integers(-(2**62), 2**62), min_size=1),
    st.lists(st.booleans(), min_size=1),
)


@QUICK
@given(values=labels, as_array=st.booleans())
def test_the_table_says_what_each_number_was_and_the_order_is_theirs(values, as_array):
    y, names = encode_labels(np.array(values) if as_array else values)
    assert y.dtype == np.int32
    assert [names[number] for number in y] == [str(value) for value in values]
    assert names == tuple(str(value) for value in sorted(set(values)))


@pytest.mark.parametrize(
    ("values", "numbers", "names"),
    [
        (["cat", "ant", "cat"], [1, 0, 1], ("ant", "cat")),
        (np.array([b"b", b"a"]), [1, 0], ("a", "b")),
        (np.array(["b", "a"], object), [1, 0], ("a", "b")),
        (np.array([10.0, 9.0], ">f8"), [1, 0], ("9", "10")),
        (np.array([-1, 1], ">i8"), [0, 1], ("-1", "1")),
        (np.array([2**63 + 1, 0], np.uint64), [1, 0], ("0", str(2**63 + 1))),
    ],
)
def test_words_and_numbers_as_other_programs_write_them(values, numbers, names):
    y, table = encode_labels(values)
    assert (y.tolist(), table) == (numbers, names)


def test_a_table_numbers_other_examples_alike():
    _, table = encode_labels(["dog", "cat", "ant"])
    assert encode_labels(["dog", "dog"], labels=table).y.tolist() == [2, 2]
    failure(lambda: encode_labels(["cat", "cow"], labels=table), "example 1 is 'cow'", "ant, cat")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.5, 1.0], "example 0 is 0.5"),
        ([1.0, float("nan")], "example 1 is nan"),
        (np.array(["a", None], object), "example 1 is None"),
        (np.array(["a", 1], object), "both of them"),
        ([[1], [2]], "shape (2, 1)"),
        ([], "at least one"),
        (np.array([[1], None], object), "collections"),
        (np.arange(100_001), "100001 different labels"),
    ],
)
def test_what_is_no_label_is_refused(values, said):
    failure(lambda: encode_labels(values), said)


@QUICK
@given(values=st.lists(st.integers(0, 40), min_size=1), real=st.booleans())
def test_labels_without_gaps_keep_their_order_and_have_a_table_only_if_they_had_gaps(values, real):
    y, names = without_gaps(np.array(values, float if real else int), "it")
    occur = sorted(set(values))
    assert y.tolist() == [occur.index(value) for value in values]
    if occur == list(range(len(occur))):
        assert names is None
    else:
        assert names == tuple(map(str, occur))


def test_what_is_said_of_labels():
    y = np.array([0, 1, 3])
    assert label_note("mine", np.arange(4), 4, None) is None
    assert label_note("mine", y, 5, None) == "Of the labels 0 to 4 of mine, no example has 2, 4."
    assert label_note("mine", y[:2], 2, ("a", "b")) == (
        "The labels of mine are numbered 0 to 1 in this order: a, b."
    )
    many = label_note("mine", np.arange(9), 9, tuple(map(str, range(1, 10))))
    assert (
        many == "The labels of mine are numbered 0 to 8 in this order: 1, 2, 3, 4, 5, 6 and 3 more."
    )
