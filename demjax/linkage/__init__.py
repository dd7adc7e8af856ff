"""Who learns alike: distances between clients, linkage, and cutting a dendrogram into levels."""

from demjax.linkage.agglomerate import METHODS, check_method, linkage
from demjax.linkage.cuts import cut_depth
from demjax.linkage.distances import Metric, cosine, euclidean

__all__ = [
    "METHODS",
    "Metric",
    "check_method",
    "cosine",
    "cut_depth",
    "euclidean",
    "linkage",
]
