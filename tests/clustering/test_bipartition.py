"""Halves of clusters against SciPy's dendrogram of each cluster alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from demjax.clustering.bipartition import second_halves
from demjax.registry import LINKAGES


@pytest.mark.parametrize("method", ["complete", "single", "average"])
def test_they_are_those_of_the_last_merge_of_each_cluster_alone(method):
    halves = jax.jit(lambda d, g: second_halves(d, g, LINKAGES[method].make(), 2.0))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        groups = rng.integers(0, 4, 25)
        groups[groups == 3] = 5  # a number that nobody has is no matter, nor a client alone
        groups[7] = 3
        distances = squareform(pdist(rng.normal(size=(25, 3)), "cosine"))
        found = np.asarray(halves(jnp.asarray(distances, jnp.float32), jnp.asarray(groups)))
        for cluster in set(groups.tolist()):
            here = np.flatnonzero(groups == cluster)
            if len(here) == 1:
                assert not found[here[0]]
                continue
            merges = linkage(squareform(distances[np.ix_(here, here)]), method)
            part = fcluster(merges, 2, criterion="maxclust")
            np.testing.assert_array_equal(found[here], part != part[0])


def test_of_all_in_one_cluster_the_nearest_across_are_as_far_apart_as_can_be():
    """Single linkage against every bipartition of 8 clients, as in CFL's equation."""
    rng = np.random.default_rng(3)
    distances = squareform(pdist(rng.normal(size=(8, 3)), "cosine"))
    nobody = jnp.zeros(8, jnp.int32)
    found = second_halves(jnp.asarray(distances, jnp.float32), nobody, LINKAGES["single"].make(), 2)
    ways = [np.array([0, *map(int, f"{n:07b}")], bool) for n in range(1, 128)]
    best = max(ways, key=lambda way: distances[np.ix_(way, ~way)].min())
    np.testing.assert_array_equal(found, best)
