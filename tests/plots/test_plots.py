"""Images hold the numbers that they claim to show."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from demjax import plots
from demjax.data import Partition, client_data, iid, labels
from demjax.plots.labels_by_client import CLIENTS_AT_MOST, label_counts, size

Y = np.array([3, 3, 5, 5, 5, 8, 8, 3, 3, 8])
PARTITION = Partition((np.array([0, 1, 2]), np.array([5, 6])), (np.array([3]), np.array([], int)))


def drawn(clients, y=None):
    return plots.labels_by_client(clients, y, ax=Figure().add_subplot())


def test_counts_are_those_of_the_partition():
    train, test, names = label_counts(PARTITION, Y)
    assert names.tolist() == [3, 5, 8]
    assert train.tolist() == [[2, 1, 0], [0, 0, 2]]
    assert test.tolist() == [[0, 1, 0], [0, 0, 0]]
    again = label_counts(client_data(np.zeros((10, 1)), Y, PARTITION))
    for one, other in zip((train, test, names), again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_image_shows_the_counts_and_the_sizes():
    ax = drawn(PARTITION, Y)
    shown = np.ma.filled(np.ma.masked_invalid(ax.images[0].get_array()), 0)
    assert shown.tolist() == [[2, 0], [2, 0], [0, 2]]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["3", "5", "8"]
    (bars,) = ax.child_axes
    heights = [bar.get_height() for bar in bars.patches]
    assert heights == [3, 2, 1, 0]
    assert ax.get_xlabel() == "client"


def test_of_many_clients_a_random_few_are_shown_in_their_order():
    y = np.arange(4000) % 10
    partition = labels(y, clients=300, labels_per_client=1, seed=0)
    ax = drawn(partition, y)
    shown = np.ma.filled(np.ma.masked_invalid(ax.images[0].get_array()), 0)
    assert shown.shape == (10, CLIENTS_AT_MOST)
    assert "200 of 300" in ax.get_xlabel()
    numbers = [int(tick.get_text()) for tick in ax.get_xticklabels()]
    assert numbers == sorted(numbers)
    for place, number in zip(ax.get_xticks(), numbers, strict=True):
        assert shown[:, int(place)].argmax() == number % 10
    assert len(set(shown.argmax(axis=0))) == 10


@pytest.mark.parametrize("clients", [1, 3, 60])
def test_it_can_be_drawn_and_saved(clients, tmp_path):
    y = np.arange(600) % 62
    figure = Figure(figsize=size(clients, 62), layout="constrained")
    ax = figure.add_subplot()
    assert plots.labels_by_client(iid(y, clients=clients, seed=0), y, ax=ax) is ax
    figure.savefig(tmp_path / "p.png")
    assert len(ax.get_yticks()) <= 16


def test_without_axes_it_makes_a_figure():
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    ax = plots.labels_by_client(PARTITION, Y)
    assert len(ax.images) == 1
    plt.close(ax.figure)


def test_a_partition_needs_its_labels():
    with pytest.raises(ValueError, match="say with y"):
        drawn(PARTITION)
