"""CFL against a loop over clients with SciPy's halves, and where it is federated averaging."""

import clusters_by_hand
import jax
import numpy as np
import optax
import tiny
from partitions_alike import failure
from scipy.cluster.hierarchy import fcluster, linkage
from server_loops import rounds

from demjax import cfl, fedavg, local_training

TASK = tiny.task(dropout=False)
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(47)
SIZES = np.array(tiny.SIZES, float)


def reference(eps1, eps2, split_after, slots, count):
    """The paper's algorithm, round by round: models, who is in which cluster, and lengths."""
    theta, at = [tiny.float64(TASK.init(KEY))], np.zeros(8, int)
    for number in range(count):
        key = jax.random.fold_in(KEY, number)
        start = [tiny.vector(theta[c]) for c in at]
        trained = [tiny.learn(key, theta[at[i]], CLIENTS, i, dropout=False)[0] for i in range(8)]
        update = np.stack([tiny.vector(w) - v for w, v in zip(trained, start, strict=True)])
        length, means, largest = np.linalg.norm(update, axis=1), np.zeros(slots), np.zeros(slots)
        for c in range(len(theta)):
            here = np.flatnonzero(at == c)
            means[c] = np.linalg.norm(SIZES[here] @ update[here] / SIZES[here].sum())
            largest[c] = length[here].max()
        for c in range(len(theta)):
            here = np.flatnonzero(at == c)
            rests = means[c] < eps1 and largest[c] > eps2 and number >= split_after
            if rests and len(here) > 2 and len(theta) < slots:
                halves = fcluster(linkage(update[here], "complete", "cosine"), 2, "maxclust")
                at[here[halves != halves[0]]] = len(theta)
                theta.append(theta[c])
        for c in range(len(theta)):
            here = np.flatnonzero(at == c)
            share = SIZES[here] / SIZES[here].sum()
            theta[c] = tiny.combine(*zip(share, [trained[i] for i in here], strict=True))
        yield list(theta), at.copy(), means, largest


def test_every_round_is_that_of_the_loop_which_parts_clusters():
    numbers = {"eps1": 1.0, "eps2": 0.3, "split_after": 1}
    algorithm = cfl(LOCAL, max_clusters=3, **numbers)
    seen = []
    for (_, models, info), (theta, at, means, largest) in zip(
        rounds(algorithm, KEY, CLIENTS, 6), reference(**numbers, slots=3, count=6), strict=True
    ):
        group = tiny.unstack(jax.tree.map(lambda leaf: leaf[0], tiny.plain(models.group)))
        clusters_by_hand.hold(models, [*theta, *group[len(theta) :]], at, SIZES)
        np.testing.assert_allclose(info.mean_update, means, rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(info.largest_update, largest, rtol=2e-4, atol=1e-5)
        seen.append(len(theta))
    assert seen[0] == 1  # not before the round that is said
    assert seen[-1] == 3


def test_that_never_parts_is_federated_averaging():
    one = cfl(LOCAL, eps1=0.0, split_after=0, max_clusters=2, measure_at="trained")
    clusters_by_hand.same(one, fedavg(LOCAL), KEY, CLIENTS)


def test_what_is_not_possible_is_told_in_a_sentence():
    failure(lambda: cfl(LOCAL, max_clusters=0), "max_clusters", "0 was given")
    failure(lambda: cfl(LOCAL, eps1=-1.0), "eps1", "-1.0 was given")
    failure(lambda: cfl(LOCAL, linkage="ward"), "linkage", "ward")
