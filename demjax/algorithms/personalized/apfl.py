"""APFL: each client mixes a model of its own with the global one, and trains the mixture.

Deng, Kamani and Mahdavi, *Adaptive Personalized Federated Learning*, 2020, arXiv 2003.13461,
algorithm 1 and equation 10.
"""

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.own_steps import optimizer_step, with_memories
from demjax.clients.sending import sent
from demjax.hierarchy.groups import under_one_root
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server_mean import server_mean
from demjax.pytrees import each_array, stack_copies
from demjax.registry import ALGORITHMS, Number, Range, Share


class APFLState(NamedTuple):
    """What the next round needs.

    Attributes:
        own: Each client's own part ``v_n``, leaves ``[N, ...]``; it never leaves the client.
        alpha: What of the mixture it is, ``α_n``.
        server: The global model.
    """

    own: Params
    alpha: Float[Array, " N"]
    server: Params


@ALGORITHMS.register(label="APFL", paper="Deng et al., 2020, arXiv 2003.13461")
def apfl(
    local: LocalTraining,
    *,
    alpha: Share = 0.5,
    alpha_lr: Annotated[Number, Range(0, 1e3)] = 0.0,
    weighting: Weighting = "clients",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: Literal["personal", "averaged"] = "personal",
) -> Algorithm:
    """Train a mixture of an own and a global model, and average the latter.

    In a round every client starts from the global model, ``w_n = w``, and its own ``v_n``. For each
    batch of its local training, with its loss ``f`` and ``v̄_n = α_n v_n + (1 − α_n) w_n``, all at
    once from what was there before:

    1. ``w_n ← w_n − η ∇f(w_n)``;
    2. ``v_n ← v_n − η α_n ∇f(v̄_n)``, the mixture's gradient as ``v_n`` has it;
    3. if ``α`` adapts, ``α_n ← α_n − ρ ⟨∇f(v̄_n), v_n − w_n⟩``, kept within 0 and 1.

    At last ``w ← mean_n w_n``. Scored is ``v̄_n``, of the own model and the new global one.

    Args:
        local: How clients train, for both models.
        alpha: ``α``, 0 to 1, which clients begin with; with 0 this is federated averaging, with 1
            local training.
        alpha_lr: ``ρ``, the rate at which it adapts, 0 or more; by default it stays. The paper's
            adaptive one is the rate of local training.
        weighting: What counts in the mean: ``clients`` alike, as in the paper, or ``examples``.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; all others keep
            their own models. By default everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``.
        measure_at: What is scored as the clients' models: their ``personal`` ones, ``v̄_n``, or the
            global one for each, ``averaged``.

    Returns:
        The algorithm; its client models are the personal ones, under one root, the global model.

    Raises:
        ValueError: If a number is out of its range.
    """
    adapts = not isinstance(alpha_lr, int | float) or alpha_lr != 0  # what is traced may be any

    def init(key: PRNGKeyArray, clients: ClientData) -> APFLState:
        count, model = clients.n_clients, local.init(key)
        return APFLState(stack_copies(model, count), jnp.full(count, alpha, jnp.float32), model)

    def step(state, batch, slope):
        (share, own, shared), (memory, of_shared) = state
        mixture = jax.tree.map(lambda w, v: (1 - share) * w + share * v, shared, own)
        loss, gradient, after = slope(mixture, batch)
        _, gradient_of_shared, shared_after = slope(shared, batch)
        adapted = share
        if adapts:
            products = jax.tree.map(lambda g, v, w: jnp.sum(g * (v - w)), gradient, own, shared)
            towards = sum(jax.tree.leaves(products))
            adapted = jnp.clip(share - alpha_lr * towards, 0.0, 1.0)
        scaled = jax.tree.map(lambda g: share * g, gradient)
        own, memory = optimizer_step(local, (own, memory), scaled, after)
        shared, of_shared = optimizer_step(
            local, (shared, of_shared), gradient_of_shared, shared_after
        )
        return ((adapted, own, shared), (memory, of_shared)), loss

    def one_round(
        key: PRNGKeyArray, state: APFLState, clients: ClientData
    ) -> tuple[APFLState, TrainingInfo]:
        who = participation.draw(key, clients.n_clients, cohort)
        begin = state.alpha, state.own, sent(local, state.own, state.server)
        (share, own, shared), loss = local.steps(
            key, begin, clients, step, cohort=who, around=with_memories(local, 1, 2)
        )
        server = server_mean(
            shared, clients, who, weighting, average=average, reference=state.server, key=key
        )
        return APFLState(own, share, server), TrainingInfo(loss)

    def models(state: APFLState) -> Models:
        client = sent(local, state.own, state.server)
        if measure_at == "personal":

            def mixed(w, v):
                share = state.alpha.reshape(-1, *[1] * (v.ndim - 1))
                return ((1 - share) * w + share * v).astype(v.dtype)

            client = local.begin(state.own, each_array(mixed, client, state.own))
        return under_one_root(client, state.server)

    return Algorithm(init, one_round, models, moment=measure_at)
