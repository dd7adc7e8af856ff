"""demjax: democratized and federated learning of thousands of clients, vectorized in JAX."""

from demjax import data, hierarchy, linkage, metrics, models, plots, structure
from demjax.algorithms import demlearn, fedavg, fedprox, local_only
from demjax.base import Algorithm, ClientData, Hierarchy, Models, Task
from demjax.local import LocalTraining, Pull, local_training
from demjax.metrics import Measures, measure
from demjax.simulate import History, simulate, watch
from demjax.spread import spread_over, use_cores
from demjax.sweep import grid, sweep
from demjax.task import classification

__version__ = "0.1.0"

__all__ = [
    "Algorithm",
    "ClientData",
    "Hierarchy",
    "History",
    "LocalTraining",
    "Measures",
    "Models",
    "Pull",
    "Task",
    "classification",
    "data",
    "demlearn",
    "fedavg",
    "fedprox",
    "grid",
    "hierarchy",
    "linkage",
    "local_only",
    "local_training",
    "measure",
    "metrics",
    "models",
    "plots",
    "simulate",
    "spread_over",
    "structure",
    "sweep",
    "use_cores",
    "watch",
]
