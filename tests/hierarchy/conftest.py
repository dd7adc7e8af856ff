"""Random trees that all tests of hierarchies are given."""

import functools

import jax
import numpy as np
import pytest
from forest import FOREST, TREES, pipeline, random_free_tree, random_linkage_tree


@pytest.fixture(scope="session", params=FOREST, ids=str)
def forest(request, split_tree, groups_of):
    """Random trees, numbers that stand in them, and what demjax makes of them."""
    count, levels = request.param
    slots = max(2**levels, count)
    rng = np.random.default_rng(count + 100 * levels)
    group_type = type(split_tree(np.zeros((0, 4)), 0))
    trees = [
        random_linkage_tree(split_tree, rng, count, levels)
        if number % 2
        else random_free_tree(group_type, rng, count, levels, slots)
        for number in range(TREES)
    ]

    def models(*axes):
        return {
            "w": rng.normal(size=(TREES, *axes, 2, 1)).astype(np.float32),
            "b": rng.normal(size=(TREES, *axes)).astype(np.float32),
        }

    put = {
        "groups": np.stack([groups_of(tree, count) for tree in trees]),
        "client": models(count),
        "group": models(levels + 1, slots),
        "weight": rng.integers(1, 200, size=(TREES, count)).astype(np.float32),
        "amplification": rng.uniform(0.8, 1.3, TREES).astype(np.float32),
        "mix": rng.uniform(0, 1, (TREES, levels + 1)).astype(np.float32),
    }
    got = pipeline(levels, slots)(*put.values())
    take = functools.partial(jax.tree.map, np.asarray)
    pick = [
        jax.tree.map(lambda leaf, n=number: leaf[n], (take(put), take(got)))
        for number in range(TREES)
    ]
    return [(tree, *both) for tree, both in zip(trees, pick, strict=True)], slots
