"""One model for everybody: a server averages what clients trained."""

from demjax.algorithms.federated.fedavg import fedavg
from demjax.algorithms.federated.fedprox import fedprox

__all__ = ["fedavg", "fedprox"]
