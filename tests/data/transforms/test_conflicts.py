"""Planted conflicts: whose examples are turned or relabelled, and how."""

import numpy as np
import pytest
from scipy import stats

from demjax.data import Partition, noisy, permuted, planted_clusters, relabelled, rotated

PARTITION = Partition(
    train=tuple(np.array(rows, int) for rows in ([0, 1], [2], [5], [6, 8])),
    test=tuple(np.array(rows, int) for rows in ([3], [4], [], [7])),
)


@pytest.mark.parametrize(
    ("clients", "kinds", "wanted"),
    [(4, 1, [0] * 4), (4, 2, [0, 0, 1, 1]), (5, 2, [0, 0, 0, 1, 1]), (3, 3, [0, 1, 2])],
)
def test_kinds_are_as_even_as_can_be(clients, kinds, wanted):
    assert planted_clusters(clients, kinds).tolist() == wanted


def test_each_kinds_images_are_turned_and_nobodys_are_not():
    x = np.random.default_rng(0).integers(0, 256, (10, 3, 3, 2)).astype(np.uint8)
    turned = rotated(x, PARTITION, 4)
    assert turned.dtype == np.uint8
    owner = {0: 0, 1: 0, 3: 0, 2: 1, 4: 1, 5: 2, 6: 3, 8: 3, 7: 3, 9: 0}
    for example, kind in owner.items():
        wanted = x[example]
        for _ in range(kind):  # a quarter turn by hand: columns, the last first, become rows
            wanted = np.stack([wanted[:, column] for column in (2, 1, 0)])
        np.testing.assert_array_equal(turned[example], wanted)


def test_two_kinds_may_be_upside_down_to_each_other():
    x = np.random.default_rng(1).random((10, 3, 3, 1))
    turned = rotated(x, PARTITION, 2, quarter_turns=2)
    np.testing.assert_array_equal(turned[[0, 1, 2, 3, 4, 9]], x[[0, 1, 2, 3, 4, 9]])
    for example in (5, 6, 7, 8):
        np.testing.assert_array_equal(turned[example], x[example, ::-1, ::-1])
    with pytest.raises(ValueError, match="by 2 quarter turns each for 1 to 2 true clusters, not 3"):
        rotated(x, PARTITION, 3, quarter_turns=2)


def test_each_kinds_labels_are_shifted_and_nobodys_are_not():
    y = np.arange(10, dtype=np.int32)
    got = relabelled(y, PARTITION, 4, classes=10)
    assert got.tolist() == [0, 1, 4, 3, 6, 9, 2, 3, 4, 9]
    assert y.tolist() == list(range(10))
    assert relabelled(y, PARTITION, 1, classes=10).tolist() == y.tolist()


def four_clients(each):
    rows = np.arange(4 * each).reshape(4, each)
    return Partition(tuple(rows[:, : each // 2]), tuple(rows[:, each // 2 :]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_the_noise_grows_with_the_kind(dtype):
    each, pixels, noise = 300, 20, 0.1
    x = np.full((4 * each + 5, pixels), 100 if dtype == np.uint8 else 0.4, dtype)
    got = noisy(x, four_clients(each), 4, noise=noise, seed=3)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got[4 * each :], x[4 * each :])
    scale = 255 if dtype == np.uint8 else 1
    for kind in range(4):
        added = (got - x.astype(float))[kind * each : (kind + 1) * each].ravel() / scale
        level = noise * (kind + 1) / 4
        assert added.std() == pytest.approx(level, rel=0.03)
        assert added.mean() == pytest.approx(0, abs=4 * level / added.size**0.5)
        if dtype != np.uint8:
            assert stats.kstest(added / level, "norm").pvalue > 0.001
    again = noisy(x, four_clients(each), 4, noise=noise, seed=3)
    np.testing.assert_array_equal(again, got)
    assert (noisy(x, four_clients(each), 4, noise=noise, seed=4) != got).any()


def test_noise_on_bytes_is_clipped_and_none_changes_nothing():
    x = np.random.default_rng(0).integers(0, 256, (40, 8)).astype(np.uint8)
    np.testing.assert_array_equal(noisy(x, four_clients(10), 4, noise=0.0, seed=0), x)
    loud = noisy(x, four_clients(10), 1, noise=50.0, seed=0)
    assert np.isin(loud, (0, 255)).mean() > 0.95
    assert loud.mean() == pytest.approx(127.5, abs=20)


def test_as_many_kinds_as_clients_give_each_its_own_noise():
    x = np.zeros((4000, 5), np.float32)
    got = noisy(x, four_clients(1000), 4, noise=1.0, seed=0).reshape(4, -1)
    assert np.allclose(got.std(axis=1), [0.25, 0.5, 0.75, 1.0], rtol=0.05)


def test_each_kinds_pixels_move_by_one_permutation_of_its_own():
    pixels = np.arange(3 * 4, dtype=np.uint8).reshape(3, 4, 1)
    image = np.concatenate([pixels, pixels + 100], axis=2)
    x = np.stack([image] * 10)
    x[8] += 20
    got = permuted(x, PARTITION, 4, seed=1)
    np.testing.assert_array_equal(got[[0, 1, 3, 9]], x[[0, 1, 3, 9]])
    orders = [got[example, :, :, 0].ravel() for example in (0, 2, 5, 6)]
    for order in orders:
        assert sorted(order) == list(range(12))
    assert len({tuple(order) for order in orders}) == 4
    np.testing.assert_array_equal(got[2], got[4])  # one kind, one permutation
    np.testing.assert_array_equal(got[8], got[7] + 20)
    np.testing.assert_array_equal(got[..., 1], got[..., 0] + 100)  # channels move together
    assert (permuted(x, PARTITION, 4, seed=2) != got).any()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: planted_clusters(3, 4), "1 to 3 true clusters, not 4"),
        (lambda: planted_clusters(3, 0), "not 0"),
        (lambda: rotated(np.zeros((10, 3, 3, 1)), PARTITION, 5), "1 to 4 true clusters, not 5"),
        (lambda: rotated(np.zeros((10, 3, 2, 1)), PARTITION, 2), "must be square"),
        (lambda: relabelled(np.zeros(10, np.int32), PARTITION, 4, classes=3), "3 labels .* not 4"),
        (lambda: noisy(np.zeros((10, 3)), PARTITION, 5, seed=0), "1 to 4 true clusters, not 5"),
        (
            lambda: noisy(np.zeros((10, 3)), PARTITION, 4, seed=0, noise=-1),
            "noise as 0 to 100, but -1",
        ),
        (lambda: noisy(np.zeros((10, 3), np.int32), PARTITION, 4, seed=0), "not to int32"),
        (lambda: permuted(np.zeros((10, 3, 3)), PARTITION, 4, seed=0), r"\(10, 3, 3\)"),
        (lambda: permuted(np.zeros((10, 3, 3, 1)), PARTITION, 0, seed=0), "but 0 was"),
    ],
)
def test_what_cannot_be_planted_is_told_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_labels_in_bytes_are_shifted_as_numbers():
    y = np.arange(200, dtype=np.uint8)
    partition = Partition(tuple(np.split(np.arange(200), 4)), (np.arange(0),) * 4)
    shifted = relabelled(y, partition, 4, classes=200)
    wanted = (np.arange(200) + np.repeat([0, 50, 100, 150], 50)) % 200
    np.testing.assert_array_equal(shifted, wanted)
