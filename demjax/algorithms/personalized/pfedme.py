"""pFedMe: personal models by Moreau envelopes, around a global model that follows them.

T. Dinh et al., *Personalized Federated Learning with Moreau Envelopes*, NeurIPS 2020,
arXiv 2006.08848, algorithm 1.
"""

from typing import Annotated, Any, Literal, NamedTuple

import jax
from jax import lax
from jaxtyping import PRNGKeyArray

from demjax import keys
from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.own_steps import gradient_step, optimizer_step, with_memories
from demjax.clients.sending import sent
from demjax.hierarchy.groups import under_one_root
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import ServerOptimizer, server_step
from demjax.hierarchy.server_mean import server_mean
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS, Number, Range


class PFedMeState(NamedTuple):
    """What the next round needs, and the personal models to be measured.

    Attributes:
        personal: Each client's own model, leaves ``[N, ...]``; it never leaves the client.
        server: The global model.
        optimizer: The server optimizer's state.
    """

    personal: Params
    server: Params
    optimizer: Any


@ALGORITHMS.register(label="pFedMe", paper="T. Dinh et al., NeurIPS 2020, arXiv 2006.08848")
def pfedme(
    local: LocalTraining,
    *,
    prox: Annotated[Number, Range(0, 1e6)] = 15.0,
    personal_lr: Annotated[Number, Range(0, 1e3)] = 0.1,
    personal_steps: Annotated[int, Range(1)] = 5,
    server_optimizer: ServerOptimizer = None,
    weighting: Weighting = "clients",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: Literal["personal", "averaged"] = "personal",
) -> Algorithm:
    """Personal models near a global one, which follows where they went.

    In a round every client starts from the global model, ``w_n = θ_n = w``. For each batch ``D``
    of its local training, with the loss ``f`` of that batch:

    1. ``K`` steps of its personal model towards the least of ``f(θ_n; D) + λ/2 ‖θ_n − w_n‖²``:
       ``θ_n ← θ_n − ρ (∇f(θ_n; D) + λ (θ_n − w_n))``, from where the batch before left it;
    2. a step of its local model, ``w_n ← w_n − η λ (w_n − θ_n)``: the local optimizer's at its
       rate ``η``, which is given the envelope's gradient ``λ (w_n − θ_n)``.

    At last ``w ← (1 − β) w + β mean_n w_n``. That is a server's SGD at the rate ``β``:
    ``server_optimizer="sgd", server_lr=β``, on the command line ``--server-lr``.

    Args:
        local: How clients train: the epochs and batches they go through, and the optimizer of
            ``w_n``; the paper's is SGD, on MNIST at .005. Its ``R`` local rounds are of one batch
            each: one epoch with ``batches_per_epoch=R``; 20 in the paper.
        prox: ``λ``, 0 or more; the paper's on MNIST by default.
        personal_lr: ``ρ``, the rate of personal models, 0 or more; the paper's is .1 on MNIST.
        personal_steps: ``K``, at least 1.
        server_optimizer: What takes the mean's place, or its name; by default the mean replaces
            the global model, the paper's ``β = 1``.
        weighting: What counts in the mean: ``clients`` alike, as in the paper, or ``examples``.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; all others keep
            their models. By default everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``.
        measure_at: What is scored as the clients' models: their ``personal`` ones, or the global
            one for each, ``averaged``.

    Returns:
        The algorithm; its client models are the personal ones, under one root, the global model.

    Raises:
        ValueError: If a number is out of its range.
    """
    server = server_step("pFedMe's server", local, server_optimizer)

    def init(key: PRNGKeyArray, clients: ClientData) -> PFedMeState:
        model = local.init(key)
        return PFedMeState(stack_copies(model, clients.n_clients), model, server.init(model))

    def step(state, batch, slope):
        (personal, own), (memory,) = state

        def towards_the_least(number, found):
            theta, _ = found
            again = batch._replace(key=keys.for_part(batch.key, number))
            loss, gradient, after = slope(theta, again)
            gradient = jax.tree.map(lambda g, t, w: g + prox * (t - w), gradient, theta, own)
            return gradient_step(local, theta, gradient, after, personal_lr), loss

        nothing = personal, 0.0
        personal, loss = lax.fori_loop(0, personal_steps, towards_the_least, nothing)
        envelope = jax.tree.map(lambda w, t: prox * (w - t), own, personal)
        own, memory = optimizer_step(local, (own, memory), envelope, personal)
        return ((personal, own), (memory,)), loss

    def one_round(
        key: PRNGKeyArray, state: PFedMeState, clients: ClientData
    ) -> tuple[PFedMeState, TrainingInfo]:
        who = participation.draw(key, clients.n_clients, cohort)
        start = sent(local, state.personal, state.server, who)
        around = with_memories(local, 1)
        (personal, own), loss = local.steps(
            key, (start, start), clients, step, cohort=who, around=around
        )
        mean = server_mean(
            own, clients, who, weighting, average=average, reference=state.server, key=key
        )
        model, memory = server.step(state.server, state.optimizer, mean)
        return PFedMeState(personal, model, memory), TrainingInfo(loss)

    def models(state: PFedMeState) -> Models:
        client = state.personal
        if measure_at == "averaged":
            client = sent(local, client, state.server)
        return under_one_root(client, state.server)

    return Algorithm(init, one_round, models, moment=measure_at)
