"""DemLearn: clients organise themselves into a tree of groups by how alike they learn.

Nguyen et al., arXiv 2007.03278, IEEE TNNLS 2022; its earlier version: arXiv 2003.09301, eq. 2.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray

from demjax import hierarchy as tree
from demjax.base import Algorithm, ClientData, Hierarchy, Models, Organization, Params
from demjax.clients import LocalTraining, ProximalTerm, TrainingInfo, participation
from demjax.clients.participation import nobody_yet
from demjax.clustering import self_organization
from demjax.hierarchy.aggregation import by_any_average
from demjax.hierarchy.anchors import guide
from demjax.hierarchy.robust_means import check_not_amplified
from demjax.models.layers import chosen_layers
from demjax.pytrees import select, stack_copies
from demjax.registry import ALGORITHMS, STARTS, Number, Passes, Range, Share


class DemLearnState(NamedTuple):
    """What the next round needs."""

    client: Params  # models after the last round, leaves [N, ...]
    group: Params  # likewise, leaves [L, G, ...]
    hierarchy: Hierarchy  # the present tree
    organization: Organization  # where it came from
    memory: Any  # what the features remember of earlier rounds
    round: Int[Array, ""]  # rounds done
    last: participation.Attendance  # when each client trained, where not all always do
    trained: Params = ()  # client models before step 4, where those are scored


@ALGORITHMS.register(label="DemLearn", paper="Nguyen et al., IEEE TNNLS 2022, arXiv 2007.03278")
def demlearn(
    local: LocalTraining,
    *,
    mix: Annotated[Number | Sequence[Number], Range(0, 1)] = 0.6,
    prox: Annotated[Number, Range(0, 1e6)] = 0.002,
    period: Annotated[int, Range(1)] = 1,
    soft: Share = 1.0,
    amplification: Annotated[Number, Range(0, 10)] = 1.0,
    amplified_rounds: Annotated[int, Range(0)] = 5,
    beta: Share | Callable[[Int[Array, ""]], Number] | None = None,
    beta_decay: Share = 0.7,
    beta_floor: Share = 0.001,
    start: Annotated[tree.Start | str, STARTS] = "own",
    weighting: tree.Weighting | tuple[tree.Weighting, ...] = "clients",
    average_layers: Sequence[str] = (),
    cohort: int | None = None,
    recency: Share = 0.5,
    average: tree.Average | None = None,
    measure_at: Literal["mixed", "trained"] = "mixed",
    **organization: Annotated[Any, Passes(self_organization, table="clustering")],
) -> Algorithm:
    """Democratized learning: train, cluster, average bottom-up, mix top-down.

    In round ``r = 0, 1, …``, for client ``n`` and groups ``g`` of ``K`` levels and a root:

    1. local training from the own model with ``∇loss(w) + μ (w − w_parent)``, ``μ = 0`` in round 0;
    2. when ``r % τ = 0``, linkage of the client models, cut into ``K`` levels;
    3. ``w_g ←`` mean of its clients (when the tree is kept: ``(1−γ) w_g + γ mean``);
    4. from the root down ``w_child ← (1−α) w_child + α w_parent``, at last for the clients.

    With ``beta``, the earlier version instead: no step 4, but before training ``w_n`` takes on
    ``β_r`` of its groups' mean, and all of them are anchors, as in ``anchors.guide``.

    Args:
        local: How clients train on their own.
        mix: ``α``, from 0 to 1, or ``L`` of them: clients first, then levels from the lowest.
        prox: ``μ``, 0 or more; 0 is the paper's "DemLearn", above it "DemLearn-P".
        period: ``τ``: rounds between two clusterings, at least 1.
        soft: ``γ``, from 0 to 1.
        amplification: Factor on group means, compounding with depth, 0 or more; published: 1.15.
        amplified_rounds: How many rounds that lasts, 0 or more.
        beta: First ``β`` of the earlier version, which it selects in place of ``mix`` and
            ``start``, 0 to 1; or its whole schedule ``r → β_r``. Published for MNIST: 1.
        beta_decay: Factor on ``β`` each round, 0 to 1.
        beta_floor: The least ``β``, 0 to 1.
        start: Where training starts: ``own`` model, ``parent``'s or ``root``'s, or a function.
        weighting: What counts in means: clients or examples; or ``L`` of these, lowest level first.
        average_layers: Layers that are averaged and mixed, such as ``Dense_0``; by default all.
        cohort: Clients that train in a round; who has not trained yet is in the root alone.
        recency: Factor on what a client counts in means for each round since it trained, 0 to 1.
        average: In place of the mean of groups, as in ``hierarchy.robust_means``; not amplified.
        measure_at: Which client models are scored: those ``mixed`` in step 4, or ``trained`` in 1.
        **organization: Step 2: features (feature_layers, sketch), metric, linkage,
            linkage_backend, clustering, cut (levels, groups, heights, slots, min_size,
            min_share, most_groups, surrogates, margin).

    Returns:
        The algorithm.

    Raises:
        ValueError: If a number is out of range, a name unknown, or an average to be amplified.
    """
    organization["changing"] = participation.changing(cohort, period)
    features, organize, unorganized, levels, slots, _ = self_organization(**organization)
    mix = tree.per_level("DemLearn", "mix", mix, levels + 1)
    by_examples = tree.by_examples("DemLearn", weighting, levels + 1)
    decaying = partial(optax.exponential_decay, decay_rate=beta_decay, end_value=beta_floor)
    schedule = beta if beta is None or callable(beta) else decaying(beta, 1)
    check_not_amplified(average, amplification)
    keeps, top_down = measure_at == "trained", mix if schedule is None else None

    def init(key: PRNGKeyArray, clients: ClientData) -> DemLearnState:
        client = stack_copies(model := local.init(key), n := clients.n_clients)
        group, known = stack_copies(model, levels + 1, slots), unorganized(n)
        memory, last = features.memory(client, cohort, local, clients), nobody_yet(n, cohort)
        more = *known, memory, jnp.int32(0), last, client if keeps else ()
        return DemLearnState(client, group, *more)

    def one_round(
        key: PRNGKeyArray, state: DemLearnState, clients: ClientData
    ) -> tuple[DemLearnState, TrainingInfo]:
        own, group, *old = state[:4]
        chosen = chosen_layers(own, average_layers)
        begin, which, weight = guide(*state[:3], state.round, prox=prox, beta=schedule, start=start)
        begin = participation.placed(begin, state.last, group)
        who = participation.draw(key, clients.n_clients, cohort)
        begin = participation.kept(own, who, local.begin(own, select(chosen, begin, own)))
        memory = features.before(state.memory, begin, who)
        proximal = ProximalTerm(tree.flat_groups(group), which, weight, chosen)
        client, loss, *slopes = local.train(key, begin, clients, proximal, features.gradients, who)
        regroup = state.round % period == 0
        slopes += features.observe(local, key, group.model(-1, 0), clients, who, regroup)
        seen, memory = features.after(memory, client, *slopes, cohort=who, regroup=regroup)
        last = participation.attended(state.last, who, state.round)
        hierarchy, known = lax.cond(regroup, organize, lambda _, *now: now[:2], seen, *old, last)
        factor = jnp.where(state.round < amplified_rounds, amplification, 1.0)
        counts = participation.recency(jnp.where(by_examples, clients.train_size, 1), last, recency)
        every = {"weight": counts, "amplification": factor, "cohort": who, "chosen": chosen}
        every |= {"mix": top_down, "key": key, "soft": jnp.where(regroup, 1.0, soft)}
        client, group = by_any_average(average, trained := client, group, hierarchy, **every)
        client, trained = local.begin(trained, client), trained if keeps else ()
        now = hierarchy, known, memory, state.round + 1, last, trained
        return DemLearnState(client, group, *now), TrainingInfo(loss)

    def models(state: DemLearnState) -> Models:
        client = participation.placed(state.trained if keeps else state[0], state.last, state[1])
        return Models(client, *state[1:3], state.organization._replace(known=()))

    return Algorithm(init, one_round, models, moment=measure_at)
