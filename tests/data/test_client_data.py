"""Client data from a partition."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from partitions_alike import QUICK, failure, label_vectors, seeds

from demjax.data import Partition, client_data, dirichlet


def rows(indices, size):
    return [row[:n] for row, n in zip(indices, size, strict=True)]


@QUICK
@given(y=label_vectors, data=st.data(), seed=seeds)
def test_client_data_gives_each_client_its_own_examples(y, data, seed):
    if len(y) < 2:
        return
    clients = data.draw(st.integers(1, min(6, len(y) // 2)))
    partition = dirichlet(y, clients=clients, seed=seed)
    x = np.arange(len(y) * 2, dtype=np.float32).reshape(-1, 2)
    made = jax.tree.map(np.asarray, client_data(x, y, partition))
    assert made.n_clients == clients
    assert made.train.shape == (clients, max(map(len, partition.train)))
    assert made.test.shape == (clients, max(map(len, partition.test)))
    for ours, size, theirs in (
        (made.train, made.train_size, partition.train),
        (made.test, made.test_size, partition.test),
    ):
        for row, indices in zip(rows(ours, size), theirs, strict=True):
            np.testing.assert_array_equal(made.x[row], x[indices])
            np.testing.assert_array_equal(made.y[row], y[indices])
        beyond = np.arange(ours.shape[1]) >= size[:, None]
        assert (ours[beyond] == 0).all()


def test_client_data_holds_each_example_once_and_drops_the_others():
    x = np.arange(10, dtype=np.uint8).reshape(10, 1)
    partition = Partition(
        train=(np.array([8, 3]), np.array([3])), test=(np.array([], np.int64), np.array([5]))
    )
    made = client_data(x, np.arange(10) % 3, partition)
    assert [np.asarray(leaf).tolist() for leaf in made] == [
        [[3], [5], [8]],
        [0, 2, 2],
        [[2, 0], [0, 0]],
        [2, 1],
        [[0], [1]],
        [0, 1],
    ]
    assert all(isinstance(leaf, jax.Array) for leaf in made)
    assert [str(leaf.dtype) for leaf in made] == ["uint8", *["int32"] * 5]


def test_client_data_without_any_test_example_still_has_a_column():
    made = client_data(np.zeros((3, 2)), np.zeros(3, int), Partition(([1], [2]), ([], [])))
    assert made.test.shape == (2, 1)
    assert made.test_size.tolist() == [0, 0]
    assert made.x.shape == (2, 2)


def test_client_data_refuses_what_does_not_fit():
    x, y = np.zeros((4, 2)), np.zeros(4, int)
    failure(lambda: client_data(x[:3], y, Partition(([0],), ([1],))), "not 4 for 3")
    failure(lambda: client_data(x, y, Partition(([0],), ())), "for 1", "for 0")
    failure(lambda: client_data(x, y, Partition((), ())), "at least one")
    failure(lambda: client_data(x, y, Partition(([0], []), ([1], [2]))), "client 1 has none")
    for wrong in (4, -1, 0.5):
        failure(
            lambda wrong=wrong: client_data(x, y, Partition(([0],), ([wrong],))), "0 to 3", wrong
        )


def test_inputs_may_stay_with_the_host():
    x, partition = np.arange(8.0).reshape(4, 2), Partition(([2], [0, 1]), ([3], []))
    there = client_data(x, np.arange(4), partition)
    here = client_data(x, np.arange(4), partition, on_host=True)
    assert type(here.x) is np.ndarray
    assert not isinstance(there.x, np.ndarray)
    jax.tree.map(np.testing.assert_array_equal, here, there)


def test_client_data_keeps_targets_in_single_precision():
    x, partition = np.zeros((4, 2)), Partition(([2], [0, 1]), ([3], []))
    for y in (np.array([0.5, 1.5, -2.0, 3.25]), np.arange(8.0).reshape(4, 2) / 4):
        made = client_data(x, y, partition)
        assert str(made.y.dtype) == "float32"
        np.testing.assert_array_equal(made.y, y)


def test_client_data_refuses_targets_that_are_not_finite_or_of_too_many_axes():
    x, partition = np.zeros((3, 2)), Partition(([0],), ([1],))
    for wrong in (np.nan, np.inf, 1e300):
        y = np.array([0.0, 1.0, wrong])
        failure(lambda y=y: client_data(x, y, partition), "finite", "example 2")
    failure(lambda: client_data(x, np.zeros((3, 2, 2)), partition), "[T, D]")


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f8", ">i2", ">i8", "<u4", "<u8", bool])
def test_inputs_of_any_type_are_the_numbers_that_were_given(dtype):
    x = np.array([[0, 1], [1, 0], [1, 1]]).astype(dtype)
    made = client_data(x, np.arange(3), Partition(([0, 1],), ([2],)))
    np.testing.assert_array_equal(made.x, x.astype(float))
    np.testing.assert_array_equal(
        client_data(x.tolist(), [0, 1, 2], Partition(([0, 1],), ([2],))).x, x.astype(float)
    )


def test_whole_inputs_beyond_32_bits_are_rounded_not_wrapped():
    made = client_data(np.array([[2**33], [5]]), np.arange(2), Partition(([0],), ([1],)))
    assert made.x.dtype == np.float32
    assert made.x.tolist() == [[2.0**33], [5.0]]


def test_inputs_that_are_not_finite_or_no_numbers_are_refused():
    x, y, partition = np.zeros((3, 2)), np.zeros(3, int), Partition(([0],), ([1],))
    for wrong in (np.nan, -np.inf, 1e300):
        x[2, 1] = wrong
        failure(lambda: client_data(x, y, partition), "Inputs", "example 2", wrong)
    failure(lambda: client_data(np.ones((3, 2)) * 1j, y, partition), "complex128")
    failure(lambda: client_data(np.full((3, 2), None), y, partition), "object")


@pytest.mark.parametrize("wrong", [-1, 2**31, 2**32, -(2**40)])
def test_labels_that_no_model_answers_are_refused_by_their_name(wrong):
    x, y = np.zeros((3, 2)), np.array([0, 1, wrong])
    failure(lambda: client_data(x, y, Partition(([0],), ([1],))), "example 2", wrong, "encode")
    large = np.array([0, 1, 2**31 - 1], ">u8")
    assert client_data(x, large, Partition(([0, 2],), ([1],))).y.tolist() == large.tolist()


def test_words_as_labels_are_refused_with_what_makes_numbers_of_them():
    x, partition = np.zeros((2, 2)), Partition(([0],), ([1],))
    failure(lambda: client_data(x, np.array(["a", "b"]), partition), "encode_labels")


def test_masks_are_no_indices():
    x, y, mask = np.zeros((2, 2)), np.zeros(2, int), np.array([True, False])
    failure(lambda: client_data(x, y, Partition((mask,), (~mask,))), "np.flatnonzero")
