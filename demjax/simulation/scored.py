"""The models that are scored: those that an algorithm has then, and what clients still do first."""

from typing import Any

from jaxtyping import PRNGKeyArray

from demjax import keys
from demjax.base import Algorithm, ClientData, Models


def scored_models(
    algorithm: Algorithm, key: PRNGKeyArray, state: Any, clients: ClientData
) -> Models:
    """The models of a state as they are scored: fine-tuned first, where the algorithm says so.

    Args:
        algorithm: Whose models they are.
        key: The run's.
        state: After any round.
        clients: Everybody's data.
    """
    models = algorithm.models(state)
    if algorithm.before_scoring is None:
        return models
    return algorithm.before_scoring(keys.for_fine_tuning(key), models, clients)
