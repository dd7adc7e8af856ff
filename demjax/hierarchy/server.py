"""A server: what it makes of the mean of what clients send, and when their models are scored."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from demjax.base import Models, Params
from demjax.clients.fine_tuning import fine_tuning
from demjax.clients.local_training import LocalTraining
from demjax.clients.optimizers import of_gradients
from demjax.clients.sending import sent
from demjax.hierarchy.groups import under_one_root
from demjax.pytrees import difference, select
from demjax.registry import OPTIMIZERS, Range, Slot

ServerOptimizer = Annotated[
    optax.GradientTransformation | str | None,
    Slot(OPTIMIZERS, prefix="server_", defaults={"lr": 1.0}, inferred=True, table="algorithm"),
]
ServerMoment = Literal["trained", "averaged", "fine-tuned"]
"""When clients' models are scored: right after local training; once they were sent the average; or
after that and some epochs of training more, which are forgotten then."""
Epochs = Annotated[int, Range(1)]


class ServerStep(NamedTuple):
    """How a server goes on from a mean.

    Attributes:
        init: ``(model) -> memory``.
        step: ``(model, memory, mean) -> (model, memory)``.
    """

    init: Callable[[Params], Any]
    step: Callable[[Params, Any, Params], tuple[Params, Any]]


def server_step(
    whose: str, local: LocalTraining, optimizer: optax.GradientTransformation | str | None
) -> ServerStep:
    """The mean as it is; or an optimizer's step, which is given ``w − mean`` as its gradient.

    State that is no parameter, such as batch statistics, is the mean as it is: a variance that is
    stepped would not stay above 0.

    Args:
        whose: Whose server it is, for sentences.
        local: Says which leaves are such state.
        optimizer: Any of Optax's whose steps are made of gradients alone; ``None`` for the mean.

    Source: Reddi et al., ICLR 2021, arXiv 2003.00295, algorithm 1.
    """
    if optimizer is None:
        return ServerStep(lambda model: (), lambda model, memory, mean: (mean, memory))
    server = of_gradients(whose, cast(optax.GradientTransformation, optimizer))

    def step(model: Params, memory: Any, mean: Params) -> tuple[Params, Any]:
        gradient, parameters = difference(model, mean), None
        if local.state is not None:
            parameters = jax.tree.map(lambda is_state: not is_state, local.state(mean))
            gradient = select(parameters, gradient, jax.tree.map(jnp.zeros_like, gradient))
        updates, memory = server.update(gradient, memory, model)
        new = optax.apply_updates(model, updates)
        return new if parameters is None else select(parameters, new, mean), memory

    return ServerStep(server.init, step)


class Scored(NamedTuple):
    """What is scored of a system with a server, as ``Algorithm`` has it.

    Attributes:
        models: ``(client, server) -> Models``.
        before_scoring: What clients still do first, or ``None``.
        moment: The name of the moment.
    """

    models: Callable[[Params, Params], Models]
    before_scoring: Callable | None
    moment: str


def scored_at(
    local: LocalTraining, moment: ServerMoment, fine_tune_epochs: Epochs | None = None
) -> Scored:
    """The models of clients and a server at a moment.

    Args:
        local: How clients train, also when they fine-tune.
        moment: ``trained``: what each last trained, which with a cohort may be long ago;
            ``averaged``: the global model, for each client; ``fine-tuned``: after training this.
        fine_tune_epochs: For the last, at least 1; by default 1.

    Raises:
        ValueError: If epochs are given for another moment, or there are none.
    """
    tuned = moment == "fine-tuned"
    if fine_tune_epochs is not None and not tuned:
        raise ValueError(
            f"Models that are measured at {moment!r} take no fine_tune_epochs; possible is "
            "measure_at='fine-tuned'."
        )

    def models(client: Params, server: Params) -> Models:
        client = client if moment == "trained" else sent(local, client, server)
        return under_one_root(client, server)

    before = fine_tuning(local, fine_tune_epochs or 1) if tuned else None
    return Scored(models, before, moment)
