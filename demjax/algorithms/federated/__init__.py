"""One model for everybody: a server averages what clients trained."""

from demjax.algorithms.federated.centralized import centralized as centralized
from demjax.algorithms.federated.fedadagrad import fedadagrad as fedadagrad
from demjax.algorithms.federated.fedadam import fedadam as fedadam
from demjax.algorithms.federated.fedavg import fedavg as fedavg
from demjax.algorithms.federated.fedavgm import fedavgm as fedavgm
from demjax.algorithms.federated.feddyn import feddyn as feddyn
from demjax.algorithms.federated.fednova import fednova as fednova
from demjax.algorithms.federated.fedprox import fedprox as fedprox
from demjax.algorithms.federated.fedyogi import fedyogi as fedyogi
from demjax.algorithms.federated.moon import moon as moon
from demjax.algorithms.federated.power_of_choice import power_of_choice as power_of_choice
from demjax.algorithms.federated.q_fedavg import q_fedavg as q_fedavg
from demjax.algorithms.federated.scaffold import scaffold as scaffold
