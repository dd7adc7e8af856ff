"""Figures: functions that draw runs into matplotlib axes and return them.

A run is given as its folder or as the history that ``simulate`` returns. Functions of one panel
take ``ax=``, those of several ``figure=``; without it they make a new figure.
"""

from demjax.plots.costs import cost
from demjax.plots.curves import comparison, curve, measures
from demjax.plots.grouped import labels_by_group
from demjax.plots.members import membership
from demjax.plots.organization import group_sizes, rand_index
from demjax.plots.partition import labels_by_client
from demjax.plots.per_client import clients, distribution
from demjax.plots.reading import Record, read
from demjax.plots.shares import fairness, fairness_of
from demjax.plots.style import style
from demjax.plots.trees import dendrogram, dendrograms

__all__ = [
    "Record",
    "clients",
    "comparison",
    "cost",
    "curve",
    "dendrogram",
    "dendrograms",
    "distribution",
    "fairness",
    "fairness_of",
    "group_sizes",
    "labels_by_client",
    "labels_by_group",
    "measures",
    "membership",
    "rand_index",
    "read",
    "style",
]
