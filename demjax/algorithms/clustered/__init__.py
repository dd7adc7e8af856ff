"""Clusters of clients that are found while they learn, with a model for each."""

from demjax.algorithms.clustered.ifca import ifca as ifca
