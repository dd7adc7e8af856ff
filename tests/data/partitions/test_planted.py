"""Planted groups against their definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from partitions_alike import QUICK, digest, everything, failure, per_client, seeds, sizes

from demjax.data import planted

Y = np.arange(1200) % 6 * 2  # six labels, 0 2 4 6 8 10, two hundred of each


@QUICK
@given(data=st.data(), groups=st.integers(1, 6), seed=seeds, sigma=st.sampled_from([0.0, 1.0]))
def test_a_group_has_its_labels_and_no_other_group_the_same(data, groups, seed, sigma):
    k = data.draw(st.integers(1, 5))
    clients = data.draw(st.integers(groups, 30))
    options = {"labels_per_client": k, "seed": seed, "label_sigma": sigma}
    partition, group = planted(Y, clients=clients, true_clusters=groups, **options)
    assert group.tolist() == [n * groups // clients for n in range(clients)]
    held = everything(partition)
    assert len(held) == len(np.unique(held))
    seen = {}
    for mine, g in zip(per_client(partition), group.tolist(), strict=True):
        wanted = {2 * ((g * 6 // groups + j) % 6) for j in range(k)}
        assert set(Y[mine]) == wanted
        seen[g] = frozenset(wanted)
    assert len(set(seen.values())) == groups
    assert len(held) == np.isin(Y, [*frozenset.union(*seen.values())]).sum()


def test_without_spread_all_clients_of_a_group_are_alike():
    partition, group = planted(Y, clients=24, true_clusters=4, labels_per_client=3, seed=0)
    table = np.array([np.bincount(Y[mine] // 2, minlength=6) for mine in per_client(partition)])
    for g in range(4):
        assert np.ptp(table[group == g], axis=0).max() <= 1
    spread = planted(
        Y, clients=24, true_clusters=4, labels_per_client=3, seed=0, label_sigma=1.0
    ).partition
    assert np.ptp(sizes(spread)) > 20


def test_a_seed_means_the_same_on_every_machine():
    assert digest(planted(Y, clients=12, true_clusters=3, seed=3).partition) == "f19c4349f0f8765d"


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        ({"true_clusters": 0}, ["true_clusters as 1 or more", "0 was given"]),
        ({"true_clusters": 7}, ["1 to 6", "not 7"]),
        ({"true_clusters": 4, "clients": 3}, ["3 clients", "1 to 3", "not 4"]),
        ({"true_clusters": 1.5}, ["a whole number, but 1.5 was given"]),
        ({"labels_per_client": 6}, ["alike", "1 to 5"]),
        ({"labels_per_client": 0}, ["labels_per_client as 1 or more, but 0 was given"]),
        ({"labels_per_client": 7}, ["not 7"]),
        ({"label_sigma": -1}, ["label_sigma", "-1 was given"]),
        ({"clients": 601}, ["600 clients", "not for 601"]),
        ({"clients": 600, "labels_per_client": 3}, ["Label 0", "200 examples"]),
        ({"seed": 0.5}, ["seed"]),
        ({"test_fraction": 0}, ["fraction"]),
    ],
)
def test_wrong_arguments(wrong, parts):
    failure(lambda: planted(Y, **({"clients": 12, "true_clusters": 3, "seed": 0} | wrong)), *parts)
