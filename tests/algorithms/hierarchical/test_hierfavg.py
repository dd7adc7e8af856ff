"""HierFAVG against a loop over clients and edges, and where it is federated averaging."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from partitions_alike import failure

from demjax import fedavg, hierfavg, local_training
from demjax.base import NO_GROUP
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.hierarchy import clipped, weighted_mean

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
COUNT = len(tiny.SIZES)
KEY = jax.random.key(21)


def history(algorithm, count, clients=CLIENTS):
    """Models and info after each round."""
    one_round, state = jax.jit(algorithm.round), algorithm.init(KEY, clients)
    for number in range(count):
        state, info = one_round(jax.random.fold_in(KEY, number), state, clients)
        yield algorithm.models(state), info


def levels(models):
    """The edges' models, and the cloud's."""
    group = tiny.plain(models.group)
    return [tiny.unstack(jax.tree.map(lambda leaf, n=n: leaf[n], group)) for n in (0, 1)]


def reference(edge_of, *, kappa1, kappa2, cohort, rounds):
    """The paper's algorithm, round by round: losses, models of clients, edges and the cloud."""
    start = tiny.float64(LOCAL.init(KEY))
    edges, cloud, own = [start] * (max(edge_of) + 1), start, [start] * COUNT
    seen = np.zeros(len(edges))
    for number in range(rounds):
        key, losses = jax.random.fold_in(KEY, number), np.full(COUNT, np.nan)
        who = participation.draw(key, COUNT, cohort)
        who = range(COUNT) if who is None else np.asarray(who).tolist()
        for n in who:
            begun = edges[edge_of[n]]
            own[n], losses[n] = tiny.learn(key, begun, CLIENTS, n, epochs=kappa1)
        for e in range(len(edges)):
            here = [n for n in who if edge_of[n] == e]
            if here:
                total = sum(tiny.SIZES[n] for n in here)
                edges[e] = tiny.combine(*[(tiny.SIZES[n] / total, own[n]) for n in here])
                seen[e] += total
        if (number + 1) % kappa2 == 0:
            cloud = tiny.combine(*zip(seen / seen.sum(), edges, strict=True))
            edges, seen = [cloud] * len(edges), np.zeros(len(edges))
        yield losses, list(own), list(edges), cloud


@pytest.mark.parametrize("cohort", [None, 3])
@pytest.mark.parametrize(("kappa1", "kappa2"), [(2, 3), (1, 2)])
def test_every_round_is_that_of_the_loop_over_clients_and_edges(kappa1, kappa2, cohort):
    edge_of = [1, 0, 2, 0, 1, 2, 0, 0]
    options = {"kappa1": kappa1, "kappa2": kappa2, "cohort": cohort}
    algorithm = hierfavg(LOCAL, client_groups=np.array(edge_of), **options)
    wanted = reference(edge_of, rounds=7, **options)
    for (models, info), (losses, own, edges, cloud) in zip(
        history(algorithm, 7), wanted, strict=True
    ):
        np.testing.assert_allclose(info.loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), own)
        got_edges, got_cloud = levels(models)
        tiny.close(got_edges, edges)
        tiny.close(got_cloud[0], cloud)
        np.testing.assert_array_equal(models.hierarchy.groups, [edge_of, [0] * COUNT])


def shifting():
    """Local training that is known without computing: client n moves by n + 1."""

    def train(key, params, clients, proximal=None, gradients=False, cohort=None, *, epochs=None):
        moved = jax.tree.map(lambda w: w + jnp.arange(1.0, 5)[:, None], params)
        return participation.kept(params, cohort, moved), jnp.zeros(4)

    return LocalTraining(lambda key: {"w": jnp.zeros(1)}, train)


def test_two_edges_by_hand():
    """Clients of 1, 2, 3 and 4 examples move by 1, 2, 3 and 4 a round."""
    clients = tiny.clients(sizes=(1, 2, 3, 4), test_sizes=(1,) * 4)
    first, second = history(hierfavg(shifting(), edges=2, kappa2=2), 2, clients)
    # the edges: (1·1 + 2·2) / 3 and (3·3 + 4·4) / 7; the cloud still has the first model
    edges, cloud = levels(first[0])
    np.testing.assert_allclose([one["w"][0] for one in edges], [5 / 3, 25 / 7], rtol=1e-6)
    assert cloud[0]["w"] == 0
    # the second round adds as much; the cloud weighs 3 and 7 of 10 examples
    edges, cloud = levels(second[0])
    mean = 2 * (0.3 * 5 / 3 + 0.7 * 25 / 7)
    np.testing.assert_allclose([one["w"][0] for one in (*edges, *cloud)], [mean] * 4, rtol=1e-6)
    wanted = [5 / 3 + 1, 5 / 3 + 2, 25 / 7 + 3, 25 / 7 + 4]
    np.testing.assert_allclose(tiny.plain(second[0].client)["w"][:, 0], wanted, rtol=1e-6)
    # a model of one number is 4 bytes: 4 clients every round, 2 edges in the second
    for info, upper in ((first[1], 0), (second[1], 8)):
        assert (info.client_to_edge, info.edge_to_client) == (16, 16)
        assert (info.edge_to_cloud, info.cloud_to_edge) == (upper, upper)
        assert (info.bytes_up, info.bytes_down) == (16 + upper, 16 + upper)


