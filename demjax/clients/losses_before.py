"""Clients' losses at a model that is not theirs, before they train it."""

from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax.base import ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.pytrees import as_pytree, each_array


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


def losses_at_each(
    local: LocalTraining,
    key: PRNGKeyArray,
    models: Params,
    clients: ClientData,
    cohort: participation.Cohort = None,
) -> Float[Array, " N A"]:
    """The mean loss of each of some models on each client's training examples, in one pass.

    No client has a copy of them. All else is as in ``losses_at``.

    Args:
        local: How clients train; they go through the batches of its first epoch.
        key: The round's.
        models: Stacked models, leaves ``[A, ...]``.
        clients: Everybody's data.
        cohort: Whose losses are asked for; those of all others are NaN.
    """
    plain, count = as_pytree(models), models.count

    def step(sums, batch, slope):
        each = lax.map(lambda model: slope(model, batch)[0], plain)
        return sums + jnp.sum(batch.weight) * each, each[0]

    nothing = jnp.zeros((clients.n_clients, count))
    sums, met = cast(Any, local.steps)(key, nothing, clients, step, cohort=cohort, epochs=1)
    mean = sums / jnp.maximum(clients.train_size, 1)[:, None]
    return jnp.where(jnp.isnan(met)[:, None], jnp.nan, mean)


def gradients_at(
    local: LocalTraining,
    key: PRNGKeyArray,
    models: Params,
    which: Int[Array, " N"],
    clients: ClientData,
    cohort: participation.Cohort = None,
) -> tuple[Params, Float[Array, " N"]]:
    """The gradient of each client's mean loss at one of some models, and that loss.

    Args:
        local: How clients train; they go through the batches of its first epoch.
        key: The round's.
        models: Stacked models, leaves ``[A, ...]``.
        which: The model that is each client's.
        clients: Everybody's data.
        cohort: Whose gradients are asked for; those of all others are 0, and their losses NaN.

    Returns:
        Gradients as stacked models, leaves ``[N, ...]``, and the losses.
    """
    plain, count = as_pytree(models), clients.n_clients
    nothing = jax.tree.map(jnp.zeros_like, models.gather(jnp.zeros(count, jnp.int32)))

    def step(now, batch, slope):
        total, own = now
        loss, gradient, _ = slope(jax.tree.map(lambda leaf: leaf[own], plain), batch)
        part = jnp.sum(batch.weight)
        return (jax.tree.map(lambda t, g: t + part * g, total, gradient), own), loss

    begin = nothing, which
    (total, _), loss = cast(Any, local.steps)(key, begin, clients, step, cohort=cohort, epochs=1)
    size = jnp.maximum(clients.train_size, 1).astype(jnp.float32)

    def mean(leaf):
        return (leaf / size.reshape(-1, *[1] * (leaf.ndim - 1))).astype(leaf.dtype)

    return each_array(mean, total), loss
