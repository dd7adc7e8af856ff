"""FeSEM against a loop over clients and centres, and where it is federated averaging."""

import clusters_by_hand
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny
from partitions_alike import failure
from scipy.cluster.hierarchy import fcluster, linkage
from server_loops import rounds

from demjax import fedavg, fesem, local_training
from demjax.pytrees import StackedModels

TASK = tiny.task(dropout=False)
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(61)


def trained_by_all(key, centres, at):
    return [tiny.learn(key, centres[at[i]], CLIENTS, i, dropout=False)[0] for i in range(8)]


def means(models, at, centres):
    """Maximization: the mean of each cluster, or its centre where there is nobody."""
    here = [np.flatnonzero(at == k) for k in range(len(centres))]
    own = [[(1 / len(some), models[i]) for i in some] for some in here]
    return [tiny.combine(*some) if some else w for some, w in zip(own, centres, strict=True)]


def nearest(models, centres):
    """Expectation."""
    points = np.stack([tiny.vector(model) for model in models])
    far = [np.sum((points - tiny.vector(centre)) ** 2, axis=1) for centre in centres]
    return np.argmin(far, axis=0)


def test_every_round_is_that_of_the_loop_over_clients_and_centres():
    """The first clusters are SciPy's by Ward."""
    centres, at = [tiny.float64(TASK.init(KEY))] * 3, np.zeros(8, int)
    for number, (key, models, _) in enumerate(rounds(fesem(LOCAL, clusters=3), KEY, CLIENTS, 3)):
        trained = trained_by_all(key, centres, at)
        if number == 0:
            points = np.stack([tiny.vector(w) for w in trained])
            found = fcluster(linkage(points, "ward"), 3, "maxclust").tolist()
            at = np.array([list(dict.fromkeys(found)).index(one) for one in found])
        else:
            at = nearest(trained, centres)
        centres = means(trained, at, centres)
        clusters_by_hand.hold(models, centres, at, np.ones(8))
    assert len(set(at.tolist())) == 3


def test_clients_go_to_the_nearest_centre_wherever_they_were():
    algorithm, at = fesem(LOCAL, clusters=3), np.zeros(8, int)
    start = tiny.float64(TASK.init(KEY))
    learned = trained_by_all(jax.random.key(1), [start], at)
    centres = [start, learned[2], learned[5]]
    state, moved = algorithm.init(KEY, CLIENTS), 0
    stacked = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves), jnp.float32), *centres)
    held = state.clusters._replace(cluster=StackedModels.from_pytree(stacked))
    state, one_round = state._replace(clusters=held, round=jnp.int32(1)), jax.jit(algorithm.round)
    for number in range(3):
        key = jax.random.fold_in(KEY, number)
        state, _ = one_round(key, state, CLIENTS)
        trained, before = trained_by_all(key, centres, at), at
        at = nearest(trained, centres)
        centres, moved = means(trained, at, centres), moved + np.count_nonzero(at != before)
        clusters_by_hand.hold(algorithm.models(state), centres, at, np.ones(8))
    assert moved


def test_one_cluster_is_federated_averaging():
    one = fesem(LOCAL, clusters=1, weighting="examples", measure_at="trained")
    clusters_by_hand.same(one, fedavg(LOCAL), KEY, CLIENTS)


def test_what_is_not_possible_is_told_in_a_sentence():
    failure(lambda: fesem(LOCAL, clusters=0), "clusters", "0 was given")
    failure(lambda: fesem(LOCAL, clusters=9).init(KEY, CLIENTS), "9 clusters", "8 clients")
