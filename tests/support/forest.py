"""Random trees as nested lists, and what demjax makes of the same trees as arrays."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.cluster.hierarchy

from demjax.base import Hierarchy
from demjax.clustering import METHODS
from demjax.hierarchy import (
    flat_index,
    from_groups,
    group_means,
    lowest_group,
    membership,
    mix_down,
    parent_group,
)
from demjax.hierarchy.anchors import ancestors, ancestors_mean

# clients, levels under the root; 40 trees of each
FOREST = [(1, 3), (2, 2), (3, 5), (6, 3), (10, 1), (17, 4), (25, 0), (40, 5)]

TREES = 40


FIXED = Hierarchy(
    groups=jnp.array([[2, 2, 0, -1, -1, 0], [1, 1, -1, 2, 2, -1], [0] * 6], jnp.int32),
    size=jnp.array([[2, 0, 2], [0, 2, 2], [6, 0, 0]], jnp.int32),
)

"""Six clients; on the lowest level {0, 1} and {2, 5}, the second of which skips the middle."""


def random_linkage_tree(split_tree, rng, count, levels):
    """A dendrogram of random points, some of them the same, split from the top."""
    if count == 1:
        return split_tree(np.zeros((0, 4)), levels)
    points = rng.normal(size=(count, 2))
    points = points[rng.integers(count, size=count)] if rng.random() < 0.5 else points
    method = METHODS[rng.integers(len(METHODS))]
    return split_tree(scipy.cluster.hierarchy.linkage(points, method), levels)


def random_free_tree(group_type, rng, count, levels, slots):
    """A tree of any number of branches, in slots of any order, that may leave levels out."""
    free = [rng.permutation(slots).tolist() for _ in range(levels)]

    def grow(members, level, slot):
        groups, clients = [], []
        parts = np.array_split(rng.permutation(members), rng.integers(1, 4))
        for part in parts:
            below = rng.integers(-1, level)
            if part.size and below >= 0 and rng.random() < 0.8:
                groups.append(grow(part, below, free[below].pop()))
            else:
                clients.extend(part.tolist())
        return group_type(level, slot, groups, clients)

    return grow(np.arange(count), levels, 0)


@functools.cache
def pipeline(levels, slots):
    """Everything that is asked of a tree, for many trees at once."""

    def everything(groups, client, group, weight, amplification, mix):
        hierarchy = from_groups(groups, slots)
        return {
            "size": hierarchy.size,
            "groups": hierarchy.groups,
            "flat_index": flat_index(hierarchy),
            "lowest": lowest_group(hierarchy),
            "parents": parent_group(hierarchy),
            "membership": membership(hierarchy),
            "means": group_means(client, hierarchy),
            "weighted": group_means(client, hierarchy, weight, amplification),
            "mixed": mix_down(client, group, hierarchy, [mix[i] for i in range(levels + 1)]),
            "ancestors": ancestors(hierarchy),
            "ancestors_mean": ancestors_mean(group, hierarchy),
        }

    return jax.jit(jax.vmap(everything))


def flat_index_of(group, slots):
    return group.level * slots + group.slot


def close(got, wanted):
    assert np.shape(got) == np.shape(wanted)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=2e-6)
