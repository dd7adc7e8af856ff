"""Random models of few clients in two levels of groups, to be measured in loops."""

import jax.numpy as jnp
import numpy as np
import tiny

from demjax.base import NO_GROUP, Hierarchy, Models
from demjax.tasks.classification import cross_entropy

SLOTS = 3
GROUPS = np.array([[0, 1, 0, 2, NO_GROUP, 1, 2, 2], [0] * 8])


def predict(params, x):
    return x @ params["w"] + params["b"]


TASK = tiny.task(dropout=False)._replace(predict=predict, losses=cross_entropy)
CLIENTS = tiny.clients()
ROWS = tiny.test_rows(CLIENTS)


def random_models(seed=0):
    rng = np.random.default_rng(seed)

    def models(*axes):
        shapes = {"b": (tiny.CLASSES,), "w": (tiny.FEATURES, tiny.CLASSES)}
        return {
            n: jnp.asarray(rng.normal(size=(*axes, *s)), jnp.float32) for n, s in shapes.items()
        }

    size = [[np.sum(row == slot) for slot in range(SLOTS)] for row in GROUPS]
    tree = Hierarchy(jnp.asarray(GROUPS, jnp.int32), jnp.asarray(size, jnp.int32))
    return Models(models(len(ROWS)), models(*GROUPS.shape[:1], SLOTS), tree)
