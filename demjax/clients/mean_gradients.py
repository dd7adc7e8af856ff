"""Local training against control variates, which become the means of the gradients met."""

from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.own_steps import optimizer_step, with_memories


def train_with_variates(
    local: LocalTraining,
    key: PRNGKeyArray,
    models: Params,
    clients: ClientData,
    variates: Params,
    variate: Params,
    cohort: participation.Cohort = None,
) -> tuple[Params, Params, Float[Array, " N"]]:
    """Steps of the local optimizer on ``g_n − c_n + c``, and the mean of each client's ``g_n``.

    Unlike the gradients of ``LocalTraining.train``, those of all epochs count, and every step's
    alike, however many examples its batch has: it is ``(start − end) / (K η)`` of plain SGD, less
    ``c − c_n``.

    Args:
        local: How clients train.
        key: The round's.
        models: Where they start, leaves ``[N, ...]``.
        clients: Everybody's data.
        variates: ``c_n``, leaves ``[N, ...]``.
        variate: ``c``, a plain pytree of one model.
        cohort: Who trains; all others keep their variates.

    Returns:
        The models, the means in the place of the variates, and the losses as of
        ``LocalTraining.train``.
    """
    remember, _ = with_memories(local, 0)

    def enter(state):
        model, own = state
        correction = jax.tree.map(lambda c, c_n: c - c_n, variate, own)
        nothing = jax.tree.map(jnp.zeros_like, model)
        return remember((model, correction, nothing, jnp.int32(0)))

    def step(now, batch, slope):
        (model, correction, total, made), (memory,) = now
        loss, gradient, after = slope(model, batch)
        total = jax.tree.map(jnp.add, total, gradient)
        corrected = jax.tree.map(jnp.add, gradient, correction)
        model, memory = optimizer_step(local, (model, memory), corrected, after)
        return ((model, correction, total, made + 1), (memory,)), loss

    def leave(now):
        (model, _, total, made), _ = now
        return model, jax.tree.map(lambda t: (t / jnp.maximum(made, 1)).astype(t.dtype), total)

    steps, begin = cast(Callable, local.steps), (models, variates)
    (models, variates), loss = steps(
        key, begin, clients, step, cohort=cohort, around=(enter, leave)
    )
    return models, variates, loss
