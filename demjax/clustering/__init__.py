"""Who learns alike: features, distances, linkage, and cutting a dendrogram into levels.

A new feature, distance, linkage method or cut is registered in its file here. What is done with
the groups that are found belongs to ``hierarchy``.
"""

from demjax.clustering.cuts import Cut, counts, cut_counts, cut_depth, cut_heights, depth, heights
from demjax.clustering.dendrogram import cophenetic_correlation, leaf_order
from demjax.clustering.distances import Metric, correlation, cosine, euclidean, sqeuclidean
from demjax.clustering.features import (
    Features,
    everything,
    gradients,
    layers,
    sketch,
    updates,
    weights,
)
from demjax.clustering.group_sizes import attach_small
from demjax.clustering.linkage import BACKENDS, METHODS, Method
from demjax.clustering.self_organization import SelfOrganization, self_organization, unorganized

__all__ = [
    "BACKENDS",
    "METHODS",
    "Cut",
    "Features",
    "Method",
    "Metric",
    "SelfOrganization",
    "attach_small",
    "cophenetic_correlation",
    "correlation",
    "cosine",
    "counts",
    "cut_counts",
    "cut_depth",
    "cut_heights",
    "depth",
    "euclidean",
    "everything",
    "gradients",
    "heights",
    "layers",
    "leaf_order",
    "self_organization",
    "sketch",
    "sqeuclidean",
    "unorganized",
    "updates",
    "weights",
]
