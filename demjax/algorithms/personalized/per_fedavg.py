"""Per-FedAvg: a global model from which one step on a client's data leads to a good personal one.

Fallah, Mokhtari and Ozdaglar, *Personalized Federated Learning with Theoretical Guarantees: A
Model-Agnostic Meta-Learning Approach*, NeurIPS 2020, arXiv 2002.07948, algorithm 1.
"""

from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.own_steps import (
    adaptation,
    gradient_step,
    optimizer_step,
    where,
    with_memories,
)
from demjax.clients.sending import sent
from demjax.hierarchy.groups import under_one_root
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import ServerOptimizer, server_step
from demjax.hierarchy.server_mean import server_mean
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS, Number, Range

DELTA = 1e-3
"""``δ``, half the way between the two gradients whose difference stands for the Hessian."""


class PerFedAvgState(NamedTuple):
    """What the next round needs.

    Attributes:
        client: What each client last trained, leaves ``[N, ...]``.
        server: The global model.
        optimizer: The server optimizer's state.
    """

    client: Params
    server: Params
    optimizer: Any


@ALGORITHMS.register(label="Per-FedAvg", paper="Fallah et al., NeurIPS 2020, arXiv 2002.07948")
def per_fedavg(
    local: LocalTraining,
    *,
    order: Literal["first", "hessian-free"] = "first",
    personal_lr: Annotated[Number, Range(0, 1e3)] = 0.01,
    personal_steps: Annotated[int, Range(1)] = 1,
    server_optimizer: ServerOptimizer = None,
    weighting: Weighting = "clients",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: Literal["personal", "averaged"] = "personal",
) -> Algorithm:
    """Train what is left of the loss after a step of adaptation, and average.

    In a round every client starts from the global model. Two consecutive batches ``D, D'`` of its
    local training, or three with ``D''``, make one step of ``w_n`` together:

    1. ``w̃ = w_n − α ∇f(w_n; D)``;
    2. ``first`` order: ``w_n ← w_n − β g`` with ``g = ∇f(w̃; D')``;
    3. ``hessian-free``: ``w_n ← w_n − β (g − α H)`` instead, with
       ``H = (∇f(w_n + δ g; D'') − ∇f(w_n − δ g; D'')) / 2δ`` in the place of ``∇²f(w_n; D'') g``.

    Then ``w ← mean_n w_n``. Batches that are left at the end of a round, one or two, change
    nothing: who has no more of them in all sends back what it was sent.

    Args:
        local: How clients train: the epochs and batches they go through, and the optimizer of
            ``w_n``, at the rate ``β``; the paper's is SGD, on MNIST at .001.
        order: Whether second derivatives are left out, or found by two more gradients.
        personal_lr: ``α``, the rate of adaptation, 0 or more.
        personal_steps: Steps of adaptation before models are scored, a batch each and no more
            than a client has, at least 1; the paper's is 1.
        server_optimizer: What takes the mean's place, or its name; by default the mean.
        weighting: What counts in the mean: ``clients`` alike, as in the paper, or ``examples``.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; by default
            everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``.
        measure_at: What is scored as the clients' models: the global one after each adapted it to
            its own training examples, ``personal``, or before, ``averaged``.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If a number is out of its range, or there is no such order.
    """
    server = server_step("Per-FedAvg's server", local, server_optimizer)
    batches_of_a_step = 2 if order == "first" else 3
    optimizing, _ = with_memories(local, 0)

    def init(key: PRNGKeyArray, clients: ClientData) -> PerFedAvgState:
        model = local.init(key)
        return PerFedAvgState(stack_copies(model, clients.n_clients), model, server.init(model))

    def enter(state):
        return *optimizing(state), state[0], jnp.int32(0)

    def step(now, batch, slope):
        ((model,), (memory,), held, place) = now  # held is w, then w̃, then g
        last = place == batches_of_a_step - 1
        forward = gradient_step(local, model, held, model, -DELTA)
        at = where(place == 2, forward, where(place == 1, held, model))
        loss, gradient, after = slope(at, batch)
        outer = gradient
        if order == "hessian-free":
            backward = gradient_step(local, model, held, model, DELTA)
            nothing = jax.tree.map(jnp.zeros_like, held)
            other = lax.cond(last, lambda: slope(backward, batch)[1], lambda: nothing)
            rate = personal_lr / (2 * DELTA)
            parts = held, gradient, other
            outer = jax.tree.map(lambda g, ahead, behind: g - rate * (ahead - behind), *parts)
        adapted = gradient_step(local, model, gradient, after, personal_lr)
        held = where(place == 0, adapted, gradient)
        new = optimizer_step(local, (model, memory), outer, after)
        model, memory = where(last, new, (model, memory))
        return ((model,), (memory,), held, (place + 1) % batches_of_a_step), loss

    def one_round(
        key: PRNGKeyArray, state: PerFedAvgState, clients: ClientData
    ) -> tuple[PerFedAvgState, TrainingInfo]:
        who = participation.draw(key, clients.n_clients, cohort)
        begin = sent(local, state.client, state.server, who)
        around = enter, lambda now: now[0]
        (client,), loss = local.steps(key, (begin,), clients, step, cohort=who, around=around)
        mean = server_mean(
            client, clients, who, weighting, average=average, reference=state.server, key=key
        )
        model, memory = server.step(state.server, state.optimizer, mean)
        return PerFedAvgState(client, model, memory), TrainingInfo(loss)

    def models(state: PerFedAvgState) -> Models:
        return under_one_root(sent(local, state.client, state.server), state.server)

    before = adaptation(local, personal_lr, personal_steps) if measure_at == "personal" else None
    return Algorithm(init, one_round, models, before, measure_at)
