"""Rows dealt out to devices: everyone has a place, and no device much more work than others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax.backend.balance import dealt_out
from demjax.backend.sharding import spread_over


def of_each(work):
    """The rows of each of two devices, and the work of each."""
    with spread_over(2):
        order = np.asarray(jax.jit(dealt_out)(jnp.asarray(work, jnp.int32)))
    parts = order.reshape(2, -1)
    return parts, np.append(work, 0)[parts].sum(axis=1)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_each_row_is_dealt_once_and_nobody_fills_up(count):
    parts, _ = of_each(np.arange(count))
    assert sorted(parts.flat) == list(range(count + count % 2))
    assert parts.shape == (2, -(-count // 2))


def test_the_longest_go_to_whoever_has_least():
    parts, loads = of_each([1, 5, 2, 8, 3, 1])  # 8 | 5, then 2 | 3, then 1 | 1
    assert parts.tolist() == [[3, 2, 5], [1, 4, 0]]
    assert loads.tolist() == [11, 9]


def test_unlike_sizes_come_out_within_the_largest_of_a_row():
    work = np.random.default_rng(0).pareto(1.5, 1000) * 10
    work = np.minimum(work, 200).astype(int) + 1
    _, loads = of_each(work)
    assert abs(loads[0] - loads[1]) <= 1
    in_order = work[np.argsort(work)].reshape(2, -1).sum(axis=1)
    assert abs(in_order[0] - in_order[1]) > 1000


def test_one_device_has_rows_as_they_were():
    assert dealt_out(jnp.asarray([3, 1, 2])).tolist() == [0, 1, 2]
