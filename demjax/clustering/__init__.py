"""Who learns alike: features, distances, linkage, and cutting a dendrogram into levels.

A new feature, distance, linkage method or cut is registered in its file here. What is done with
the groups that are found belongs to ``hierarchy``.
"""

from demjax.clustering.by_label import by_label as by_label
from demjax.clustering.clusterings import Clustering as Clustering
from demjax.clustering.clusterings import auto as auto
from demjax.clustering.clusterings import exact as exact
from demjax.clustering.clusterings import two_stage as two_stage
from demjax.clustering.count_sketch import count_sketch as count_sketch
from demjax.clustering.cuts import Cut as Cut
from demjax.clustering.cuts import counts as counts
from demjax.clustering.cuts import cut_counts as cut_counts
from demjax.clustering.cuts import cut_depth as cut_depth
from demjax.clustering.cuts import cut_heights as cut_heights
from demjax.clustering.cuts import depth as depth
from demjax.clustering.cuts import heights as heights
from demjax.clustering.dendrogram import cophenetic_correlation as cophenetic_correlation
from demjax.clustering.dendrogram import leaf_order as leaf_order
from demjax.clustering.distances import Metric as Metric
from demjax.clustering.distances import correlation as correlation
from demjax.clustering.distances import cosine as cosine
from demjax.clustering.distances import euclidean as euclidean
from demjax.clustering.distances import sqeuclidean as sqeuclidean
from demjax.clustering.features import Features as Features
from demjax.clustering.features import everything as everything
from demjax.clustering.features import gradients as gradients
from demjax.clustering.features import label_gradients as label_gradients
from demjax.clustering.features import layers as layers
from demjax.clustering.features import sketch as sketch
from demjax.clustering.features import updates as updates
from demjax.clustering.features import weights as weights
from demjax.clustering.gap import gap as gap
from demjax.clustering.group_sizes import attach_small as attach_small
from demjax.clustering.linkage import BACKENDS as BACKENDS
from demjax.clustering.linkage import METHODS as METHODS
from demjax.clustering.linkage import Method as Method
from demjax.clustering.self_organization import SelfOrganization as SelfOrganization
from demjax.clustering.self_organization import self_organization as self_organization
from demjax.clustering.self_organization import unorganized as unorganized
