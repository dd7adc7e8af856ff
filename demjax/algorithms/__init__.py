"""Learning systems, one short file each, all made of the same parts."""

from demjax.algorithms.demlearn import demlearn
from demjax.algorithms.fedavg import fedavg
from demjax.algorithms.fedprox import fedprox
from demjax.algorithms.local_only import local_only

__all__ = ["demlearn", "fedavg", "fedprox", "local_only"]
