"""A global model: a round's clients train it, and a weighted mean of what they make of it is taken.

Client models are held between rounds only where something asks for them: where they are scored as
they were trained, or where they keep state of their own.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from demjax.base import Hierarchy, Models, Params
from demjax.clients.local_training import LocalTraining
from demjax.clients.sending import sent
from demjax.hierarchy.groups import root_only
from demjax.hierarchy.robust_means import Average, mean_by_examples
from demjax.hierarchy.server import Epochs, ServerMoment, scored_at
from demjax.pytrees import stack_copies


class Held(NamedTuple):
    """What is held of clients between rounds.

    Attributes:
        models: What each last trained, leaves ``[N, ...]``; ``()`` where nothing asks for it.
        hierarchy: Everyone under one root.
    """

    models: Params
    hierarchy: Hierarchy


class GlobalModel(NamedTuple):
    """How clients train a global model, and what is scored of them.

    Attributes:
        init: ``(model, N) -> held``: before any round.
        train: ``(key, held, model, clients, cohort, weight[N], proximal=None)
            -> (held, mean, loss[N])``: the cohort's training from the model, and the mean of its
            models, ``Σ_n v_n w_n / Σ_n v_n`` with the weights ``v``. Without a proximal term, a
            robust average and held models it takes the memory of a chunk of clients.
        own: ``(held, model) -> models``: client models ``[N, ...]``: those that are held, or else
            the global one for each.
        keep: ``(held, models) -> held``: client models once they have trained, if they are held.
        models: ``(held, model) -> Models``, as of ``Algorithm``.
        before_scoring: As of ``Algorithm``.
        moment: When clients' models are scored.
    """

    init: Callable[[Params, int], Held]
    train: Callable[..., tuple[Held, Params, Float[Array, " N"]]]
    own: Callable[[Held, Params], Params]
    keep: Callable[[Held, Params], Held]
    models: Callable[[Held, Params], Models]
    before_scoring: Callable | None
    moment: str


def global_model(
    local: LocalTraining,
    *,
    measure_at: ServerMoment,
    fine_tune_epochs: Epochs | None = None,
    average: Average | None = None,
) -> GlobalModel:
    """Training of a global model in no more memory than the moment of scoring needs.

    Args:
        local: How clients train on their own.
        measure_at: When clients' models are scored, as in ``server.scored_at``.
        fine_tune_epochs: For the moment ``fine-tuned``, at least 1.
        average: What takes the place of the mean; ``None`` for the mean.

    Raises:
        ValueError: If epochs are given for another moment.
    """
    scored = scored_at(local, measure_at, fine_tune_epochs)
    holds = measure_at == "trained" or local.state is not None

    def init(model: Params, count: int) -> Held:
        return Held(stack_copies(model, count) if holds else (), root_only(count, 0, 1))

    def own(held: Held, model: Params) -> Params:
        return held.models if holds else stack_copies(model, held.hierarchy.groups.shape[1])

    def keep(held: Held, client: Params) -> Held:
        return held._replace(models=client) if holds else held

    def train(key, held, model, clients, cohort, weight, proximal=None):
        weight = jnp.asarray(weight, jnp.float32)
        alone = average is None and proximal is None and local.mean is not None
        if alone and not holds:
            mean, loss = local.mean(key, model, clients, weight, cohort)
            return held, mean, loss
        start = sent(local, own(held, model), model, cohort)
        client, loss = local.train(key, start, clients, proximal, cohort=cohort)
        weighted = clients._replace(train_size=weight)
        mean = mean_by_examples(client, weighted, cohort, average=average, reference=model, key=key)
        return keep(held, client), mean, loss

    def models(held: Held, model: Params) -> Models:
        return scored.models(own(held, model), model)

    return GlobalModel(init, train, own, keep, models, scored.before_scoring, scored.moment)
