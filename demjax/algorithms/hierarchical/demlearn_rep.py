"""DemLearn-Rep: DemLearn whose clients, after some rounds, share representations and keep heads.

The authors' own variant of DemLearn: Nguyen et al., IEEE TNNLS 2022, arXiv 2007.03278.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray

from demjax import hierarchy as tree
from demjax.base import Algorithm, ClientData, Hierarchy, Models, Organization, Params
from demjax.clients import LocalTraining, ProximalTerm, TrainingInfo, participation
from demjax.clients.participation import nobody_yet
from demjax.clients.representation import Parts, parts_of, trained_by_parts, zeroed
from demjax.clustering import self_organization
from demjax.hierarchy.aggregation import by_any_average
from demjax.hierarchy.anchors import guide
from demjax.hierarchy.layered_mixing import mix_down_layers
from demjax.pytrees import select, stack_copies
from demjax.registry import ALGORITHMS, Number, Passes, Range, Share


class DemLearnRepState(NamedTuple):
    """What the next round needs."""

    client: Params  # models after the last round, leaves [N, ...]
    group: Params  # likewise, leaves [L, G, ...]
    hierarchy: Hierarchy  # the present tree
    organization: Organization  # where it came from
    memory: Any  # what the features remember of earlier rounds
    round: Int[Array, ""]  # rounds done
    last: participation.Attendance  # when each client trained, where not all always do


@ALGORITHMS.register(label="DemLearn-Rep", paper="Nguyen et al., IEEE TNNLS 2022, arXiv 2007.03278")
def demlearn_rep(
    local: LocalTraining,
    *,
    mix: Annotated[Number | Sequence[Number], Range(0, 1)] = 0.6,
    prox: Annotated[Number, Range(0, 1e6)] = 0.002,
    period: Annotated[int, Range(1)] = 1,
    soft: Share = 0.9,
    whole_rounds: Annotated[int, Range(0)] = 21,
    head_layers: Sequence[str] = (),
    group_layers: Sequence[str] = (),
    head_epochs: Annotated[int, Range(1)] = 1,
    cohort: int | None = None,
    recency: Share = 0.5,
    average: tree.Average | None = None,
    measure_at: Literal["mixed"] = "mixed",
    **organization: Annotated[Any, Passes(self_organization, table="clustering")],
) -> Algorithm:
    """DemLearn at first; then own heads on representations that the hierarchy shares.

    Some rounds are those of DemLearn. From then on a model is a representation ``φ`` and a head
    ``h``, and a round is, for client ``n`` and groups ``g``:

    1. the client takes on its parent's representation, ``(φ_parent, h_n)``, trains ``h_n`` for some
       epochs with ``φ`` fixed, and then ``φ`` with ``h_n`` fixed and ``μ (φ − φ_parent)`` added;
    2. when ``r % τ = 0``, clustering of the clients by their representations alone;
    3. ``w_g ←`` mean of its clients (when the tree is kept: ``(1−γ) w_g + γ mean``);
    4. from the root down ``w_child ← (1−α) w_child + α w_parent``, of fewer layers the higher up:
       clients mix the representation, groups of level 1 its first layers, all others nothing.

    Args:
        local: How clients train on their own; its epochs are those of ``φ``.
        mix: ``α``, from 0 to 1, or ``L`` of them: clients first, then levels from the lowest.
        prox: ``μ``, 0 or more.
        period: ``τ``: rounds between two clusterings, at least 1.
        soft: ``γ``, from 0 to 1; the published by default.
        whole_rounds: Rounds of DemLearn at first, 0 or more.
        head_layers: Layers of the head, such as ``Dense_0``; by default the model's last layer.
        group_layers: What groups of level 1 mix; by default all layers but the last two.
        head_epochs: Epochs of the head's training, at least 1.
        cohort: Clients that train in a round; who has not trained yet is in the root alone.
        recency: Factor on what a client counts in means for each round since it trained, 0 to 1.
        average: In place of the mean of groups, as in ``hierarchy.robust_means``.
        measure_at: Client models are scored once they were ``mixed`` in step 4.
        **organization: Step 2: features (feature_layers, sketch), metric, linkage,
            linkage_backend, clustering, cut (levels, groups, heights, slots, min_size).

    Returns:
        The algorithm.

    Raises:
        ValueError: If a number or name is not possible; when it begins, if a head is all layers.
    """
    features, organize, unorganized, levels, slots, _ = self_organization(**organization)
    mix = tree.per_level("DemLearn-Rep", "mix", mix, levels + 1)

    def parts(models: Params, clients: ClientData) -> Parts:
        return parts_of("DemLearn-Rep", local, models, clients, head_layers, group_layers, levels)

    def init(key: PRNGKeyArray, clients: ClientData) -> DemLearnRepState:
        client = stack_copies(model := local.init(key), n := clients.n_clients)
        parts(client, clients)
        group, known = stack_copies(model, levels + 1, slots), unorganized(n)
        memory, last = features.memory(client, cohort, local, clients), nobody_yet(n, cohort)
        more = *known, memory, jnp.int32(0), last
        return DemLearnRepState(client, group, *more)

    def one_round(
        key: PRNGKeyArray, state: DemLearnRepState, clients: ClientData
    ) -> tuple[DemLearnRepState, TrainingInfo]:
        own, group, *old = state[:4]
        part = parts(own, clients)
        whole, regroup = state.round < whole_rounds, state.round % period == 0
        anchors = guide(*state[:3], state.round, prox=prox, beta=None, start=tree.from_own)
        who = participation.draw(key, clients.n_clients, cohort)
        placed = participation.placed(anchors.begin, state.last, group)
        proximal = ProximalTerm(tree.flat_groups(group), anchors.which, anchors.weight)

        def given(own, models):
            return participation.kept(own, who, local.begin(own, models))

        def all_layers():
            start = given(own, placed)
            return start, local.train(key, start, clients, proximal, features.gradients, who)

        def by_parts():
            start = given(own, select(part.body, tree.from_parent(own, *state[1:3]), placed))
            options = {"head_epochs": head_epochs, "gradients": features.gradients, "cohort": who}
            return start, trained_by_parts(local, key, start, clients, part, proximal, **options)

        seen = partial(zeroed, part.head, ~whole)  # by the clustering
        start, (client, loss, *slopes) = lax.cond(whole, all_layers, by_parts)
        memory, looked_at = features.before(state.memory, seen(start), who), [*map(seen, slopes)]
        looked_at += features.observe(local, key, group.model(-1, 0), clients, who, regroup)
        after = partial(features.after, cohort=who, regroup=regroup)
        looks, memory = after(memory, seen(client), *looked_at)
        last = participation.attended(state.last, who, state.round)
        hierarchy, known = lax.cond(regroup, organize, lambda _, *now: now[:2], looks, *old, last)
        counts = participation.recency(jnp.ones(clients.n_clients), last, recency)
        aggregate = partial(by_any_average, average, mix=None, weight=counts, key=key)
        _, group = aggregate(client, group, hierarchy, soft=jnp.where(regroup, 1.0, soft))
        everywhere = partial(tree.mix_down, mix=mix)
        in_layers = partial(mix_down_layers, mix=mix, reached=part.reached)
        mixed, group = lax.cond(whole, everywhere, in_layers, client, group, hierarchy)
        now = group, hierarchy, known, memory, state.round + 1, last
        return DemLearnRepState(given(client, mixed), *now), TrainingInfo(loss)

    def models(state: DemLearnRepState) -> Models:
        client = participation.placed(state.client, state.last, state.group)
        return Models(client, *state[1:3], state.organization._replace(known=()))

    return Algorithm(init, one_round, models, moment=measure_at)
