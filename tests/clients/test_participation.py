"""Rounds in which a few clients train, against what each would do if everyone did."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from scipy.stats import chisquare

from demjax import demlearn, fedavg, fedprox, local_only, local_training
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clustering import counts, gradients, updates

CLIENTS, TASK = tiny.clients(), tiny.task()
COUNT = CLIENTS.n_clients
KEY = jax.random.key(3)
SYSTEMS = {
    "demlearn": partial(demlearn, levels=2),
    "demlearn by updates": partial(demlearn, cut=counts((4, 2)), features=updates(), period=2),
    "demlearn by gradients": partial(demlearn, levels=2, features=gradients()),
    "fedavg": fedavg,
    "control": partial(fedavg, mix=0.5),
    "fedprox": fedprox,
    "local_only": local_only,
}


def training(chunk=None):
    return local_training(TASK, optax.sgd(tiny.RATE), epochs=2, batch_size=tiny.BATCH, chunk=chunk)


def test_a_cohort_is_drawn_without_repeats_and_evenly():
    draws = jax.jit(jax.vmap(lambda key: participation.draw(key, 7, 3)))(
        jax.random.split(KEY, 4000)
    )
    assert (np.diff(draws, axis=1) > 0).all()
    often = np.bincount(np.ravel(draws), minlength=7)
    assert often.sum() == 12_000
    assert chisquare(often).pvalue > 1e-3
    triples = np.unique(draws, axis=0, return_counts=True)[1]
    assert triples.size == 35
    assert chisquare(triples).pvalue > 1e-3


def test_everyone_is_a_cohort_too():
    assert participation.draw(KEY, 7, None) is None
    np.testing.assert_array_equal(participation.draw(KEY, 7, 7), range(7))


@pytest.mark.parametrize("size", [0, 8])
def test_a_cohort_that_cannot_be_drawn_is_refused(size):
    with pytest.raises(ValueError, match=rf"a cohort from 1 to 7, but {size} was given"):
        participation.draw(KEY, 7, size)


def test_rows_are_taken_and_put_back():
    stacked = {"a": jnp.arange(12.0).reshape(4, 3), "b": jnp.arange(4)}
    who = jnp.array([3, 1])
    some = participation.rows(stacked, who)
    np.testing.assert_array_equal(some["a"], [[9, 10, 11], [3, 4, 5]])
    new = jax.tree.map(lambda leaf: -leaf, stacked)
    for changed in (
        participation.put(stacked, who, participation.rows(new, who)),
        participation.kept(stacked, who, new),
    ):
        np.testing.assert_array_equal(changed["b"], [0, -1, 2, -3])
        np.testing.assert_array_equal(changed["a"][::2], stacked["a"][::2])
    assert participation.rows(stacked, None) is stacked
    assert participation.kept(stacked, None, new) is new


@pytest.mark.parametrize("chunk", [1, 2])
def test_a_cohort_trains_as_if_everyone_did_and_the_others_rest(chunk):
    train = jax.jit(training(chunk).train, static_argnames="gradients")
    model = TASK.init(KEY)
    start = jax.tree.map(lambda leaf: leaf + jnp.arange(COUNT).reshape(-1, *[1] * leaf.ndim), model)
    everyone = train(KEY, start, CLIENTS, gradients=True)
    who = np.array([6, 2, 3])
    others = np.setdiff1d(np.arange(COUNT), who)
    got = train(KEY, start, CLIENTS, gradients=True, cohort=who)
    turned = train(KEY, start, CLIENTS, gradients=True, cohort=who[::-1])
    for some, again, whole in zip(*map(jax.tree.leaves, (got, turned, everyone)), strict=True):
        np.testing.assert_allclose(some[who], whole[who], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(some, again, rtol=1e-5, atol=1e-6)
    for some, before in zip(*map(jax.tree.leaves, (got[0], start)), strict=True):
        np.testing.assert_array_equal(some[others], before[others])
    assert np.isnan(got[1][others]).all()
    for slope in jax.tree.leaves(got[2]):
        assert not np.asarray(slope[others]).any()


def stepping(key, params, clients, proximal=None, gradients=False, cohort=None):
    """Known without computing: client n of the cohort moves by n + 1."""
    moved = jax.tree.map(lambda w: w + jnp.arange(1.0, 4.0)[:, None], params)
    return participation.kept(params, cohort, moved), jnp.zeros(3)


def test_the_servers_mean_is_that_of_the_cohort_by_examples():
    clients = tiny.clients(sizes=(1, 2, 3), test_sizes=(1, 1, 1))
    local = LocalTraining(lambda key: {"w": jnp.array([10.0])}, stepping)
    for factory in (fedavg, fedprox):
        algorithm = factory(local, cohort=2)
        state = algorithm.init(KEY, clients)
        models, server = np.full(3, 10.0), 10.0
        for number in range(6):
            key = jax.random.fold_in(KEY, number)
            who = np.asarray(participation.draw(key, 3, 2))
            state, _ = algorithm.round(key, state, clients)
            models[who] = server + who + 1
            server = np.average(models[who], weights=who + 1)
            np.testing.assert_allclose(tiny.plain(state.client)["w"][:, 0], models, rtol=1e-6)
            np.testing.assert_allclose(state.server["w"], server, rtol=1e-6)


def held(state, algorithm):
    """What clients hold; DemLearn deploys the global model for those that have not trained yet."""
    return getattr(state, "client", None) or algorithm.models(state).client


@pytest.mark.parametrize("name", SYSTEMS)
def test_others_keep_their_models(name):
    algorithm = SYSTEMS[name](training(), cohort=3)
    one_round, state = jax.jit(algorithm.round), algorithm.init(KEY, CLIENTS)
    for number in range(3):
        key = jax.random.fold_in(KEY, number)
        who = np.asarray(participation.draw(key, COUNT, 3))
        others = np.setdiff1d(np.arange(COUNT), who)
        before = held(state, algorithm)
        state, info = one_round(key, state, CLIENTS)
        after = held(state, algorithm)
        for old, new in zip(*map(jax.tree.leaves, (before, after)), strict=True):
            np.testing.assert_array_equal(old[others], new[others])
            assert (np.asarray(old != new).reshape(COUNT, -1).any(axis=1))[who].all()
        np.testing.assert_array_equal(np.isnan(info.loss), np.isin(np.arange(COUNT), others))


@pytest.mark.parametrize("name", ["demlearn by updates", "demlearn by gradients", "control"])
def test_a_cohort_of_everyone_changes_nothing(name):
    plain, drawn = (SYSTEMS[name](training(), cohort=size) for size in (None, COUNT))
    states = [algorithm.init(KEY, CLIENTS) for algorithm in (plain, drawn)]
    rounds = [jax.jit(algorithm.round) for algorithm in (plain, drawn)]
    for number in range(3):
        key = jax.random.fold_in(KEY, number)
        states = [go(key, state, CLIENTS)[0] for go, state in zip(rounds, states, strict=True)]
    one, other = (alg.models(state) for alg, state in zip((plain, drawn), states, strict=True))
    np.testing.assert_array_equal(one.hierarchy.groups, other.hierarchy.groups)
    tiny.close(one.client, other.client)
    tiny.close(one.group, other.group)


def test_groups_are_of_those_that_trained_and_only_the_cohort_takes_them_on():
    """A DemLearn round put together from its parts, in double precision where they are sums."""
    local = LocalTraining(lambda key: {"w": jnp.array([0.0])}, stepping)
    clients = tiny.clients(sizes=(1, 2, 3), test_sizes=(1, 1, 1))
    algorithm = demlearn(local, levels=0, mix=0.25, cohort=1, recency=0.7)
    one_round, state, models = jax.jit(algorithm.round), algorithm.init(KEY, clients), np.zeros(3)
    last, root = np.full(3, -1), 0.0
    for number in range(6):
        key = jax.random.fold_in(KEY, number)
        who = np.asarray(participation.draw(key, 3, 1))
        state, _ = one_round(key, state, clients)
        models[who] = np.where(last[who] < 0, root, models[who]) + who + 1
        last[who] = number
        root = np.average(models, weights=np.where(last < 0, 0, 0.7 ** (number - last)))
        models[who] = 0.75 * models[who] + 0.25 * root
        got = tiny.plain(algorithm.models(state).client)["w"][:, 0]
        np.testing.assert_allclose(got, np.where(last < 0, root, models), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(tiny.plain(state.group)["w"][0, 0], [root], rtol=1e-6)


def test_a_group_in_which_nobody_trained_lately_keeps_its_mean():
    last = jnp.array([3, -1, 200, 3])
    counts = participation.recency(jnp.ones((2, 4)) * jnp.array([[1.0], [2.0]]), last, 0.5)
    assert counts.shape == (2, 4)
    assert counts[0, 1] == 0
    assert counts[0, 0] == counts[0, 3] > 0
    np.testing.assert_array_equal(counts[:, 2], [1.0, 2.0])
    np.testing.assert_array_equal(participation.recency(jnp.ones(4), last, 1.0), [1, 0, 1, 1])


@pytest.mark.parametrize("trained", [[4], [1, 6], [0, 2, 3, 5, 6], range(7)], ids=str)
def test_stand_ins_are_shared_out_evenly_among_those_that_trained(trained):
    last = np.full(7, -1)
    last[list(trained)] = 2
    got = np.asarray(participation.stand_ins(jnp.asarray(last)))
    np.testing.assert_array_equal(got[list(trained)], list(trained))
    times = np.bincount(got, minlength=7)
    assert times[last < 0].sum() == 0
    assert np.ptp(times[list(trained)]) <= 1


@pytest.mark.parametrize("factory", [fedavg, fedprox])
def test_the_global_model_can_be_measured_as_every_clients(factory):
    algorithm = factory(training(), cohort=3, measure_at="averaged")
    plain = factory(training(), cohort=3)
    state = algorithm.init(KEY, CLIENTS)
    state, _ = algorithm.round(KEY, state, CLIENTS)
    for leaf, server in zip(
        *map(jax.tree.leaves, (algorithm.models(state).client, state.server)), strict=True
    ):
        np.testing.assert_array_equal(leaf, np.broadcast_to(server, leaf.shape))
    tiny.same_bits(algorithm.models(state).group, plain.models(state).group)
    assert tiny.differ([algorithm.models(state).client], [plain.models(state).client])


def test_an_unknown_moment_of_clients_models_is_told():
    with pytest.raises(ValueError, match=r"measure at 'latest' is unknown; possible are trained, "):
        fedavg(training(), measure_at="latest")
