"""What some algorithms need of a model that ``tiny``'s has not, and how they are asked on it."""

import normalized
import tiny

OPTIONS = {name: {"head_layers": ("b",)} for name in ("demlearn_rep", "fedala", "fedper", "fedrep")}
"""By algorithm: of arrays in no layer, which are its head; no draw of some examples;
and clusters that are found within two rounds."""
OPTIONS["fedala"] |= {"sampled": 100.0}
OPTIONS["fl_hc"] = {"rounds_before": 1}
OPTIONS["cfl"] = {"eps1": 9.0, "eps2": 0.0, "split_after": 1}
OPTIONS["demlearn_rep"] |= {"whole_rounds": 1}
TASKS = {"fedbn": normalized.task}
"""By algorithm: a model of several layers, with batch normalization."""


def task_of(name, **options):
    """The smallest task that an algorithm takes."""
    return TASKS[name]() if name in TASKS else tiny.task(**options)
