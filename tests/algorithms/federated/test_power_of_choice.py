"""Power-of-Choice against a loop over clients, its draw, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import server_loops
import tiny

from demjax import fedavg, local_training, power_of_choice
from demjax.algorithms.federated.power_of_choice import _drawn_by_examples
from demjax.keys import for_cohort
from demjax.pytrees import model_bytes, stack_copies

CLIENTS = tiny.clients()
KEY = jax.random.key(33)
LOCAL = local_training(
    tiny.task(dropout=False), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH
)
SIZES = np.array(tiny.SIZES)


def loss_at(model, client):
    rows = np.asarray(CLIENTS.train)[client, : SIZES[client]]
    x, y = np.asarray(CLIENTS.x, np.float64)[rows], np.asarray(CLIENTS.y)[rows]
    return tiny.gradient(model, x, y)[0]


@pytest.mark.parametrize("weighting", ["clients", "examples"])
def test_every_round_is_that_of_the_loop_over_the_candidates(weighting):
    algorithm = power_of_choice(LOCAL, candidates=5, cohort=2, weighting=weighting)
    model = tiny.float64(LOCAL.init(KEY))
    for key, models, info in server_loops.rounds(algorithm, KEY, CLIENTS, 4):
        asked = np.asarray(_drawn_by_examples(for_cohort(key), CLIENTS.train_size, 5))
        before = {int(n): loss_at(model, n) for n in asked}
        who = sorted(sorted(before, key=before.get)[-2:])
        wanted = [before.get(n, np.nan) for n in range(8)]
        np.testing.assert_allclose(info.loss_before, wanted, rtol=5e-5)
        assert np.flatnonzero(~np.isnan(info.loss)).tolist() == who
        trained = [tiny.learn(key, model, CLIENTS, n, dropout=False)[0] for n in who]
        weight = np.ones(2) if weighting == "clients" else SIZES[who]
        model = tiny.combine(*zip(weight / weight.sum(), trained, strict=True))
        tiny.close(server_loops.global_model(models), model, 5e-5)


def test_candidates_are_drawn_without_replacement_in_proportion_to_examples():
    size = jnp.array([6, 3, 1])
    keys = jax.random.split(KEY, 4000)
    drawn = np.asarray(jax.vmap(lambda key: _drawn_by_examples(key, size, 2))(keys))
    assert (drawn[:, 0] < drawn[:, 1]).all()
    share = [np.mean((drawn == n).any(axis=1)) for n in range(3)]
    # one after another: .6 + .3 · 6/7 + .1 · 6/9 and so on
    wanted = [0.6 + 0.3 * 6 / 7 + 0.1 * 6 / 9, 0.3 + 0.6 * 3 / 4 + 0.1 * 3 / 9]
    np.testing.assert_allclose(share, [*wanted, 2 - sum(wanted)], atol=0.03)


def test_with_as_many_candidates_as_train_they_are_a_random_cohort():
    """Their loss is asked for, and plays no part."""
    algorithm = power_of_choice(LOCAL, candidates=3, cohort=3, weighting="examples")
    seen = list(server_loops.rounds(algorithm, KEY, CLIENTS, 3))
    model = tiny.float64(LOCAL.init(KEY))
    for key, models, info in seen:
        who = np.asarray(_drawn_by_examples(for_cohort(key), CLIENTS.train_size, 3))
        assert np.flatnonzero(~np.isnan(info.loss)).tolist() == who.tolist()
        trained = [tiny.learn(key, model, CLIENTS, n, dropout=False)[0] for n in who]
        model = server_loops.mean_by_examples(CLIENTS, who, trained)
        tiny.close(server_loops.global_model(models), model, 5e-5)


def test_with_everyone_it_is_fedavg():
    one = power_of_choice(LOCAL, weighting="examples", measure_at="trained")
    server_loops.same(one, fedavg(LOCAL), KEY, CLIENTS)


def test_every_candidate_is_sent_a_model():
    algorithm = power_of_choice(LOCAL, cohort=3)  # and 6 candidates, twice as many
    ((_, _, info),) = server_loops.rounds(algorithm, KEY, CLIENTS, 1)
    assert info.bytes_down == 6 * model_bytes(stack_copies(LOCAL.init(KEY), 1)) == 6 * 60
    assert np.sum(~np.isnan(info.loss_before)) == 6
    assert not hasattr(info, "bytes_up")  # a model of each that trained, as anywhere


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cohort": 5, "candidates": 4}, "candidates from 5 to 8, but 4"),
        ({"cohort": 5, "candidates": 9}, "candidates from 5 to 8, but 9"),
        ({"cohort": 9}, "a cohort from 1 to 8, but 9"),
        ({"candidates": 4}, "candidates from 8 to 8, but 4"),
    ],
)
def test_what_is_not_possible_is_told_in_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        power_of_choice(LOCAL, **options).init(KEY, CLIENTS)
