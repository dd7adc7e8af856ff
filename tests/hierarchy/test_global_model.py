"""A global model's training in the memory of a chunk, and with every client's model."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import local_training
from demjax.clients.proximal import near
from demjax.hierarchy.global_model import global_model

CLIENTS = tiny.clients()
KEY = jax.random.key(43)
LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
WEIGHT = np.array([3.0, 1.0, 0.5, 2.0, 1.0, 4.0, 0.0, 1.0])
COUNT = len(tiny.SIZES)


@pytest.mark.parametrize("cohort", [None, (1, 3, 4, 7)])
@pytest.mark.parametrize("prox", [0.0, 0.8])
@pytest.mark.parametrize("moment", ["trained", "averaged"])
def test_the_mean_is_weighted_and_that_of_a_loop(moment, prox, cohort):
    trained, model = global_model(LOCAL, measure_at=moment), LOCAL.init(KEY)
    term = near(model, COUNT, prox) if prox else None
    who = None if cohort is None else jnp.array(cohort)
    before = trained.init(model, COUNT)
    held, mean, loss = trained.train(KEY, before, model, CLIENTS, who, WEIGHT, term)
    chosen, start = list(cohort or range(COUNT)), tiny.float64(model)
    found = [
        tiny.learn(KEY, start, CLIENTS, n, anchors=[(prox, start)] if prox else []) for n in chosen
    ]
    share = WEIGHT[chosen] / WEIGHT[chosen].sum()
    tiny.close(mean, tiny.combine(*zip(share, [own for own, _ in found], strict=True)))
    np.testing.assert_allclose(np.asarray(loss)[chosen], [of for _, of in found], rtol=5e-5)
    assert np.isnan(loss).sum() == COUNT - len(chosen)
    if moment == "trained":
        own = [start] * COUNT
        for n, (learned, _) in zip(chosen, found, strict=True):
            own[n] = learned
        tiny.close(tiny.unstack(held.models), own)
    else:
        assert held.models == ()
        own = [tiny.float64(mean)] * COUNT
    tiny.close(tiny.unstack(trained.models(held, mean).client), own)


def test_a_robust_mean_is_asked_with_the_weights():
    seen = []

    def last(models, weight, *, reference, key):
        seen.append(np.asarray(weight))
        return jax.tree.map(lambda leaf: leaf[-1:], models)

    trained = global_model(LOCAL, measure_at="averaged", average=last)
    model = LOCAL.init(KEY)
    held = trained.init(model, COUNT)
    _, mean, _ = trained.train(KEY, held, model, CLIENTS, jnp.array([2, 5]), WEIGHT)
    np.testing.assert_allclose(seen, [[[0.5, 4.0]]])
    tiny.close(mean, tiny.learn(KEY, tiny.float64(model), CLIENTS, 5)[0])
