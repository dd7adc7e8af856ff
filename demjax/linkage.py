"""Linkage at the path that programs outside import it from; see ``demjax.clustering``."""

from demjax.clustering.linkage import BACKENDS, METHODS, linkage

__all__ = ["BACKENDS", "METHODS", "linkage"]
