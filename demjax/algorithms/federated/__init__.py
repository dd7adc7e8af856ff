"""One model for everybody: a server averages what clients trained."""

from demjax.algorithms.federated.fedavg import fedavg as fedavg
from demjax.algorithms.federated.fedprox import fedprox as fedprox
