"""A server's mean of what a round's clients send, each counted once or by its examples."""

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from demjax.base import ClientData, Params
from demjax.clients import participation
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average, mean_by_examples


def server_mean(
    models: Params,
    clients: ClientData,
    cohort: participation.Cohort,
    weighting: Weighting,
    *,
    average: Average | None,
    reference: Params,
    key: PRNGKeyArray,
) -> Params:
    """One model of a round's cohort, a plain pytree: ``Σ_n v_n w_n / Σ_n v_n``.

    Args:
        models: One model for each client, leaves ``[N, ...]``.
        clients: Everybody's data.
        cohort: Whose models count.
        weighting: ``"clients"``: ``v_n = 1``; ``"examples"``: ``v_n`` are the training examples.
        average: What takes the place of the mean; ``None`` for the mean.
        reference: The single model that is replaced.
        key: The round's.
    """
    if weighting == "clients":
        clients = clients._replace(train_size=jnp.ones_like(clients.train_size))
    return mean_by_examples(models, clients, cohort, average=average, reference=reference, key=key)
