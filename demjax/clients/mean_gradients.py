"""Local training that also tells the mean of all gradients that each client met on its way."""

from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.own_steps import optimizer_step, with_memories
from demjax.pytrees import each_array


def train_with_mean_gradients(
    local: LocalTraining,
    key: PRNGKeyArray,
    models: Params,
    clients: ClientData,
    correction: Params,
    cohort: participation.Cohort = None,
) -> tuple[Params, Params, Float[Array, " N"]]:
    """Steps of the local optimizer on corrected gradients, and the mean of these as they were.

    Unlike the gradients of ``LocalTraining.train``, those of all epochs count, and every step's
    alike, however many examples its batch has: it is ``(start − end) / (K η)`` of plain SGD, less
    the correction.

    Args:
        local: How clients train.
        key: The round's.
        models: Where they start, leaves ``[N, ...]``.
        clients: Everybody's data.
        correction: Added to every gradient of a client, leaves ``[N, ...]``.
        cohort: Who trains; the gradients of all others are 0.

    Returns:
        The models, the means, and the losses as of ``LocalTraining.train``.
    """

    def step(now, batch, slope):
        (model, correction, total), (memory,) = now
        loss, gradient, after = slope(model, batch)
        total = jax.tree.map(jnp.add, total, gradient)
        corrected = jax.tree.map(jnp.add, gradient, correction)
        model, memory = optimizer_step(local, (model, memory), corrected, after)
        return ((model, correction, total), (memory,)), loss

    begin, around = (
        (models, correction, each_array(jnp.zeros_like, models)),
        with_memories(local, 0),
    )
    steps = cast(Callable, local.steps)
    states, loss = steps(key, begin, clients, step, cohort=cohort, around=around)
    made = cast(Callable, local.batches)(clients, key=key).astype(jnp.float32)

    def per_step(sums):
        return (sums / made.reshape(-1, *[1] * (sums.ndim - 1))).astype(sums.dtype)

    return states[0], each_array(per_step, states[2]), loss
