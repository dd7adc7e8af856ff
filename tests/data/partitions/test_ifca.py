"""IFCA's split against its code's steps, and each client's own copy of what it shares."""

import numpy as np
from experiments import experiment
from partitions_alike import failure, same

from demjax import data
from demjax.experiment.load_data import partitioned

Y = np.random.default_rng(0).integers(0, 10, 700)
COUNT = 600


def chunks(numbers, many):
    size = len(numbers) // many
    return [numbers[n * size : (n + 1) * size] for n in range(many)]


def test_each_cluster_has_everything_permuted_anew():
    found, group = data.ifca(Y, clients=24, true_clusters=4, train_count=COUNT)
    kept = np.random.get_state()
    try:
        np.random.seed(0)
        wanted = [c for _ in range(4) for c in chunks(list(np.random.permutation(COUNT)), 6)]
    finally:
        np.random.set_state(kept)
    assert [mine.tolist() for mine in found.train] == wanted
    assert group.tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6
    for cluster in range(4):
        mine = np.concatenate(found.test[6 * cluster : 6 * cluster + 6])
        assert mine.tolist() == list(range(COUNT, 700))
    other = data.ifca(Y, clients=24, train_count=COUNT, split_seed=1).partition
    assert not same(found, other)


def test_what_cannot_be_split_so_is_told_in_a_sentence():
    failure(lambda: data.ifca(Y, clients=25, train_count=COUNT), "25 clients", "multiple of 4")
    failure(lambda: data.ifca(Y, clients=24, train_count=700), "own test part", "--partition")
    failure(lambda: data.ifca(Y, clients=4000, train_count=COUNT), "600 clients", "1000")


def test_who_shares_an_example_has_a_copy():
    x = np.arange(14.0, dtype=np.float32).reshape(7, 2)
    dataset = data.Dataset(x, np.arange(7, dtype=np.int32), 7, 5, "seven")
    shared = data.Partition(
        (np.array([4, 1]), np.array([1, 3]), np.array([1, 4])),
        (np.array([6]), np.array([5]), np.array([6])),
    )
    grown, own = data.each_its_own(dataset, shared)
    for one, other in zip((*shared.train, *shared.test), (*own.train, *own.test), strict=True):
        np.testing.assert_array_equal(grown.x[other], x[one])
        np.testing.assert_array_equal(grown.y[other], one)
    held = np.concatenate([*own.train, *own.test])
    assert sorted(held.tolist()) == sorted(set(held.tolist()))
    np.testing.assert_array_equal(grown.x[:7], x)
    assert len(grown.x) == 7 + 4
    alone = data.Partition((np.array([4, 1]),), (np.array([6]),))
    assert data.each_its_own(dataset, alone) == (dataset, alone)


def test_each_cluster_sees_the_same_images_turned_its_way():
    x = np.random.default_rng(1).integers(0, 256, (700, 5, 5, 1)).astype(np.uint8)
    dataset = data.Dataset(x, Y.astype(np.int32), 10, COUNT, "mnist")
    options = {"dataset": "mnist", "partition": "ifca", "conflict": "rotated", "clients": 8}
    for true_clusters, turns in ((4, 1), (2, 2)):
        asked = experiment(**options, true_clusters=true_clusters, quarter_turns=turns)
        found = partitioned(asked, dataset)
        np.testing.assert_array_equal(found.y, Y)
        each = 8 // true_clusters
        assert found.true_clusters.tolist() == [n // each for n in range(8)]
        for client, kind in enumerate(found.true_clusters):
            for part in ("train", "test"):
                given = getattr(found.partition, part)[client]
                held = getattr(found.held, part)[client]
                wanted = np.rot90(x[given], kind * turns, axes=(1, 2))
                np.testing.assert_array_equal(found.dataset.x[held], wanted)
                np.testing.assert_array_equal(found.dataset.y[held], Y[given])
