"""DemLearn: clients organise themselves into a tree of groups by how alike they learn.

Nguyen et al., *Self-organizing Democratized Learning*, arXiv 2007.03278, IEEE TNNLS 2022; its
earlier version: *Distributed and Democratized Learning*, arXiv 2003.09301, IEEE CIM 2021, eq. 2.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax import hierarchy as tree
from demjax.base import Algorithm, ClientData, Hierarchy, Models, Organization, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.proximal import ProximalTerm
from demjax.clustering import chosen_layers, self_organization, unorganized
from demjax.hierarchy.aggregation import average_and_mix, mix_chosen
from demjax.hierarchy.anchors import decaying, guide
from demjax.hierarchy.mixing import Start, Weighting
from demjax.hierarchy.robust_means import Average, average_of_groups, check_not_amplified
from demjax.pytrees import interpolate, select, stack_copies
from demjax.registry import ALGORITHMS, STARTS, Passes, Range

Number = Float[Array, ""] | float
Share = Annotated[Number, Range(0, 1)]


class DemLearnState(NamedTuple):
    """What the next round needs."""

    client: Params  # models after the last round, leaves [N, ...]
    group: Params  # likewise, leaves [L, G, ...]
    hierarchy: Hierarchy  # the present tree
    organization: Organization  # where it came from
    memory: Any  # what the features remember of earlier rounds
    round: Int[Array, ""]  # rounds done


class DemLearnInfo(NamedTuple):
    """What one may want to see of a round."""

    loss: Float[Array, " N"]  # mean training loss in the last epoch; NaN outside the cohort


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
    start: Annotated[Start | str, STARTS] = "own",
    weighting: Weighting | tuple[Weighting, ...] = "clients",
    average_layers: Sequence[str] = (),
    cohort: int | None = None,
    average: Average | None = None,
    **organization: Annotated[Any, Passes(self_organization, table="clustering")],
) -> Algorithm:
    """Democratized learning: train, cluster, average bottom-up, mix top-down.

    In round ``r = 0, 1, …``, for client ``n`` and groups ``g`` of ``K`` levels and a root:

    1. local training from the client's own model, with ``∇loss(w) + μ (w − w_parent)``;
       no proximal term in round 0;
    2. when ``r % τ = 0``, linkage of the client models, cut into ``K`` levels;
    3. ``w_g ←`` mean of its clients (when the tree is kept: ``(1−γ) w_g + γ mean``);
    4. from the root down ``w_child ← (1−α) w_child + α w_parent``, at last for the clients.

    With ``beta``, the earlier version instead: no step 4, but before training ``w_n`` takes on
    ``β_r`` of its groups' mean, and all of them are anchors, as in ``anchors.by_ancestors``.

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
        cohort: Clients that train in a round; all others keep their models, and count in means.
        average: In place of the mean of groups, as in ``hierarchy.robust_means``; not amplified.
        **organization: Step 2: what clients are grouped by, and how.

    Returns:
        The algorithm. Its models are those after step 4.

    Raises:
        ValueError: If a number is out of range, a name unknown, or an average to be amplified.
    """
    organizing = self_organization(**organization)
    levels, slots, features = organizing.levels, organizing.slots, organizing.features
    mix = tree.per_level("DemLearn", "mix", mix, levels + 1)
    by_examples = tree.by_examples("DemLearn", weighting, levels + 1)
    schedule = beta if beta is None or callable(beta) else decaying(beta, beta_decay, beta_floor)
    check_not_amplified(average, amplification)

    def init(key: PRNGKeyArray, clients: ClientData) -> DemLearnState:
        client = stack_copies(model := local.init(key), clients.n_clients)
        group = stack_copies(model, levels + 1, slots)
        known = unorganized(clients.n_clients, levels, slots)
        memory = features.memory(client, cohort)
        return DemLearnState(client, group, *known, memory, jnp.int32(0))

    def one_round(
        key: PRNGKeyArray, state: DemLearnState, clients: ClientData
    ) -> tuple[DemLearnState, DemLearnInfo]:
        own, group, *old = state[:4]
        chosen = chosen_layers(own, average_layers)
        begin, which, weight = guide(*state[:3], state.round, prox=prox, beta=schedule, start=start)
        who = participation.draw(key, clients.n_clients, cohort)
        begin = participation.kept(own, who, local.begin(own, select(chosen, begin, own)))
        memory = features.before(state.memory, begin, who)
        proximal = ProximalTerm(tree.flat_groups(group), which, weight, chosen)
        learn = partial(local.train, gradients=features.gradients, cohort=who)
        client, loss, *slopes = learn(key, begin, clients, proximal)
        regroup = state.round % period == 0
        seen, memory = features.after(memory, client, *slopes, cohort=who, regroup=regroup)
        hierarchy, known = lax.cond(regroup, organizing.organize, lambda _, *now: now, seen, *old)
        factor = jnp.where(state.round < amplified_rounds, amplification, 1.0)
        counts = jnp.where(by_examples, clients.train_size, 1)
        rate = jnp.where(regroup, 1.0, soft)
        if average is not None:
            group = average_of_groups(average, client, group, hierarchy, counts, soft=rate, key=key)
        elif schedule is not None:
            group = interpolate(group, tree.group_means(client, hierarchy, counts, factor), rate)
        if schedule is None:
            at_once = partial(average_and_mix, weight=counts, amplification=factor, soft=rate)
            aggregate: Callable = at_once if average is None else mix_chosen
            mixed, group = aggregate(client, group, hierarchy, mix=mix, cohort=who, chosen=chosen)
            client = local.begin(client, mixed)
        state = DemLearnState(client, group, hierarchy, known, memory, state.round + 1)
        return state, DemLearnInfo(loss)

    return Algorithm(init=init, round=one_round, models=lambda state: Models(*state[:4]))
