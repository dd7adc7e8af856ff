import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from demjax.clustering import distances, pivots
from demjax.clustering.pivots import Kind, moved, pivots_at

leaders = jax.jit(pivots.leaders)  # compiled once for each number of clients


def by_hand(ill):
    """The most often ill of each client's neighbours and itself, one by one."""
    often = ill.sum(axis=0)
    found = []
    for client, row in enumerate(ill):
        near = [client, *np.flatnonzero(row)]
        found.append(min(near, key=lambda other: (-often[other], other)))
    return found


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 12), share=st.floats(0, 1))
def test_leaders_are_those_in_most_poor_pairs(seed, count, share):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.uniform(size=(count, count)) < share, 1)
    matrix = np.where(upper, -1.0, 1.0).astype(np.float32)
    matrix[~np.triu(np.ones((count, count), bool), 1)] = 0
    found = by_hand(upper | upper.T)
    np.testing.assert_array_equal(leaders(jnp.asarray(matrix), pivots.FOLLOWED), found)
    for _ in range(count):
        found = [found[leader] for leader in found]
    np.testing.assert_array_equal(leaders(jnp.asarray(matrix), 0), found)


def test_clients_that_are_all_poor_pairs_share_the_first_as_leader():
    matrix = -jnp.triu(jnp.ones((5, 5)), 1)
    for retry in (0, pivots.FOLLOWED):
        np.testing.assert_array_equal(leaders(matrix, retry), [0] * 5)


def test_groups_are_centred_once_although_few_of_their_pairs_are_ill_conditioned(monkeypatch):
    """Pairs at a tenth of their squares: a leader for each client took a dozen tries."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(800, 64)) + 3 * rng.normal(size=(4, 64))[np.arange(800) % 4]
    tries = []

    def counted(matrix, retry):
        jax.debug.callback(lambda n: tries.append(int(n)), retry)
        return pivots.leaders(matrix, retry)

    monkeypatch.setattr(distances, "leaders", counted)
    found = jax.jit(distances.euclidean)(points.astype(np.float32))
    jax.effects_barrier()
    np.testing.assert_allclose(found, cdist(points, points), rtol=1e-4, atol=1e-4)
    assert 1 <= len(tries) <= 5


@pytest.mark.parametrize("less_mean", [False, True])
def test_models_get_their_leaders_length_and_mean(less_mean):
    rng = np.random.default_rng(0)
    models = rng.normal(size=(6, 40)) * 10 ** rng.uniform(-3, 3, (6, 1)) + rng.normal(size=(6, 1))
    models = models.astype(np.float32)
    size = 40 if less_mean else float("inf")
    wanted = np.array([0, 0, 0, 3, 3, 5])
    kind = Kind(angular=True, less_mean=less_mean)
    got = pivots_at(kind, [jnp.asarray(models)], jnp.asarray(wanted), size, jnp.int32(1))
    np.testing.assert_array_equal(got.leader, wanted)
    np.testing.assert_array_equal(np.log2(got.scale) % 1, 0)
    mean = models.mean(axis=1) if less_mean else np.zeros(6)
    np.testing.assert_allclose(got.mean, mean, rtol=1e-5, atol=1e-6)
    length = np.linalg.norm(models - mean[:, None], axis=1)
    factor = np.asarray(got.scale + got.stretch, np.float64)
    np.testing.assert_allclose(factor * length, length[wanted], rtol=1e-4)
    pivot = (models - mean[:, None])[wanted]
    exact = factor[:, None] * (models - mean[:, None].astype(np.float64)) - pivot
    delta = moved(jnp.asarray(models), jnp.asarray(models)[wanted], got)
    np.testing.assert_allclose(delta, exact, atol=1e-4 * length[wanted].max(), rtol=0)
    np.testing.assert_array_equal(got.empty, 0)


def test_distances_that_know_length_leave_models_as_they_are():
    leader = jnp.array([0, 0, 2])
    got = pivots_at(Kind(root=True), [jnp.ones((3, 4))], leader, float("inf"), jnp.int32(0))
    np.testing.assert_array_equal(got.leader, leader)
    for value, wanted in zip(got[1:], (1, 0, 0, 0), strict=True):
        np.testing.assert_array_equal(value, wanted)
