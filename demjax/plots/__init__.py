"""Figures: functions that draw runs into matplotlib axes and return them.

A run is given as its folder or as the history that ``simulate`` returns. Functions of one panel
take ``ax=``, those of several ``figure=``; without it they make a new figure.
"""

from demjax.plots.compared import systems as systems
from demjax.plots.costs import cost as cost
from demjax.plots.curves import comparison as comparison
from demjax.plots.curves import curve as curve
from demjax.plots.curves import measures as measures
from demjax.plots.dendrograms import dendrogram as dendrogram
from demjax.plots.dendrograms import dendrograms as dendrograms
from demjax.plots.extra_measures import extra_measures as extra_measures
from demjax.plots.fairness import fairness as fairness
from demjax.plots.fairness import fairness_of as fairness_of
from demjax.plots.found_groups import found_groups as found_groups
from demjax.plots.group_measures import group_sizes as group_sizes
from demjax.plots.group_measures import rand_index as rand_index
from demjax.plots.labels_by_client import labels_by_client as labels_by_client
from demjax.plots.labels_by_group import labels_by_group as labels_by_group
from demjax.plots.membership import membership as membership
from demjax.plots.per_client import clients as clients
from demjax.plots.per_client import distribution as distribution
from demjax.plots.record import Record as Record
from demjax.plots.record import read as read
from demjax.plots.style import style as style
