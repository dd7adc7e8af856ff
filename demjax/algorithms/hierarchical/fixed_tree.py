"""DemLearn's averaging and mixing over a tree that is given: by rule, by file, by true clusters.

Nguyen et al., *Self-organizing Democratized Learning*, arXiv 2007.03278, IEEE TNNLS 2022, without
its self-organization.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from demjax import hierarchy as tree
from demjax.base import Algorithm, ClientData, Hierarchy, Models, Params
from demjax.clients import LocalTraining, ProximalTerm, TrainingInfo, participation
from demjax.hierarchy.aggregation import by_any_average
from demjax.hierarchy.anchors import guide
from demjax.hierarchy.given import Counts, Placement, given_tree
from demjax.models.layers import chosen_layers
from demjax.pytrees import select, stack_copies
from demjax.registry import ALGORITHMS, STARTS, Number, Range, Share

LEAST = 1e-20
"""What who has never trained counts in means, so that a group of no others has one."""


class FixedTreeState(NamedTuple):
    """What the next round needs."""

    client: Params  # models after the last round, leaves [N, ...]
    group: Params  # likewise, leaves [L, G, ...]
    hierarchy: Hierarchy  # the tree, the same in all rounds
    round: Int[Array, ""]  # rounds done
    last: participation.Attendance  # when each client trained, where not all always do
    trained: Params = ()  # client models before step 3, where those are scored


@ALGORITHMS.register(
    label="fixed tree", paper="Nguyen et al., IEEE TNNLS 2022, arXiv 2007.03278, with a given tree"
)
def fixed_tree(
    local: LocalTraining,
    *,
    groups: Counts | None = None,
    placement: Placement = "order",
    tree_file: str | None = None,
    client_groups: Int[np.ndarray, " *K N"] | None = None,
    mix: Annotated[Number | Sequence[Number], Range(0, 1)] = 0.6,
    prox: Annotated[Number, Range(0, 1e6)] = 0.002,
    soft: Share = 1.0,
    start: Annotated[tree.Start | str, STARTS] = "own",
    weighting: tree.Weighting | tuple[tree.Weighting, ...] = "clients",
    average_layers: Sequence[str] = (),
    cohort: int | None = None,
    recency: Share = 0.5,
    average: tree.Average | None = None,
    measure_at: Literal["mixed", "trained"] = "mixed",
) -> Algorithm:
    """Train, average bottom-up, mix top-down, over a tree that is given.

    In round ``r = 0, 1, …``, for client ``n`` and groups ``g`` of ``K`` levels and a root:

    1. local training from the own model with ``∇loss(w) + μ (w − w_parent)``, ``μ = 0`` in round 0;
    2. ``w_g ←`` mean of its clients (after round 0: ``(1−γ) w_g + γ mean``);
    3. from the root down ``w_child ← (1−α) w_child + α w_parent``, at last for the clients.

    With a tree that DemLearn finds in round 0 it is DemLearn that keeps it, ``period`` above the
    number of rounds.

    Args:
        local: How clients train on their own.
        groups: Number of groups on each level, lowest first; by default 4, 2.
        placement: Which clients are in a group: as many, in order or at random; or those of one of
            the data's true clusters.
        tree_file: File with lines client,group,… that says so, from the lowest level up, in place
            of numbers.
        client_groups: The group of each client on each level, lowest first, in place of numbers.
        mix: ``α``, from 0 to 1, or ``L`` of them: clients first, then levels from the lowest.
        prox: ``μ``, 0 or more.
        soft: ``γ``, from 0 to 1.
        start: Where training starts: ``own`` model, ``parent``'s or ``root``'s, or a function.
        weighting: What counts in means: clients or examples; or ``L`` of these, lowest level first.
        average_layers: Layers that are averaged and mixed, such as ``Dense_0``; by default all.
        cohort: Clients that train in a round; who has not trained yet has its parent's model, and
            counts only where nobody has.
        recency: Factor on what a client counts in means for each round since it trained, 0 to 1.
        average: In place of the mean of groups, as in ``hierarchy.robust_means``.
        measure_at: Which client models are scored: those ``mixed`` in step 3, or ``trained`` in 1.

    Returns:
        The algorithm.

    Raises:
        ValueError: If a number is out of range, or more than one tree is given, or one that does
            not nest.
    """
    whose = "The fixed tree"
    given = given_tree(whose, groups, placement, tree_file, client_groups, usual=(4, 2))
    mix = tree.per_level(whose, "mix", mix, given.levels + 1)
    by_examples = tree.by_examples(whose, weighting, given.levels + 1)
    keeps = measure_at == "trained"

    def init(key: PRNGKeyArray, clients: ClientData) -> FixedTreeState:
        client = stack_copies(model := local.init(key), count := clients.n_clients)
        group = stack_copies(model, given.levels + 1, given.slots)
        last, trained = participation.nobody_yet(count, cohort), client if keeps else ()
        return FixedTreeState(client, group, given.place(key, count), jnp.int32(0), last, trained)

    def one_round(
        key: PRNGKeyArray, state: FixedTreeState, clients: ClientData
    ) -> tuple[FixedTreeState, TrainingInfo]:
        own, group, hierarchy, number, last, _ = state
        chosen = chosen_layers(own, average_layers)
        now = _with_parents(own, state), group, hierarchy, number
        at = guide(*now, prox=prox, beta=None, start=start)
        who = participation.draw(key, clients.n_clients, cohort)
        begin = participation.kept(own, who, local.begin(own, select(chosen, at.begin, own)))
        proximal = ProximalTerm(tree.flat_groups(group), at.which, at.weight, chosen)
        trained, loss = local.train(key, begin, clients, proximal, cohort=who)
        last = participation.attended(last, who, number)
        weight = jnp.where(by_examples, clients.train_size, 1)
        counts = jnp.maximum(participation.recency(weight, last, recency), LEAST)
        every = {"weight": counts, "cohort": who, "chosen": chosen, "mix": mix, "key": key}
        aggregate = partial(by_any_average, average, soft=jnp.where(number == 0, 1.0, soft))
        client, group = aggregate(trained, group, hierarchy, **every)
        rest = hierarchy, number + 1, last, trained if keeps else ()
        return FixedTreeState(local.begin(trained, client), group, *rest), TrainingInfo(loss)

    def models(state: FixedTreeState) -> Models:
        client = _with_parents(state.trained if keeps else state.client, state)
        return Models(client, state.group, state.hierarchy)

    return Algorithm(init, one_round, models, moment=measure_at)


def _with_parents(models: Params, state: FixedTreeState) -> Params:
    """Client models in which whoever has not trained yet has its parent's."""
    if state.last is None:
        return models
    parents, new = tree.from_parent(*state[:3]), state.last < 0
    return jax.tree.map(
        lambda own, given: jnp.where(new.reshape(-1, *[1] * (own.ndim - 1)), given, own),
        models,
        parents,
    )
