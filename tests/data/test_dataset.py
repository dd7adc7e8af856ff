"""The checks that all data sets must pass."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partitions_alike import failure

from demjax.data.classes import checked_classes
from demjax.data.dataset import checked_inputs, within


@settings(deadline=None, max_examples=60)
@given(
    labels=st.lists(st.one_of(st.integers(-2, 12), st.floats()), min_size=1, max_size=6),
    classes=st.integers(1, 10),
)
def test_labels_pass_only_where_each_is_a_whole_number_in_range(labels, classes):
    right = all(label in range(classes) for label in labels)  # 3.0 is in range(4) as well
    if right:
        checked = checked_classes(np.array(labels), "it", classes=classes)
        assert checked.dtype == np.int32
        assert checked.tolist() == labels
    else:
        failure(lambda: checked_classes(np.array(labels), "it", classes=classes), "it")


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.floats(), min_size=1, max_size=4))
def test_inputs_pass_only_where_each_is_finite_in_single_precision(values):
    x = np.array([values])
    with np.errstate(over="ignore"):
        single = x.astype(np.float32)
    if np.isfinite(single).all():
        np.testing.assert_array_equal(checked_inputs(x, "it"), single)
    else:
        failure(lambda: checked_inputs(x, "it"), "it", "example 0")


@pytest.mark.parametrize("dtype", [bool, np.float16, np.float64])
def test_inputs_become_single_precision(dtype):
    x = np.array([[0, 1], [1, 1]])
    assert checked_inputs(x.astype(dtype), "it").dtype == np.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint32, np.int64])
def test_whole_inputs_stay_whole_where_32_bits_hold_them(dtype):
    read = checked_inputs(np.array([[0, 1], [100, 1]]).astype(dtype), "it")
    assert read.dtype.kind in "iu"
    assert read.dtype.itemsize <= 4
    assert read.tolist() == [[0, 1], [100, 1]]


def test_a_path_stays_in_its_folder_also_through_links(tmp_path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    assert within(root, root / "a" / "file") == root / "a" / "file"
    (root / "b").symlink_to(root / "a")
    within(root, root / "b" / "file")
    (root / "c").symlink_to(tmp_path)
    (root / "d").symlink_to(root / "d")
    for path in (root / ".." / "file", root / "c" / "file", tmp_path / "root2"):
        failure(lambda path=path: within(root, path), path, root)
