"""Planted conflicts: whose examples are turned or relabelled, and how."""

import numpy as np
import pytest

from demjax.data import Partition, planted_kinds, relabelled, rotated

PARTITION = Partition(
    train=tuple(np.array(rows, int) for rows in ([0, 1], [2], [5], [6, 8])),
    test=tuple(np.array(rows, int) for rows in ([3], [4], [], [7])),
)


@pytest.mark.parametrize(
    ("clients", "kinds", "wanted"),
    [(4, 1, [0] * 4), (4, 2, [0, 0, 1, 1]), (5, 2, [0, 0, 0, 1, 1]), (3, 3, [0, 1, 2])],
)
def test_kinds_are_as_even_as_can_be(clients, kinds, wanted):
    assert planted_kinds(clients, kinds).tolist() == wanted


def test_each_kinds_pictures_are_turned_and_nobodys_are_not():
    x = np.random.default_rng(0).integers(0, 256, (10, 3, 3, 2)).astype(np.uint8)
    turned = rotated(x, PARTITION, 4)
    assert turned.dtype == np.uint8
    owner = {0: 0, 1: 0, 3: 0, 2: 1, 4: 1, 5: 2, 6: 3, 8: 3, 7: 3, 9: 0}
    for example, kind in owner.items():
        wanted = x[example]
        for _ in range(kind):  # a quarter turn by hand: columns, the last first, become rows
            wanted = np.stack([wanted[:, column] for column in (2, 1, 0)])
        np.testing.assert_array_equal(turned[example], wanted)


def test_each_kinds_labels_are_shifted_and_nobodys_are_not():
    y = np.arange(10, dtype=np.int32)
    got = relabelled(y, PARTITION, 4, 10)
    assert got.tolist() == [0, 1, 4, 3, 6, 9, 2, 3, 4, 9]
    assert y.tolist() == list(range(10))
    assert relabelled(y, PARTITION, 1, 10).tolist() == y.tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: planted_kinds(3, 4), "1 to 3 kinds, not 4"),
        (lambda: planted_kinds(3, 0), "not 0"),
        (lambda: rotated(np.zeros((10, 3, 3, 1)), PARTITION, 5), "1 to 4 kinds, not 5"),
        (lambda: rotated(np.zeros((10, 3, 2, 1)), PARTITION, 2), "must be square"),
        (lambda: relabelled(np.zeros(10, np.int32), PARTITION, 4, 3), "3 labels .* not 4"),
    ],
)
def test_what_cannot_be_planted_is_told_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
