"""Fine-tuning: what clients make of their models before these are scored, and then forget."""

from collections.abc import Callable

from jaxtyping import PRNGKeyArray

from demjax.base import ClientData, Models
from demjax.clients.local_training import LocalTraining
from demjax.registry import check_number


def fine_tuning(
    local: LocalTraining, epochs: int
) -> Callable[[PRNGKeyArray, Models, ClientData], Models]:
    """Local training of every client, whether it took part or not, from the model that it holds.

    For ``Algorithm.before_scoring``: groups' models stay, and so does what the next round begins
    from.

    Args:
        local: How clients train on their own.
        epochs: Passes over a client's training examples, at least 1.

    Raises:
        ValueError: If there is no epoch.
    """
    check_number("Fine-tuning", "epochs", epochs, 1)

    def before_scoring(key: PRNGKeyArray, models: Models, clients: ClientData) -> Models:
        client, _ = local.train(key, models.client, clients, epochs=epochs)
        return models._replace(client=client)

    return before_scoring
