"""Who learns alike: features, distances, linkage, and cutting a dendrogram into levels."""

from demjax.linkage.agglomerate import BACKENDS, METHODS, check_method, linkage
from demjax.linkage.cuts import Cut, counts, cut_counts, cut_depth, cut_heights, depth, heights
from demjax.linkage.dendrogram import cophenetic_correlation, leaf_order
from demjax.linkage.distances import Metric, correlation, cosine, euclidean, sqeuclidean
from demjax.linkage.features import (
    Features,
    chosen_layers,
    everything,
    gradients,
    layers,
    sketch,
    updates,
    weights,
)
from demjax.linkage.organize import SelfOrganization, self_organization, unorganized
from demjax.linkage.sizes import attach_small

__all__ = [
    "BACKENDS",
    "METHODS",
    "Cut",
    "Features",
    "Metric",
    "SelfOrganization",
    "attach_small",
    "check_method",
    "chosen_layers",
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
    "linkage",
    "self_organization",
    "sketch",
    "sqeuclidean",
    "unorganized",
    "updates",
    "weights",
]
