"""Groups that clients have: planted ones and none, how sure, and by what they differ."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

import demjax
from demjax import classification, data, groups, local_training, models
from demjax.clients.label_gradients import LabelGradients
from demjax.simulation.group_search import _jaccard, together

CLIENTS, EACH, INPUTS = 16, 150, 12


def clients_of(kinds, *, seed=0, swapped=(3, 7)):
    """Two labels that inputs tell; clients of the second kind have two inputs turned round."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, EACH * CLIENTS).astype(np.int32)
    signs = rng.choice([-1.0, 1.0], INPUTS)
    x = rng.normal(size=(y.size, INPUTS)) + np.where(y[:, None] == 1, 1.5 * signs, 0)
    owner = np.repeat(np.arange(CLIENTS), EACH)
    other = owner * kinds // CLIENTS == 1
    x[np.ix_(other, swapped)] *= -1
    parts = np.split(np.arange(y.size), CLIENTS)
    split = data.Partition(tuple(p[:120] for p in parts), tuple(p[120:] for p in parts))
    return data.client_data(x.astype(np.float32), y, split)


def found_in(clients, **options):
    task = classification(models.Linear(classes=2), clients.x[0])
    return groups(local_training(task, optax.sgd(0.1), epochs=1), clients, **options)


@pytest.fixture(scope="module")
def planted():
    return found_in(clients_of(2), rounds=1)


def test_planted_groups_are_found_surely_and_by_what_they_differ(planted):
    assert planted.n_groups == 2
    assert [*planted.groups] == [0] * 8 + [1] * 8
    assert planted.stability == 1.0
    assert 0.1 < planted.found_again <= 1.0
    # Inputs of label 0 are about 0, so that turning them round changes no mean.
    assert planted.labels[0] < 1.5
    assert planted.labels[1] > 10
    assert {*planted.inputs[:2].tolist()} == {3, 7}
    assert planted.input_ratio[1] > 10 > planted.input_ratio[2]
    assert planted.distances.shape == (CLIENTS, CLIENTS)
    assert np.argmax(planted.ratio) == 0
    assert planted.ratio[0] > planted.limit > 1


def test_where_there_are_none_there_is_one_group():
    found = found_in(clients_of(1), rounds=1)
    assert found.n_groups == 1
    assert not found.groups.any()
    assert found.inputs.size == 0
    assert found.found_again > 0.8


def test_jaccards_index_of_each_client_by_hand():
    own, other = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])
    np.testing.assert_allclose(_jaccard(own, other), [2 / 3, 2 / 3, 1 / 5, 2 / 3, 2 / 3])


def test_parts_together_are_the_gradients_of_all_their_examples():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, size=(3, 2, 4)).astype(float)
    mean = rng.normal(size=(3, 2, 4, 5)) * (counts > 0)[..., None]
    square = rng.uniform(size=(3, 2, 4))
    seen = LabelGradients(*(jnp.asarray(a, jnp.float32) for a in (mean, counts, square)))
    some = together(seen, jnp.asarray([1.0, 0, 1, 1]))
    kept = [0, 2, 3]
    total = np.sum(counts[..., kept, None] * mean[:, :, kept], axis=2)
    number = counts[..., kept].sum(2)
    tiny.close(some.counts, number)
    tiny.close(some.mean, total / np.maximum(number, 1)[..., None])
    tiny.close(some.square, square[..., kept].sum(2))


def test_the_recommended_setting_finds_them_as_it_trains():
    clients = clients_of(2)
    task = classification(models.Linear(classes=2), clients.x[0])
    local = local_training(task, optax.sgd(0.1), epochs=1)
    options = {"features": "label_gradients", "cut": "gap", "start": "parent", "prox": 0.0}
    for more, share in (({}, 1.0), ({"cohort": 8}, 0.9)):
        algorithm = demjax.demlearn(local, mix=(0.2, 0.0), **options, **more)
        state = demjax.simulate(
            algorithm, task, clients, rounds=8, key=jax.random.key(0), eval_every=8
        ).state
        row = np.asarray(state.hierarchy.groups[0])
        right = max(np.mean(row == truth) for truth in (planted_row(), 1 - planted_row()))
        assert right >= share, more


def planted_row():
    return np.repeat([0, 1], 8)


def test_few_clients_and_tasks_that_tell_nothing_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="3 clients or more, but there are 2"):
        found_in(tiny.clients((4, 4), (1, 1)))
    with pytest.raises(ValueError, match="rounds"):
        found_in(clients_of(1), rounds=-1)
    local = local_training(tiny.task(), optax.sgd(0.1))
    with pytest.raises(ValueError, match="possible are the features"):
        groups(local, tiny.clients())
