"""What clients do by themselves: local training, and who takes part in a round.

How a client's optimizer steps, what draws its model towards others, and which clients train belong
here. What happens between clients (averaging, groups) does not: see ``hierarchy`` and
``clustering``.
"""

from demjax.clients.local_training import LocalTraining, Pull, local_training
from demjax.clients.optimizers import adagrad, adam, adamw, sgd, yogi

__all__ = ["LocalTraining", "Pull", "adagrad", "adam", "adamw", "local_training", "sgd", "yogi"]
