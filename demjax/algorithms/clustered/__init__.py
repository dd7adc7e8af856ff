"""Clusters of clients that are found while they learn, or before, with a model for each."""

from demjax.algorithms.clustered.cfl import cfl as cfl
from demjax.algorithms.clustered.fedrc import fedrc as fedrc
from demjax.algorithms.clustered.fesem import fesem as fesem
from demjax.algorithms.clustered.fl_hc import fl_hc as fl_hc
from demjax.algorithms.clustered.ifca import ifca as ifca
from demjax.algorithms.clustered.pacfl import pacfl as pacfl
