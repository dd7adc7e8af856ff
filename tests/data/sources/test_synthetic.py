"""Synthetic(α, β): exact laws of how it is drawn."""

import numpy as np
import pytest
from partitions_alike import failure
from scipy import stats

from demjax.data import load, synthetic, synthetic_iid
from demjax.data.sources.synthetic import MOST_EXAMPLES


def sizes(data):
    return np.bincount(data.owner)


def test_shapes_types_and_order():
    data = synthetic(clients=12, seed=3)
    assert (data.x.dtype, data.y.dtype, data.owner.dtype) == (np.float32, np.int32, np.int32)
    assert data.x.shape == (len(data.y), 60)
    assert len(data.owner) == len(data.y) == data.train_count
    assert (np.diff(data.owner) >= 0).all()
    assert len(sizes(data)) == 12
    assert sizes(data).min() >= 50
    assert (data.classes, data.name) == (10, "synthetic")
    assert set(np.unique(data.y)) <= set(range(10))


def test_sizes_are_log_normal_above_50_up_to_their_cap():
    many = np.concatenate([sizes(synthetic(clients=50, seed=seed)) for seed in range(12)])
    assert many.max() <= MOST_EXAMPLES
    drawn = many[many < MOST_EXAMPLES] - 50
    law = stats.lognorm(2, scale=np.exp(4))
    # whole numbers, rounded down: hold the law against them half a step on
    assert stats.kstest(drawn + 0.5, law.cdf).pvalue > 1e-3


def test_inputs_have_the_variances_of_the_paper():
    data = synthetic_iid(clients=3, seed=0)
    data = data if len(data.y) > 2000 else synthetic_iid(clients=200, seed=0)
    expected = np.arange(1, 61) ** -1.2
    np.testing.assert_allclose(data.x.var(axis=0, dtype=np.float64) / expected, 1, atol=0.2)
    np.testing.assert_allclose(data.x.mean(axis=0) / np.sqrt(expected), 0, atol=0.15)


def test_labels_are_a_linear_function_of_inputs():
    # linear discriminants found with half of the clients answer the others where all have one
    # model, far above the largest label's share; where each has its own they do not
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    scores = {}
    for iid in (True, False):
        own = {"synthetic_alpha": 0, "synthetic_beta": 0}
        data = synthetic_iid(clients=30, seed=1) if iid else synthetic(clients=30, seed=1, **own)
        first = data.owner < 15
        model = LinearDiscriminantAnalysis().fit(data.x[first], data.y[first])
        scores[iid] = model.score(data.x[~first], data.y[~first])
        assert iid is False or np.bincount(data.y).max() < 0.3 * len(data.y)
    assert scores[True] > 0.7
    assert scores[False] < 0.5


def test_alpha_and_beta_are_the_deviations_between_clients():
    for beta in (0.0, 3.0):
        data = synthetic(clients=150, synthetic_beta=beta, seed=5)
        means = np.array([data.x[data.owner == k].mean() for k in range(150)])
        # mean over 60 inputs of B_k + N(0, 1)
        expected = np.sqrt(beta**2 + 1 / 60)
        assert means.std() == pytest.approx(expected, rel=0.25)


def test_a_seed_decides_everything():
    one, same, other = (synthetic(clients=4, seed=seed) for seed in (0, 0, 1))
    for a, b in zip(one[:2], same[:2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(one.y) != len(other.y)
    loaded = load("synthetic", clients=4, seed=0, synthetic_alpha=1.0, synthetic_beta=1.0)
    np.testing.assert_array_equal(loaded.x, one.x)
    assert load("synthetic_iid", clients=4).name == "synthetic_iid"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"clients": 0}, "0"),
        ({"clients": 20_001}, "20001"),
        ({"seed": -1}, "-1"),
        ({"synthetic_alpha": -0.5}, "-0.5"),
        ({"synthetic_beta": float("nan")}, "nan"),
        ({"synthetic_alpha": float("inf")}, "inf"),
    ],
)
def test_numbers_out_of_range_are_refused(options, found):
    failure(lambda: synthetic(**options), found)
