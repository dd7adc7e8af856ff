"""FL+HC against a loop over clients with SciPy's clusters, and where it is federated averaging."""

import clusters_by_hand
import jax
import numpy as np
import optax
import pytest
import tiny
from partitions_alike import failure
from scipy.cluster.hierarchy import fcluster, linkage
from server_loops import members, rounds

from demjax import fedavg, fl_hc, local_training
from demjax.keys import for_second_stage
from demjax.pytrees import model_bytes, stack_copies

TASK = tiny.task(dropout=False)
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(43)
SIZES = np.array(tiny.SIZES)
ONE = model_bytes(stack_copies(LOCAL.init(KEY), 1))


def clusters_of(updates, method, metric, **cut):
    """SciPy's clusters of vectors, numbered by their first clients."""
    merges = linkage(np.stack(updates), method, metric)
    kind, at = next(iter(cut.items()))
    found = fcluster(merges, at, criterion={"clusters": "maxclust", "threshold": "distance"}[kind])
    numbers = list(dict.fromkeys(found.tolist()))
    return np.array([numbers.index(one) for one in found])


def reference(rounds_before, cohort, method, metric, slots, count, **cut):
    """The paper's algorithm 1: the clusters' models, and who is in which."""
    theta, at = [tiny.float64(TASK.init(KEY))] * slots, np.zeros(8, int)
    for number in range(count):
        key = jax.random.fold_in(KEY, number)
        if number == rounds_before:
            own, start = for_second_stage(key), theta[0]
            trained = [tiny.learn(own, start, CLIENTS, k, dropout=False)[0] for k in range(8)]
            updates = [tiny.vector(w) - tiny.vector(start) for w in trained]
            at, theta = clusters_of(updates, method, metric, **cut), [start] * slots
        who = members(key, CLIENTS, cohort)
        learned = {k: tiny.learn(key, theta[at[k]], CLIENTS, k, dropout=False)[0] for k in who}
        for c in set(at[who].tolist()):
            here = [k for k in who if at[k] == c]
            share = SIZES[here] / SIZES[here].sum()
            theta[c] = tiny.combine(*zip(share, [learned[k] for k in here], strict=True))
        yield list(theta), at, who


@pytest.mark.parametrize(
    ("cohort", "method", "metric", "cut"),
    [
        (5, "ward", "euclidean", {"clusters": 3}),
        (None, "complete", "cosine", {"threshold": 0.9}),
    ],
)
def test_every_round_is_that_of_the_loop_with_the_clusters_of_scipy(cohort, method, metric, cut):
    options = {"cohort": cohort, "rounds_before": 1}
    algorithm = fl_hc(LOCAL, linkage=method, metric=metric, max_clusters=6, **options, **cut)
    slots = cut.get("clusters", 6)
    loop = reference(method=method, metric=metric, slots=slots, count=3, **options, **cut)
    for number, ((_, models, info), (theta, at, who)) in enumerate(
        zip(rounds(algorithm, KEY, CLIENTS, 3), loop, strict=True)
    ):
        held = np.bincount(at, minlength=slots) > 0
        group = tiny.unstack(jax.tree.map(lambda leaf: leaf[0], tiny.plain(models.group)))
        wanted = [theta[c] if held[c] else group[c] for c in range(slots)]  # others mean nothing
        clusters_by_hand.hold(models, wanted, at, SIZES)
        # everyone is sent a model once more, and sends one, where clients are clustered
        travels = ONE * (len(who) + (8 if number == 1 else 0))
        assert (info.bytes_up, info.bytes_down) == (travels, travels)
    assert len(set(at.tolist())) > 1
    assert models.organization.times == 1


def test_one_cluster_is_federated_averaging():
    options = {"cohort": 5, "measure_at": "trained"}
    one = fl_hc(LOCAL, clusters=1, rounds_before=1, **options)
    clusters_by_hand.same(one, fedavg(LOCAL, **options), KEY, CLIENTS)


def test_what_is_not_possible_is_told_in_a_sentence():
    failure(lambda: fl_hc(LOCAL, clusters=0), "clusters", "0 was given")
    failure(lambda: fl_hc(LOCAL, clusters=2, threshold=0.1), "FL+HC", "one of them")
    failure(lambda: fl_hc(LOCAL, clusters=9).init(KEY, CLIENTS), "9 clusters", "8 clients")
