"""DemLearn: clients organise themselves into a tree of groups by how alike they learn.

Nguyen et al., *Self-organizing Democratized Learning: Towards Large-scale Distributed Learning
Systems*, arXiv 2007.03278, IEEE TNNLS 2022; its earlier version is equation 2 of Nguyen et al.,
*Distributed and Democratized Learning*, arXiv 2003.09301, IEEE CIM 2021.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax import hierarchy as tree
from demjax import linkage as link
from demjax.base import Algorithm, ClientData, Hierarchy, Models, Params, check_number, stack_copies
from demjax.local import LocalTraining, Pull

Number = Float[Array, ""] | float


class DemLearnState(NamedTuple):
    """What the next round needs.

    Attributes:
        client: Client models after the last round, leaves ``[N, ...]``.
        group: Group models after the last round, leaves ``[L, G, ...]``.
        hierarchy: The present tree.
        round: Rounds done.
    """

    client: Params
    group: Params
    hierarchy: Hierarchy
    round: Int[Array, ""]


class DemLearnInfo(NamedTuple):
    """What one may want to see of a round.

    Attributes:
        loss: Mean training loss of each client in its last epoch.
    """

    loss: Float[Array, " N"]


def demlearn(
    local: LocalTraining,
    *,
    levels: int = 3,
    mix: Number = 0.6,
    prox: Number = 0.002,
    period: int = 1,
    soft: Number = 1.0,
    amplification: Number = 1.0,
    amplified_rounds: int = 5,
    beta: Callable[[Int[Array, ""]], Number] | None = None,
    metric: link.Metric = link.euclidean,
    method: str = "average",
) -> Algorithm:
    """Democratized learning: train, cluster, average bottom-up, mix top-down.

    In round ``r = 0, 1, …``, for client ``n`` and groups ``g`` of ``K`` levels and a root:

    1. local training from the client's own model, with ``∇loss(w) + μ (w − w_parent)``;
       no proximal term in round 0;
    2. when ``r % τ = 0``, linkage of the client models, cut into ``K`` levels;
    3. ``w_g ←`` mean of its clients (when the tree is kept: ``(1−γ) w_g + γ mean``);
    4. from the root down ``w_child ← (1−α) w_child + α w_parent``, at last for the clients.

    With ``beta``, the earlier version instead: no step 4; before training
    ``w_n ← (1−β_r) w_n + β_r (Σ_k w^(k)/N^(k)) / (Σ_k 1/N^(k))`` over the groups ``k`` that hold
    the client, of ``N^(k)`` clients, and the proximal term ``μ/2 Σ_k ‖w − w^(k)‖²/N^(k)``.

    Args:
        local: How clients train on their own.
        levels: Levels of groups under the root, ``K``, 0 or more.
        mix: ``α``, from 0 to 1; not used with ``beta``.
        prox: ``μ``, 0 or more; 0 is the paper's "DemLearn", above it "DemLearn-P".
        period: ``τ``: rounds between two clusterings, at least 1.
        soft: ``γ``, from 0 to 1.
        amplification: Factor on each group's mean, compounding with depth, in the first
            rounds; 1.15 in the published runs but not in the paper's equations.
        amplified_rounds: How many rounds that lasts.
        beta: The earlier version's schedule ``r → β_r``, such as
            ``optax.exponential_decay(1.0, 1, 0.7, end_value=0.001)``, the published one on MNIST.
        metric: Distances between clients from their stacked models.
        method: Linkage method, one of ``demjax.linkage.METHODS``.

    Returns:
        The algorithm. Its models are those after step 4.

    Raises:
        ValueError: If a number is out of its range, or the method unknown.
    """
    check_number("DemLearn", "levels", levels, 0)
    check_number("DemLearn", "period", period, 1)
    for name, value in (("prox", prox), ("amplification", amplification)):
        check_number("DemLearn", name, value, 0)
    for name, share in (("mix", mix), ("soft", soft)):
        check_number("DemLearn", name, share, 0, 1)
    link.check_method(method)
    slots = 2**levels

    def init(key: PRNGKeyArray, clients: ClientData) -> DemLearnState:
        model = local.init(key)
        return DemLearnState(
            client=stack_copies(model, clients.n_clients),
            group=stack_copies(stack_copies(model, slots), levels + 1),
            hierarchy=tree.root_only(clients.n_clients, levels, slots),
            round=jnp.int32(0),
        )

    def one_round(
        key: PRNGKeyArray, state: DemLearnState, clients: ClientData
    ) -> tuple[DemLearnState, DemLearnInfo]:
        grouped = state.round > 0
        strength = jnp.where(grouped, prox, 0.0)
        if beta is None:
            start = state.client
            place = tree.lowest_place(state.hierarchy)[:, None]
            weight = jnp.full(place.shape, strength)
        else:
            general = tree.ancestors_mean(state.group, state.hierarchy)
            start = tree.soft_update(
                state.client, general, jnp.where(grouped, beta(state.round), 0.0)
            )
            place, weight = tree.ancestors(state.hierarchy)
            weight = strength * weight
        pull = Pull(tree.places_bank(state.group), place, weight)
        client, loss = local.train(key, start, clients, pull)

        regroup = state.round % period == 0
        hierarchy = lax.cond(
            regroup,
            lambda: link.cut_depth(link.linkage(metric(client), method), levels),
            lambda: state.hierarchy,
        )
        factor = jnp.where(state.round < amplified_rounds, amplification, 1.0)
        means = tree.group_means(client, hierarchy, amplification=factor)
        group = tree.soft_update(state.group, means, jnp.where(regroup, 1.0, soft))
        if beta is None:
            client, group = tree.mix_down(client, group, hierarchy, [mix] * (levels + 1))
        return DemLearnState(client, group, hierarchy, state.round + 1), DemLearnInfo(loss)

    def models(state: DemLearnState) -> Models:
        return Models(state.client, state.group, state.hierarchy)

    return Algorithm(init=init, round=one_round, models=models)
