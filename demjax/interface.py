"""What ``import demjax`` offers, as one list; what is inside stays out of sight."""

from demjax import clustering, data, hierarchy, linkage, metrics, models, plots
from demjax.algorithms import *  # noqa: F403
from demjax.backend.cores import use_cores
from demjax.backend.policy import storing_models
from demjax.backend.sharding import spread_over
from demjax.base import Algorithm, ClientData, Hierarchy, Models, Task
from demjax.clients.local_training import LocalTraining, local_training
from demjax.clients.proximal import ProximalTerm
from demjax.metrics import Measures, measure
from demjax.registry import ALGORITHMS
from demjax.runs.compare_systems import compare
from demjax.runs.compared import Comparison
from demjax.runs.save import save_run
from demjax.simulation.faults import with_faults
from demjax.simulation.group_search import Groups, groups
from demjax.simulation.over_rounds import over_rounds
from demjax.simulation.plan import Plan, plan
from demjax.simulation.run import History, simulate, watch
from demjax.simulation.saving import Checkpoints
from demjax.simulation.sweep import grid, sweep
from demjax.tasks.classification import classification
from demjax.tasks.regression import regression

__all__ = [
    *ALGORITHMS,
    "Algorithm",
    "Checkpoints",
    "ClientData",
    "Comparison",
    "Groups",
    "Hierarchy",
    "History",
    "LocalTraining",
    "Measures",
    "Models",
    "Plan",
    "ProximalTerm",
    "Task",
    "classification",
    "clustering",
    "compare",
    "data",
    "grid",
    "groups",
    "hierarchy",
    "linkage",
    "local_training",
    "measure",
    "metrics",
    "models",
    "over_rounds",
    "plan",
    "plots",
    "regression",
    "save_run",
    "simulate",
    "spread_over",
    "storing_models",
    "sweep",
    "use_cores",
    "watch",
    "with_faults",
]
