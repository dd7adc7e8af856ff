"""PACFL against a loop with SciPy's angles and clusters, and where it is federated averaging."""

import clusters_by_hand
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny
from needs import task_of
from partitions_alike import failure
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.linalg import subspace_angles
from scipy.spatial.distance import squareform
from server_loops import members, rounds

from demjax import fedavg, local_training, pacfl
from demjax.pytrees import model_bytes, stack_copies

TASK = task_of("fedrc")
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
SIZES = np.array((7, 5, 12, 5, 9, 4, 10, 6))
CLIENTS = tiny.clients(tuple(SIZES.tolist()))
KEY = jax.random.key(59)
ONE = model_bytes(stack_copies(LOCAL.init(KEY), 1))


def clusters_of(count):
    x = np.asarray(CLIENTS.x, np.float64)
    rows = [np.asarray(CLIENTS.train)[i, : SIZES[i]] for i in range(8)]
    bases = [np.linalg.svd(x[own].T, full_matrices=False)[0][:, :2] for own in rows]
    angle = np.array([[subspace_angles(u, v).min() for v in bases] for u in bases])
    np.fill_diagonal(angle, 0)
    merges = linkage(squareform((angle + angle.T) / 2), "complete")
    found = fcluster(merges, count, "maxclust")
    numbers = list(dict.fromkeys(found.tolist()))
    return np.array([numbers.index(one) for one in found])


def test_every_round_is_that_of_the_loop_in_the_clusters_of_scipy():
    at, theta = clusters_of(3), [tiny.float64(TASK.init(KEY))] * 3
    algorithm = pacfl(LOCAL, basis=2, clusters=3, cohort=5)
    for number, (key, models, info) in enumerate(rounds(algorithm, KEY, CLIENTS, 3)):
        who = members(key, CLIENTS, 5)
        learned = {i: tiny.learn(key, theta[at[i]], CLIENTS, i, dropout=False)[0] for i in who}
        for c in set(at[who].tolist()):
            here = [i for i in who if at[i] == c]
            share = SIZES[here] / SIZES[here].sum()
            theta[c] = tiny.combine(*zip(share, [learned[i] for i in here], strict=True))
        clusters_by_hand.hold(models, theta, at, SIZES)
        # with the first models go two vectors of four numbers from each of eight clients
        bases = 8 * 2 * 4 * 4 if number == 0 else 0
        assert (info.bytes_up, info.bytes_down) == (5 * ONE + bases, 5 * ONE)
    assert len(set(at.tolist())) == 3


def test_one_cluster_is_federated_averaging():
    options = {"cohort": 5, "measure_at": "trained"}
    one = pacfl(LOCAL, clusters=1, per_label=True, angle="sum", **options)
    clusters_by_hand.same(one, fedavg(LOCAL, **options), KEY, CLIENTS)


def test_what_is_not_possible_is_told_in_a_sentence():
    failure(lambda: pacfl(LOCAL, clusters=0), "clusters", "0 was given")
    failure(lambda: pacfl(LOCAL, clusters=2, threshold=9.0), "PACFL", "one of them")
    failure(lambda: pacfl(LOCAL, clusters=9).init(KEY, CLIENTS), "9 clusters", "8 clients")
    failure(lambda: pacfl(LOCAL, basis=5).init(KEY, CLIENTS), "a basis from 1 to 4", "5 was given")
    targets = CLIENTS._replace(y=jnp.asarray(CLIENTS.y, jnp.float32))
    failure(lambda: pacfl(LOCAL, per_label=True).init(KEY, targets), "PACFL", "no labels")
