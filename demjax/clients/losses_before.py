"""Clients' losses at a model that is not theirs, before they train it."""

from typing import Any, cast

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining


def losses_at(
    local: LocalTraining,
    key: PRNGKeyArray,
    model: Params,
    clients: ClientData,
    cohort: participation.Cohort = None,
) -> Float[Array, " N"]:
    """The mean loss of one model on each client's training examples, in one pass over them.

    It is the loss that training begins with: in training mode, so with dropout where there is any.

    Args:
        local: How clients train; they go through the batches of its first epoch.
        key: The round's.
        model: The model, a plain pytree.
        clients: Everybody's data.
        cohort: Whose losses are asked for; those of all others are NaN.
    """

    def step(nothing, batch, slope):
        return nothing, slope(model, batch)[0]  # no gradient is asked for, none is computed

    nothing = jnp.zeros(clients.n_clients)
    steps = cast(Any, local.steps)
    _, losses = steps(key, nothing, clients, step, cohort=cohort, epochs=1)
    return losses