def test_only_who_takes_part_sends():
    algorithm = hierfavg(LOCAL, edges=3, kappa2=1, cohort=2)
    _, info = next(history(algorithm, 1))
    one = 4 * (tiny.CLASSES + tiny.FEATURES * tiny.CLASSES)
    assert (info.client_to_edge, info.edge_to_cloud) == (2 * one, 3 * one)


@pytest.mark.parametrize(
    "options", [{"edges": 3}, {"edges": 3, "cohort": 4}, {"edges": 1}], ids=str
)
def test_a_cloud_that_averages_every_round_is_federated_averaging(options):
    plain = {"cohort": options["cohort"]} if "cohort" in options else {}
    rounds = zip(
        history(hierfavg(LOCAL, kappa2=1, **options), 4),
        history(fedavg(LOCAL, **plain), 4),
        strict=True,
    )
    for (models, info), (averaged, wanted) in rounds:
        tiny.close(models.client, averaged.client, 1e-6)
        (server,) = tiny.unstack(jax.tree.map(lambda leaf: leaf[-1], tiny.plain(averaged.group)))
        tiny.close(levels(models)[1][0], server, 1e-6)
        np.testing.assert_allclose(info.loss, wanted.loss, rtol=1e-6)


def test_one_edge_is_federated_averaging_whenever_the_cloud_looks():
    rounds = zip(
        history(hierfavg(LOCAL, edges=1, kappa2=3), 6), history(fedavg(LOCAL), 6), strict=True
    )
    for number, ((models, _), (averaged, _)) in enumerate(rounds, start=1):
        tiny.close(models.client, averaged.client, 1e-6)
        (server,) = tiny.unstack(jax.tree.map(lambda leaf: leaf[-1], tiny.plain(averaged.group)))
        edge, cloud = levels(models)
        tiny.close(edge[0], server, 1e-6)
        assert tiny.differ(cloud, [server]) == bool(number % 3)


def test_a_robust_average_takes_the_place_of_both_means():
    far = clipped(weighted_mean, 1e6)  # which clips nobody
    rounds = zip(
        history(hierfavg(LOCAL, edges=2, kappa2=2), 4),
        history(hierfavg(LOCAL, edges=2, kappa2=2, average=far), 4),
        strict=True,
    )
    for (one, _), (other, _) in rounds:
        tiny.close(levels(one), levels(other), 1e-6)
    near = hierfavg(LOCAL, edges=2, kappa2=2, average=clipped(weighted_mean, 1e-3))
    *_, (clipped_models, _) = history(near, 4)
    assert tiny.differ(levels(clipped_models)[1], levels(one)[1])


def test_clients_are_at_random_edges_of_as_many_where_that_is_asked_for():
    algorithm = hierfavg(LOCAL, edges=4, placement="random")
    found = algorithm.init(KEY, CLIENTS).hierarchy
    np.testing.assert_array_equal(found.size, [[2, 2, 2, 2], [8, 0, 0, 0]])
    assert found.groups[0].tolist() != [0, 0, 1, 1, 2, 2, 3, 3]
    other = algorithm.init(jax.random.key(22), CLIENTS).hierarchy
    assert found.groups[0].tolist() != other.groups[0].tolist()


def test_wrong_edges_are_refused():
    failure(lambda: hierfavg(LOCAL, kappa2=0), "kappa2", "0 was given")
    failure(lambda: hierfavg(LOCAL, kappa1=0), "kappa1", "0 was given")
    failure(lambda: hierfavg(LOCAL, edges=0), "edges", "0 was given")
    failure(
        lambda: hierfavg(LOCAL, placement="true_clusters"), "true clusters", "--placement order"
    )
    both = {"edges": 2, "client_groups": np.arange(8) % 2}
    failure(lambda: hierfavg(LOCAL, **both), "HierFAVG", "numbers and the group of each client")
    two = np.array([[0] * 8, [NO_GROUP] * 8])
    failure(lambda: hierfavg(LOCAL, client_groups=two), "one level of edges", "2 were given")
    algorithm = hierfavg(LOCAL, edges=9)
    failure(lambda: algorithm.init(KEY, CLIENTS), "9 groups", "8 clients")
    algorithm = hierfavg(LOCAL, client_groups=np.zeros(5, int))
    failure(lambda: algorithm.init(KEY, CLIENTS), "groups of 5 clients", "there are 8")
