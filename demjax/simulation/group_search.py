"""Do these clients have groups at all, how many, who, and how sure is that?"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax import keys
from demjax.algorithms import fedavg
from demjax.base import ClientData, Params
from demjax.clients.label_gradients import LabelGradients, label_gradients_at
from demjax.clients.local_training import LocalTraining
from demjax.clustering.by_label import by_label
from demjax.clustering.clusterings import Wanted
from demjax.clustering.gap import (
    LEAST,
    MARGIN,
    MOST_GROUPS,
    SHARE,
    SURROGATES,
    at_heights,
    between,
    fewest_of,
    gap,
    jumps,
)
from demjax.clustering.linkage import linkage
from demjax.registry import LINKAGES, check_number
from demjax.simulation.group_differences import input_differences, label_differences

BUCKETS, STRATA, FOLDS, HALVES = 257, 4, 8, 20
"""Numbers in a sketch, strata of targets, parts of examples, and how many halves are drawn."""
INPUTS = 5
"""How many of the inputs that differ most are told."""


class Groups(NamedTuple):
    """What is known of the groups that clients have.

    Attributes:
        n_groups: How many; 1 where there are none.
        groups: The group of each client, from 0 on in the order of their first clients.
        stability: How much as many groups of half of the examples are these, 0 to 1: the mean of
            ``client_stability``.
        client_stability: Of each client, clients that are in its group both times, in parts of
            those that are once or twice, on average over halves drawn at random.
        found_again: Share of these halves in which a jump is found, or none where there is none.
        ratio: For each number of groups from 2 on, how far merge heights jump there.
        limit: Up to what ratio that is chance.
        labels: Of each label, how far clients of different groups differ, in units of chance, in
            parts of how far those of one group do; NaN where there are none to compare.
        inputs: Numbers of the inputs, as flat indices, by which groups differ most label by label,
            the first most; none where there is one group.
        input_ratio: Variance of each of these between groups in parts of that within them.
        distances: Of all clients, as of ``clustering.by_label``.
        merges: SciPy's linkage matrix of these.
    """

    n_groups: int
    groups: Int[np.ndarray, " N"]
    stability: float
    client_stability: Float[np.ndarray, " N"]
    found_again: float
    ratio: Float[np.ndarray, " G-1"]
    limit: float
    labels: Float[np.ndarray, " C"]
    inputs: Int[np.ndarray, " I"]
    input_ratio: Float[np.ndarray, " I"]
    distances: Float[np.ndarray, " N N"]
    merges: Float[np.ndarray, " N-1 4"]


def groups(
    local: LocalTraining,
    clients: ClientData,
    *,
    rounds: int = 3,
    key: PRNGKeyArray | None = None,
    all_layers: bool = False,
) -> Groups:
    """Find out whether clients have groups that conflict, whatever labels each of them has.

    One model is trained by all clients for a few rounds of federated averaging. There each client's
    gradients are compared label by label (``clustering.by_label``), and merge heights tell how many
    groups there are (``clustering.gap``). The same is done with random halves of all clients'
    examples, which tells how sure that is (Hennig's clusterwise stability by Jaccard's index).

    Args:
        local: How clients train, as ``local_training`` makes it.
        clients: Everybody's data.
        rounds: Rounds of federated averaging before, 0 or more.
        key: All randomness; by default always the same.
        all_layers: Whether gradients of all layers are compared, not of the last alone.

    Returns:
        What was found.

    Raises:
        ValueError: If there are fewer than 3 clients, rounds are below 0, or the task does not tell
            predictions and losses.

    Source: Hennig, *Cluster-wise assessment of cluster stability*, CSDA 52, 2007.
    """
    check_number("Looking for groups", "rounds", rounds, 0)
    if clients.n_clients < 3:
        raise ValueError(
            f"Groups are looked for among 3 clients or more, but there are {clients.n_clients}."
        )
    key = jax.random.key(0) if key is None else key
    model = jax.jit(partial(_trained, local, rounds=rounds))(key, clients)
    seen = jax.jit(partial(_seen, local, all_layers=all_layers))(key, model, clients)
    found = jax.device_get(jax.jit(_found)(seen, keys.for_halves()))
    distances, merges, own, (halves, numbers), ratio, limit, labels = found
    jaccard = np.mean([_jaccard(own, half) for half in halves], axis=0)
    inputs, by = input_differences(local, model, clients, own, strata=STRATA, most=INPUTS)
    return Groups(
        int(own.max()) + 1,
        own,
        float(jaccard.mean()),
        jaccard,
        float(np.mean((numbers > 1) == (own.max() > 0))),
        ratio,
        float(limit),
        labels,
        inputs,
        by,
        distances,
        merges,
    )


def _trained(
    local: LocalTraining, key: PRNGKeyArray, clients: ClientData, *, rounds: int
) -> Params:
    """The model of all after some rounds of federated averaging."""
    algorithm = fedavg(local)

    def one_round(number, state):
        return algorithm.round(keys.for_round(key, number), state, clients)[0]

    start = algorithm.init(keys.for_initial_model(key), clients)
    state = lax.fori_loop(0, rounds, one_round, start)
    models = algorithm.models(state)
    assert models.group is not None
    return models.group.model(-1, 0)


def _seen(
    local: LocalTraining,
    key: PRNGKeyArray,
    model: Params,
    clients: ClientData,
    *,
    all_layers: bool,
) -> LabelGradients:
    """Label gradients in parts, ``[N, C, F, …]``."""
    seen = label_gradients_at(
        local,
        key,
        model,
        clients,
        all_layers=all_layers,
        buckets=BUCKETS,
        strata=STRATA,
        folds=FOLDS,
    )
    return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0], -1, FOLDS, *leaf.shape[2:]), seen)


def together(seen: LabelGradients, parts: Float[Array, " F"]) -> LabelGradients:
    """Label gradients of the examples of some parts, those that are 1 and not 0."""
    counts = jnp.sum(seen.counts * parts, axis=2)
    total = jnp.einsum("ncf,ncfd->ncd", seen.counts * parts, seen.mean)
    mean = total / jnp.maximum(counts, 1.0)[..., None]
    return LabelGradients(mean, counts, jnp.sum(seen.square * parts, axis=2))


def _found(seen: LabelGradients, key: PRNGKeyArray) -> tuple[Any, ...]:
    method = LINKAGES["average"].make()
    wanted = Wanted(by_label, method, "xla", True)
    cut = gap()
    count = seen.counts.shape[0]
    most, fewest = min(MOST_GROUPS, count - 1), fewest_of(count, LEAST, SHARE)

    def grouped(parts):
        distances = by_label(together(seen, parts))
        merges = linkage(distances, method)
        return distances, merges, cut.take(merges, distances, wanted).groups[0]

    whole = jnp.ones(FOLDS, jnp.float32)
    distances, merges, own = grouped(whole)
    number = jnp.max(own) + 1
    told = jumps(merges, distances, wanted, most, fewest, SURROGATES, MARGIN)
    jump = jnp.argmax(told.ratio)

    def half(key):
        order = jax.random.permutation(key, FOLDS)
        distances, merges, found = grouped((order < FOLDS // 2).astype(jnp.float32))
        height = between(merges, most, fewest)[jump]
        as_many = at_heights(merges, distances, height[None], MOST_GROUPS, fewest).groups[0]
        return jnp.where(number > 1, as_many, found), jnp.max(found) + 1

    halves = lax.map(half, jax.vmap(partial(keys.for_part, key))(jnp.arange(HALVES)))
    labels = label_differences(together(seen, whole), own)
    return distances, merges, own, halves, told.ratio, told.limit, labels


def _jaccard(own: Int[np.ndarray, " N"], other: Int[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Of each client those in its group both times, in parts of those that are once or twice."""
    both = np.zeros((own.max() + 1, other.max() + 1))
    np.add.at(both, (own, other), 1)
    shared = both[own, other]
    return shared / (both.sum(axis=1)[own] + both.sum(axis=0)[other] - shared)
