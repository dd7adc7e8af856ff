"""What clients do by themselves: local training, and who takes part in a round.

How a client's optimizer steps, what is added to its gradients, and which clients train belong
here. What happens between clients (averaging, groups) does not: see ``hierarchy`` and
``clustering``.
"""

from demjax.clients.local_training import LocalTraining as LocalTraining
from demjax.clients.local_training import TrainingInfo as TrainingInfo
from demjax.clients.local_training import local_training as local_training
from demjax.clients.optimizers import adagrad as adagrad
from demjax.clients.optimizers import adam as adam
from demjax.clients.optimizers import adamw as adamw
from demjax.clients.optimizers import sgd as sgd
from demjax.clients.optimizers import yogi as yogi
from demjax.clients.proximal import ProximalTerm as ProximalTerm
