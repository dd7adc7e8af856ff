"""A count sketch: what its equation says, bucket by bucket, and distances that are nearly kept."""

import jax
import numpy as np
import pytest
from scipy.spatial.distance import pdist

from demjax import keys
from demjax.backend.policy import compiling_for
from demjax.clustering.count_sketch import count_sketch
from demjax.pytrees import StackedModels


def models(count=9, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "a": rng.normal(size=(count, 5, 7)).astype(np.float32),
        "b": rng.normal(size=(count, 3)).astype(np.float32),
        "c": 10 * rng.normal(size=(count, 41)).astype(np.float32),
    }


def one_by_one(params, buckets, centred):
    """The sums of the equation, parameter by parameter, in double precision."""
    leaves = [leaf.reshape(len(leaf), -1).astype(np.float64) for leaf in params.values()]
    key = keys.for_sketch(0)
    found, p = np.zeros((len(leaves[0]), buckets)), 0
    for number, leaf in enumerate(leaves):
        own = keys.for_leaf(key, number)
        bits = np.asarray(jax.random.bits(own, (leaf.shape[1],), np.uint8)) & 1
        for column, odd in enumerate(bits):
            centre = np.median(leaf[:3, column]) if centred else 0
            found[:, p % buckets] += (1 if odd else -1) * (leaf[:, column] - centre)
            p += 1
    return found


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("buckets", [1, 6, 13, 79, 200])
def test_each_bucket_is_the_sum_that_the_equation_says(buckets, centred):
    found = jax.jit(lambda p: count_sketch(p, buckets, centred=centred))(models())
    wanted = one_by_one(models(), buckets, centred)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_it_is_the_same_of_models_stored_as_one_array(platform):
    with compiling_for(platform):
        stored = StackedModels.from_pytree(jax.tree.map(np.asarray, models()))
        found = count_sketch(stored, 13)
    np.testing.assert_allclose(found, one_by_one(models(), 13, True), rtol=1e-5, atol=1e-4)


def test_squared_distances_are_right_on_average_and_vary_as_much_as_is_said():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(60, 4000)).astype(np.float32)
    exact = pdist(points, "sqeuclidean")
    ratio = pdist(count_sketch([points], 199), "sqeuclidean") / exact
    assert abs(ratio.mean() - 1) < 0.03
    assert ratio.std() == pytest.approx(np.sqrt(2 / 199), rel=0.2)


@pytest.mark.parametrize("factor", [np.nan, 1e10])
def test_a_client_that_diverged_spoils_no_other(factor):
    params = models()
    before = pdist(count_sketch(params, 13))
    params["c"][0] *= factor
    found = np.asarray(count_sketch(params, 13))
    np.testing.assert_allclose(pdist(found[1:]), before[8:], rtol=1e-4)
    assert not np.isfinite(found[0]).all() or np.abs(found[0]).max() > 1e8
