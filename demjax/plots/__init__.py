"""Figures: functions that draw runs into matplotlib axes and return them.

A run is given as its folder or as the history that ``simulate`` returns. Functions of one panel
take ``ax=``, those of several ``figure=``; without it they make a new figure.
"""

from demjax.plots.costs import cost
from demjax.plots.curves import comparison, curve, measures
from demjax.plots.dendrograms import dendrogram, dendrograms
from demjax.plots.fairness import fairness, fairness_of
from demjax.plots.group_measures import group_sizes, rand_index
from demjax.plots.labels_by_client import labels_by_client
from demjax.plots.labels_by_group import labels_by_group
from demjax.plots.membership import membership
from demjax.plots.per_client import clients, distribution
from demjax.plots.record import Record, read
from demjax.plots.style import style

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
