"""IFCA against a loop over clients and clusters, and where it is federated averaging."""

import clusters_by_hand
import jax
import numpy as np
import optax
import pytest
import tiny
from partitions_alike import failure
from server_loops import members, rounds

from demjax import fedavg, ifca, local_training
from demjax.base import NO_GROUP
from demjax.keys import for_part
from demjax.pytrees import model_bytes, stack_copies

TASK = tiny.task(dropout=False)
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(41)
SIZES = np.array(tiny.SIZES)
ONE = model_bytes(stack_copies(LOCAL.init(KEY), 1))


def examples_of(client):
    rows = np.asarray(CLIENTS.train)[client, : SIZES[client]]
    return np.asarray(CLIENTS.x, np.float64)[rows], np.asarray(CLIENTS.y)[rows]


def reference(averaging, *, weighting, cohort, count):
    """The paper's algorithm 1: the clusters' models, who is in which, and losses."""
    drawn = [KEY, for_part(KEY, 1), for_part(KEY, 2)]
    theta = [tiny.float64(TASK.init(key)) for key in drawn]
    at = np.full(8, NO_GROUP)
    for number in range(count):
        key = jax.random.fold_in(KEY, number)
        who, seen = members(key, CLIENTS, cohort), {}
        for i in who:
            losses = [tiny.gradient(model, *examples_of(i))[0] for model in theta]
            at[i] = np.argmin(losses)
            if averaging == "models":
                seen[i], _ = tiny.learn(key, theta[at[i]], CLIENTS, i, dropout=False)
            else:
                _, seen[i] = tiny.gradient(theta[at[i]], *examples_of(i))
        weight = {i: SIZES[i] if weighting == "examples" else 1 for i in who}
        for j in range(3):
            here = [i for i in who if at[i] == j]
            if averaging == "models" and here:
                total = sum(weight[i] for i in here)
                theta[j] = tiny.combine(*[(weight[i] / total, seen[i]) for i in here])
            if averaging == "gradients":
                total = sum(weight.values())
                steps = [(-0.5 * weight[i] / total, seen[i]) for i in here]
                theta[j] = tiny.combine((1, theta[j]), *steps)
        yield list(theta), at.copy(), who


@pytest.mark.parametrize(
    ("averaging", "weighting", "cohort"),
    [("models", "clients", None), ("models", "examples", 5), ("gradients", "clients", 5)],
)
def test_every_round_is_that_of_the_loop_over_clients_and_clusters(averaging, weighting, cohort):
    options = {"averaging": averaging, "weighting": weighting, "cohort": cohort}
    algorithm = ifca(LOCAL, clusters=3, gradient_lr=0.5, **options)
    wanted = reference(**options, count=4)
    joined = set()
    for (_, models, info), (theta, at, who) in zip(
        rounds(algorithm, KEY, CLIENTS, 4), wanted, strict=True
    ):
        weight = SIZES if weighting == "examples" else np.ones(8)
        clusters_by_hand.hold(models, theta, at, weight)
        assert np.flatnonzero(~np.isnan(info.loss)).tolist() == who
        # all models go down to each that takes part, one comes up
        assert (info.bytes_up, info.bytes_down) == (len(who) * ONE, 3 * len(who) * ONE)
        joined |= set(at.tolist()) - {NO_GROUP}
    assert len(joined) > 1


def test_one_cluster_is_federated_averaging():
    options = {"cohort": 5, "measure_at": "trained"}
    one = ifca(LOCAL, clusters=1, weighting="examples", **options)
    clusters_by_hand.same(one, fedavg(LOCAL, **options), KEY, CLIENTS)


def test_what_is_not_possible_is_told_in_a_sentence():
    failure(lambda: ifca(LOCAL, clusters=0), "clusters", "0 was given")
    failure(lambda: ifca(LOCAL, clusters=9).init(KEY, CLIENTS), "9 clusters", "8 clients")
    gradients = {"averaging": "gradients", "measure_at": "trained"}
    failure(lambda: ifca(LOCAL, **gradients), "gradients", "possible is averaging 'models'")
