"""Model-contrastive learning: representations near the global model's, away from one's last.

Li, He and Song, *Model-Contrastive Federated Learning*, CVPR 2021, arXiv 2103.16257.
"""

from collections.abc import Callable
from typing import Annotated, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.own_steps import optimizer_step, with_memories
from demjax.clients.sending import sent
from demjax.hierarchy.robust_means import Average, mean_by_examples
from demjax.hierarchy.server import Epochs, ServerMoment, scored_at
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS, Number, Range


class MoonState(NamedTuple):
    """What the next round needs.

    Attributes:
        client: What each client last trained, leaves ``[N, ...]``; before that the first model.
        server: The global model.
    """

    client: Params
    server: Params


@ALGORITHMS.register(label="MOON", paper="Li et al., CVPR 2021, arXiv 2103.16257")
def moon(
    local: LocalTraining,
    *,
    contrast: Annotated[Number, Range(0, 1e6)] = 5.0,
    temperature: Annotated[Number, Range(1e-6, 1e6)] = 0.5,
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train with a contrastive loss on representations, average by examples.

    Clients train from the global model on the mean over examples of ``loss + μ ℓ``,

    ``ℓ = −log e^{s(z, z_glob)/τ} / (e^{s(z, z_glob)/τ} + e^{s(z, z_prev)/τ})``,

    where ``s`` is the cosine, and ``z``, ``z_glob`` and ``z_prev`` are the representations of an
    example by the model in training, the global model, and what the client trained the last time;
    then ``w ← Σ_n m_n w_n / Σ_n m_n``, with ``m_n`` the training examples of client ``n``.

    A representation is what the model's last dense layer is given. (The paper adds a projection
    head before that layer; here models stay as they are.) All three are in training mode with the
    same dropout. Before a client has trained, its last model is the first one.

    Args:
        local: How clients train on their own.
        contrast: ``μ``, 0 or more; the paper's 5, of .1, 1, 5 and 10 that it tries.
        temperature: ``τ``, above 0; the paper's .5.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; all others keep
            their models. By default everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``; by default the mean by examples.
        measure_at: When clients' models are scored, as in ``hierarchy.server.scored_at``; by
            default the global model for each, ``averaged``.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If a number is out of its range, or the model has no representation.
    """
    if local.features is None:
        raise ValueError(
            "MOON needs a model with layers before its last dense one, whose inputs are the "
            "representation, but this model has no such thing; possible is a Flax Linen module "
            "such as an mlp or a cnn, or a Task with loss_with_features."
        )
    features = local.features
    scored = scored_at(local, measure_at, fine_tune_epochs)

    def init(key: PRNGKeyArray, clients: ClientData) -> MoonState:
        model = local.init(key)
        return MoonState(stack_copies(model, clients.n_clients), model)

    def one_round(
        key: PRNGKeyArray, state: MoonState, clients: ClientData
    ) -> tuple[MoonState, TrainingInfo]:
        def step(now, batch, slope):
            (model, previous), (memory,) = now
            near, far = features(state.server, batch), features(previous, batch)

            def of_features(own):
                nearer = (_cosine(own, near) - _cosine(own, far)) / temperature
                each = batch.weight * jax.nn.softplus(-nearer)
                return contrast * jnp.sum(each) / jnp.maximum(jnp.sum(batch.weight), 1.0)

            loss, gradient, after = slope(model, batch, of_features)
            model, memory = optimizer_step(local, (model, memory), gradient, after)
            return ((model, previous), (memory,)), loss

        who = participation.draw(key, clients.n_clients, cohort)
        start = sent(local, state.client, state.server, who)
        begin, how = (start, state.client), {"cohort": who, "around": with_memories(local, 0)}
        (client, _), loss = cast(Callable, local.steps)(key, begin, clients, step, **how)
        mean = mean_by_examples(
            client, clients, who, average=average, reference=state.server, key=key
        )
        return MoonState(client, mean), TrainingInfo(loss)

    def models(state: MoonState) -> Models:
        return scored.models(state.client, state.server)

    return Algorithm(init, one_round, models, scored.before_scoring, scored.moment)


def _cosine(one: Float[Array, " B D"], other: Float[Array, " B D"]) -> Float[Array, " B"]:
    """Cosine of each pair of rows; 0 where one of them is 0, also for the gradient."""

    def unit(rows):
        square = jnp.sum(rows**2, axis=1, keepdims=True)
        return rows * jnp.where(square > 0, jax.lax.rsqrt(jnp.maximum(square, 1e-16)), 0.0)

    return jnp.sum(unit(one) * unit(other), axis=1)
