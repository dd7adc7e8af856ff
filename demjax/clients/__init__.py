"""What clients do by themselves: local training, and who takes part in a round.

How a client's optimizer steps, what is added to its gradients, and which clients train belong
here. What happens between clients (averaging, groups) does not: see ``hierarchy`` and
``clustering``.
"""

from demjax.clients.local_training import LocalTraining, local_training
from demjax.clients.optimizers import adagrad, adam, adamw, sgd, yogi
from demjax.clients.proximal import ProximalTerm

__all__ = [
    "LocalTraining",
    "ProximalTerm",
    "adagrad",
    "adam",
    "adamw",
    "local_training",
    "sgd",
    "yogi",
]
