"""HierFAVG: clients average at edges, and edges, more rarely, in the cloud.

Liu et al., *Client-Edge-Cloud Hierarchical Federated Learning*, IEEE ICC 2020, arXiv 1905.06641,
algorithm 1.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Hierarchy, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.hierarchy.edges import at_edges, in_cloud, stacked, travelled
from demjax.hierarchy.given import Placement, given_tree
from demjax.hierarchy.robust_means import Average, weighted_mean
from demjax.hierarchy.server import Epochs, ServerMoment, scored_at
from demjax.pytrees import model_bytes, stack_copies
from demjax.registry import ALGORITHMS, Range


class HierFAVGState(NamedTuple):
    """What the next round needs, and the client models to be measured.

    Attributes:
        client: Client models right after local training, leaves ``[N, ...]``.
        edge: The edges' models, leaves ``[E, ...]``.
        cloud: The cloud's model, leaves ``[1, ...]``.
        hierarchy: Which client is at which edge.
        trained_on: Examples trained on at each edge since the cloud last averaged.
        round: Rounds done.
    """

    client: Params
    edge: Params
    cloud: Params
    hierarchy: Hierarchy
    trained_on: Float[Array, " E"]
    round: Int[Array, ""]


class HierFAVGInfo(NamedTuple):
    """What one may want to see of a round.

    Attributes:
        loss: Mean training loss of each client in its last epoch; NaN outside the cohort.
        client_to_edge, edge_to_cloud, cloud_to_edge, edge_to_client: Bytes that travel there.
        bytes_up, bytes_down: Those of both ways up, and of both down.
    """

    loss: Float[Array, " N"]
    client_to_edge: Float[Array, ""]
    edge_to_cloud: Float[Array, ""]
    cloud_to_edge: Float[Array, ""]
    edge_to_client: Float[Array, ""]
    bytes_up: Float[Array, ""]
    bytes_down: Float[Array, ""]


@ALGORITHMS.register(label="HierFAVG", paper="Liu et al., IEEE ICC 2020, arXiv 1905.06641")
def hierfavg(
    local: LocalTraining,
    *,
    kappa1: Epochs | None = None,
    kappa2: Annotated[int, Range(1)] = 4,
    edges: Annotated[int | None, Range(1)] = None,
    placement: Placement = "order",
    edges_file: str | None = None,
    client_groups: Int[np.ndarray, " N"] | None = None,
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "trained",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Average at edges in every round, in the cloud in every few.

    A round is one interval of the edges, as much local work as a round of federated averaging,
    which ``κ₂ = 1`` is. In round ``r = 1, 2, …``, with ``m_n`` examples of client ``n``:

    1. client ``n`` of edge ``e`` trains for ``κ₁`` epochs from ``w_e``;
    2. ``w_e ← Σ_n m_n w_n / Σ_n m_n`` over its clients;
    3. when ``r`` is a multiple of ``κ₂``, ``w ← Σ_e m_e w_e / Σ_e m_e`` in the cloud, with the
       examples ``m_e`` trained on at ``e`` since it last did so, and every ``w_e ← w``.

    The global model is the cloud's, as old as its last average: after rounds that are no multiple
    of ``κ₂`` it is of some rounds before. The paper counts ``κ₁`` in updates, here it is epochs: 60
    updates on MNIST are one epoch of a client's 1,200 examples in batches of 20.

    Args:
        local: How clients train on their own.
        kappa1: ``κ₁``: local epochs between two averages at an edge; by default local training's.
        kappa2: ``κ₂``: averages at the edges between two in the cloud, at least 1; 4 goes with 15
            updates where the paper keeps ``κ₁ κ₂ = 60``.
        edges: Number of edges; by default the paper's 5.
        placement: Which clients are at an edge: as many, in order or at random; or those of one of
            the data's true clusters.
        edges_file: File with lines client,edge that says so, in place of a number.
        client_groups: The edge of each client, in place of a number.
        cohort: Clients that train in a round, 1 to ``N``; an edge without any keeps its model. By
            default everyone.
        average: What takes the place of both means, as in ``hierarchy.robust_means``; by default
            the means by examples.
        measure_at: When clients' models are scored: what each last ``trained``; its edge's model,
            ``averaged``; or ``fine-tuned`` from that.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is the edges below the cloud.

    Raises:
        ValueError: If a number is out of its range, or edges are given in more than one way.
    """
    counts = None if edges is None else (edges,)
    given = given_tree("HierFAVG", counts, placement, edges_file, client_groups, usual=(5,))
    if given.levels != 1:
        raise ValueError(f"HierFAVG has one level of edges, but {given.levels} were given.")
    scored, mean = scored_at(local, measure_at, fine_tune_epochs), average or weighted_mean

    def init(key: PRNGKeyArray, clients: ClientData) -> HierFAVGState:
        model, count = local.init(key), clients.n_clients
        client, edge, cloud = (stack_copies(model, rows) for rows in (count, given.slots, 1))
        rest = given.place(key, count), jnp.zeros(given.slots), jnp.int32(0)
        return HierFAVGState(client, edge, cloud, *rest)

    def one_round(
        key: PRNGKeyArray, state: HierFAVGState, clients: ClientData
    ) -> tuple[HierFAVGState, HierFAVGInfo]:
        own, tree, at = state.client, state.hierarchy, state.hierarchy.groups[0]
        who = participation.draw(key, clients.n_clients, cohort)
        start = participation.kept(own, who, local.begin(own, state.edge.gather(at)))
        client, loss = local.train(key, start, clients, cohort=who, epochs=kappa1)
        edge, examples = at_edges(client, state.edge, at, clients.train_size, who, mean, key)
        examples, due = examples + state.trained_on, (state.round + 1) % kappa2 == 0
        edge, cloud = in_cloud(edge, state.cloud, examples, due, mean, key)
        trained_on = jnp.where(due, 0.0, examples)
        taking_part = participation.counted(jnp.ones_like(at), who).sum()
        ways = travelled(model_bytes(edge), taking_part, jnp.sum(tree.size[0] > 0), due)
        now = HierFAVGState(client, edge, cloud, tree, trained_on, state.round + 1)
        return now, HierFAVGInfo(loss, *ways)

    def models(state: HierFAVGState) -> Models:
        client = state.client
        if measure_at != "trained":
            client = local.begin(client, state.edge.gather(state.hierarchy.groups[0]))
        return Models(client, stacked(state.edge, state.cloud), state.hierarchy)

    return Algorithm(init, one_round, models, scored.before_scoring, scored.moment)
