"""Models of clusters held against others: those of a loop, or of federated averaging."""

import jax
import numpy as np
import tiny
from server_loops import global_model, rounds

from demjax.base import NO_GROUP


def hold(models, clusters, at, weight, tolerance=5e-5):
    """Hold models that are scored as averaged: of clusters, of clients, and the root's.

    Args:
        models: What is held.
        clusters: The model of each cluster.
        at: The cluster of each client, ``NO_GROUP`` where it has none, and the root's model.
        weight: What each client counts.
    """
    group = tiny.plain(models.group)
    found, root = (tiny.unstack(jax.tree.map(lambda leaf, n=n: leaf[n], group)) for n in (0, 1))
    np.testing.assert_array_equal(models.hierarchy.groups, [at, np.zeros(len(at))])
    tiny.close(found, clusters, tolerance)
    held = np.array([weight[at == c].sum() for c in range(len(clusters))], float)
    mean = tiny.combine(*zip(held / held.sum(), clusters, strict=True))
    tiny.close(root[0], mean, tolerance)
    wanted = [mean if c == NO_GROUP else clusters[c] for c in at]
    tiny.close(tiny.unstack(models.client), wanted, tolerance)


def same(one, other, key, clients, *, count=3, tolerance=1e-5):
    """Hold a system of one cluster against one with a global model, round by round."""
    pairs = zip(rounds(one, key, clients, count), rounds(other, key, clients, count), strict=True)
    for (_, models, info), (_, wanted, wanted_info) in pairs:
        tiny.close(models.client, wanted.client, tolerance)
        root = jax.tree.map(lambda leaf: np.asarray(leaf)[1, 0], tiny.plain(models.group))
        tiny.close(root, global_model(wanted), tolerance)
        tiny.close(global_model(models), global_model(wanted), tolerance)
        np.testing.assert_allclose(info.loss, wanted_info.loss, rtol=tolerance, atol=tolerance)
