"""What some algorithms need of a model that ``tiny``'s has not, and how they are asked on it."""

import jax
import jax.numpy as jnp
import normalized
import tiny

OPTIONS = {name: {"head_layers": ("b",)} for name in ("demlearn_rep", "fedala", "fedper", "fedrep")}
"""By algorithm: of arrays in no layer, which are its head; no draw of some examples;
and clusters that are found within two rounds."""
OPTIONS["fedala"] |= {"sampled": 100.0}
OPTIONS["fl_hc"] = {"rounds_before": 1}
OPTIONS["cfl"] = {"eps1": 9.0, "eps2": 0.0, "split_after": 1}
OPTIONS["pacfl"] = {"clusters": 3, "basis": 1}
OPTIONS["demlearn_rep"] |= {"whole_rounds": 1}


def telling():
    """``tiny``'s task that tells its outputs and the loss of each example, without dropout."""

    def losses(outputs, y):
        return jax.nn.logsumexp(outputs, axis=1) - jnp.take_along_axis(outputs, y[:, None], 1)[:, 0]

    def predict(params, x):
        return x @ params["w"] + params["b"]

    return tiny.task(dropout=False)._replace(predict=predict, losses=losses)


TASKS = {"fedbn": normalized.task, "fedrc": telling}
"""By algorithm: a model of several layers, with batch normalization; one that tells its losses."""


def task_of(name, **options):
    """The smallest task that an algorithm takes."""
    return TASKS[name]() if name in TASKS else tiny.task(**options)
