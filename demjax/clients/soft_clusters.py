"""Examples that belong to several models at once, each to some part, and training on such parts.

Guo, Tang and Lin, *FedRC*, ICML 2024, arXiv 2301.12379.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.own_steps import optimizer_step, with_memories
from demjax.clients.step import Batch
from demjax.pytrees import as_pytree

LEAST = 1e-8
"""The least share of a label in a cluster."""


class Mixture(NamedTuple):
    """Models, and how much each is whose.

    Attributes:
        models: Stacked models, leaves ``[K, ...]``.
        omega: What of each client is each model's, 0 to 1; the ``K`` of a client add up to 1.
        labels: The share of each label in what is each model's; the ``Y`` of a model add up to 1.
    """

    models: Params
    omega: Float[Array, " N K"]
    labels: Float[Array, " K Y"]


def responsibilities(
    local: LocalTraining, mixture: Mixture, omega: Float[Array, " K"], batch: Batch
) -> Float[Array, " K B"]:
    """What of each example is each model's: ``γ_k = ω_k I_k / Σ_n ω_n I_n``.

    ``I_k = exp(−f(x, y; φ_k)) / C_{y;k}``, with losses ``f`` of evaluation mode.

    Args:
        local: Says what the losses are.
        mixture: The models and their shares of labels.
        omega: Those of one client.
        batch: Some of its examples.
    """
    predict, losses = cast(Callable, local.predict), cast(Callable, local.losses)
    loss = lax.map(lambda model: losses(predict(model, batch.x), batch.y), mixture.models)
    share = jnp.log(jnp.maximum(mixture.labels, LEAST))[:, batch.y]
    return jax.nn.softmax(jnp.log(jnp.maximum(omega, 1e-30))[:, None] - loss - share, axis=0)


def expected(
    local: LocalTraining,
    key: PRNGKeyArray,
    mixture: Mixture,
    clients: ClientData,
    cohort: participation.Cohort = None,
) -> Mixture:
    """The mixture once what of each example is whose is known, its models as they are.

    ``ω_ik = Σ_j γ_ijk / m_i`` of the cohort; all others keep theirs. ``C_{y;k}`` is the part of
    ``Σ_ij γ_ijk`` whose label is ``y``, over the cohort.
    """
    plain = mixture._replace(models=as_pytree(mixture.models))
    kinds, classes = mixture.labels.shape

    def step(now, batch, slope):
        omega, total = now
        part = responsibilities(local, plain, omega, batch) * batch.weight
        total = total + part @ jax.nn.one_hot(batch.y, classes)
        return (omega, total), jnp.float32(0)

    begin = mixture.omega, jnp.zeros((clients.n_clients, kinds, classes))
    steps = cast(Any, local.steps)
    (_, total), _ = steps(key, begin, clients, step, cohort=cohort, epochs=1)
    size = jnp.maximum(clients.train_size, 1)[:, None]
    omega = participation.kept(mixture.omega, cohort, jnp.sum(total, axis=2) / size)
    labels = jnp.maximum(jnp.sum(total, axis=0), LEAST)
    return Mixture(mixture.models, omega, labels / jnp.sum(labels, axis=1, keepdims=True))


def train_part(
    local: LocalTraining,
    key: PRNGKeyArray,
    begin: Params,
    mixture: Mixture,
    number: Any,
    clients: ClientData,
    cohort: participation.Cohort = None,
) -> tuple[Params, Float[Array, " N"]]:
    """Local training on the part of each example that is one model's.

    The gradient of a batch of ``B`` is ``Σ_j γ_jk ∇f(x_j, y_j; w) / B``; the ``γ`` are those of the
    mixture, whatever becomes of ``w``.

    Args:
        local: How clients train.
        key: The round's.
        begin: Where they start, leaves ``[N, ...]``.
        mixture: What of their examples is whose.
        number: ``k``, the model.
        clients: Everybody's data.
        cohort: Who trains.

    Returns:
        The models, and their losses, each example counted by its part.
    """
    plain = mixture._replace(models=as_pytree(mixture.models))

    def step(now, batch, slope):
        (model, omega), (memory,) = now
        part = responsibilities(local, plain, omega, batch)[number] * batch.weight
        total, count = jnp.sum(part), jnp.maximum(jnp.sum(batch.weight), 1)
        # As many examples in all as there are, since a loss is their mean.
        loss, gradient, after = slope(
            model, batch._replace(weight=part * count / jnp.maximum(total, 1e-30))
        )
        gradient = jax.tree.map(lambda leaf: leaf * (total / count), gradient)
        model, memory = optimizer_step(local, (model, memory), gradient, after)
        return ((model, omega), (memory,)), loss

    steps, around = cast(Any, local.steps), with_memories(local, 0)
    (models, _), loss = steps(
        key, (begin, mixture.omega), clients, step, cohort=cohort, around=around
    )
    return models, loss
