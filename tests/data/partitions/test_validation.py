"""Validation examples are held out of training examples, client by client."""

import numpy as np
import pytest

from demjax import data
from demjax.cli import main
from demjax.data.client_data import Partition


def test_each_client_keeps_its_share_and_no_test_example_is_used():
    y = data.digits().y
    whole = data.dirichlet(y, clients=12, dirichlet_alpha=0.3, seed=1)
    held = data.held_out(whole, 0.25, seed=3)
    for mine, train, validation in zip(whole.train, *held, strict=True):
        assert sorted([*train, *validation]) == sorted(mine)
        assert len(validation) == min(max(1, round(len(mine) / 4)), len(mine) - 1)
    tests = set(np.concatenate(whole.test).tolist())
    assert not tests & set(np.concatenate([*held.train, *held.test]).tolist())


def test_the_draw_is_the_seeds_and_random():
    whole = Partition((np.arange(40),), (np.arange(40, 50),))
    one, again, other = (data.held_out(whole, 0.5, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.test[0], again.test[0])
    assert set(one.test[0].tolist()) != set(other.test[0].tolist())
    assert not np.array_equal(one.test[0], np.arange(20))


def test_a_single_example_is_trained_on():
    few = Partition((np.array([4]), np.array([5, 6])), (np.array([0]), np.array([1])))
    held = data.held_out(few, 0.9, seed=0)
    assert [len(mine) for mine in held.train] == [1, 1]
    assert [len(mine) for mine in held.test] == [0, 1]
    with pytest.raises(ValueError, match="No client has two training examples"):
        data.held_out(Partition((np.array([4]),), (np.array([0]),)), 0.5, seed=0)
    with pytest.raises(ValueError, match=r"above 0 and below 1, but 1\.5 was given"):
        data.held_out(few, 1.5, seed=0)


def test_a_run_with_validation_says_so(tmp_path, capsys):
    words = ["partition", "--partition", "iid", "--clients", "5", "--validation", "0.5"]
    assert main.main(words) == 0
    shown = capsys.readouterr()
    assert "training examples are held out (--validation)" in shown.err
    held = data.held_out(data.iid(data.digits().y, clients=5, seed=0), 0.5, seed=0)
    assert f"{sum(map(len, held.test))} of them for tests" in shown.out
