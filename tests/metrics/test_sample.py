"""Samples of test examples and clients, and their standard errors, against loops and textbooks."""

import jax
import numpy as np
import pytest
import tiny
from measured import CLIENTS, GROUPS, ROWS, TASK, random_models

from demjax import keys
from demjax.metrics import measure
from demjax.metrics.sample import draw
from demjax.metrics.scoring import all_test_examples

EXAMPLE, OWNER = all_test_examples(CLIENTS)
KEY = jax.random.key(3)


def right(model, row):
    return float(tiny.answers(model, CLIENTS, [row]))


def at(stacked, *where):
    return {name: leaf[where] for name, leaf in tiny.float64(stacked).items()}


def drawn(examples=None, clients=None):
    """Which examples and clients the key draws, in their order."""
    of_examples, of_clients = keys.for_measures(KEY)
    order = np.asarray(jax.random.permutation(of_examples, len(EXAMPLE)))[:examples]
    who = np.asarray(jax.random.permutation(of_clients, len(ROWS)))[:clients]
    return order if examples else np.arange(len(EXAMPLE)), who if clients else np.arange(len(ROWS))


def measures_by_loop(models, order, who):
    """C-SPE, C-GEN, G-SPE and Global over some examples and clients, by weights that can be 0."""
    own = [right(at(models.client, OWNER[e]), EXAMPLE[e]) for e in order if OWNER[e] in who]
    gen = [np.mean([right(at(models.client, n), EXAMPLE[e]) for e in order]) for n in who]
    root = [right(at(models.group, len(GROUPS) - 1, 0), EXAMPLE[e]) for e in order]
    total = weight = 0
    for slot in range(3):
        mine = [e for e in order if GROUPS[0][OWNER[e]] == slot]
        if mine:
            size = np.sum(GROUPS[0] == slot)
            total += size * np.mean([right(at(models.group, 0, slot), EXAMPLE[e]) for e in mine])
            weight += size
    g_spe = total / weight if weight else np.nan
    return np.array([np.mean(own) if own else np.nan, np.mean(gen), g_spe, np.mean(root)])


def found(measures):
    return [measures.c_spe, measures.c_gen, measures.g_spe[0], measures.global_score]


def jackknife(values):
    return (len(values) - 1) / len(values) * np.sum((values - np.mean(values, 0)) ** 2, 0)


@pytest.mark.parametrize("block", [4, 512])
def test_a_sample_of_examples_is_a_loop_over_them(block):
    models, m = random_models(), 9
    take = measure(TASK, CLIENTS, measure_examples=m, key=KEY, block=block, extra="loss")
    got = jax.jit(take)(models)
    order, who = drawn(examples=m)
    np.testing.assert_allclose(found(got), measures_by_loop(models, order, who), rtol=1e-6)
    without = [measures_by_loop(models, np.delete(order, i), who) for i in range(m)]
    wanted = np.sqrt((1 - m / len(EXAMPLE)) * jackknife(np.array(without)))
    np.testing.assert_allclose(found(got.errors), wanted, rtol=1e-4)
    assert take.sampled == {"examples": (m, len(EXAMPLE))}
    tested = np.isin(np.arange(len(ROWS)), OWNER[order])
    np.testing.assert_array_equal(np.isnan(got.client_spe), ~tested)


def test_the_error_of_a_mean_is_the_textbooks():
    """s/√m √(1 − m/T): of the root's score over examples, and of C-GEN over clients."""
    models, m, k = random_models(), 9, 5
    order, who = drawn(examples=m, clients=k)
    got = measure(TASK, CLIENTS, measure_examples=m, key=KEY)(models)
    scores = [right(at(models.group, len(GROUPS) - 1, 0), EXAMPLE[e]) for e in order]
    wanted = np.std(scores, ddof=1) / np.sqrt(m) * np.sqrt(1 - m / len(EXAMPLE))
    np.testing.assert_allclose(got.errors.global_score, wanted, rtol=1e-4)

    got = measure(TASK, CLIENTS, measure_clients=k, key=KEY, extra="loss")(models)
    gen = [np.mean([right(at(models.client, n), e) for e in EXAMPLE]) for n in who]
    wanted = np.std(gen, ddof=1) / np.sqrt(k) * np.sqrt(1 - k / len(ROWS))
    np.testing.assert_allclose(got.c_gen, np.mean(gen), rtol=1e-6)
    np.testing.assert_allclose(got.errors.c_gen, wanted, rtol=1e-4)
    assert got.errors.global_score == 0
    whole = measure(TASK, CLIENTS, extra="loss")(models)
    np.testing.assert_allclose(got.global_score, whole.global_score, rtol=1e-6)
    np.testing.assert_allclose(
        got.extra["loss"].client_gen[who], whole.extra["loss"].client_gen[who]
    )
    assert np.isnan(np.delete(np.asarray(got.client_gen), who)).all()


def test_a_sample_of_clients_is_a_loop_over_them():
    models, k = random_models(2), 5
    got = jax.jit(measure(TASK, CLIENTS, measure_clients=k, key=KEY))(models)
    order, who = drawn(clients=k)
    np.testing.assert_allclose(found(got), measures_by_loop(models, order, who), rtol=1e-6)
    without = [measures_by_loop(models, order, np.delete(who, i)) for i in range(k)]
    wanted = np.sqrt((1 - k / len(ROWS)) * jackknife(np.array(without)))
    np.testing.assert_allclose(found(got.errors)[:2], wanted[:2], rtol=1e-4)


def test_squares_of_errors_add_up_where_both_are_sampled():
    models, m, k = random_models(1), 12, 6
    take = measure(TASK, CLIENTS, measure_examples=m, measure_clients=k, key=KEY)
    got, (order, who) = take(models), drawn(m, k)
    np.testing.assert_allclose(found(got), measures_by_loop(models, order, who), rtol=1e-6)
    examples = [measures_by_loop(models, np.delete(order, i), who) for i in range(m)]
    clients = [measures_by_loop(models, order, np.delete(who, i)) for i in range(k)]
    wanted = (1 - m / len(EXAMPLE)) * jackknife(np.array(examples))
    wanted = wanted + (1 - k / len(ROWS)) * jackknife(np.array(clients))
    np.testing.assert_allclose(found(got.errors)[:2], np.sqrt(wanted[:2]), rtol=1e-4)


def test_everything_is_no_sample():
    models = random_models()
    whole = jax.jit(measure(TASK, CLIENTS))(models)
    take = measure(TASK, CLIENTS, measure_examples=len(EXAMPLE), measure_clients=999, key=KEY)
    tiny.same_bits(jax.jit(take)(models), whole)
    assert take.sampled == {}
    assert whole.errors is None


def test_a_large_sample_is_in_32_parts_that_are_alike():
    example, owner = np.arange(5000), np.arange(5000) % 7
    options = {"measure_clients": None, "key": KEY, "block": 512}
    sample = draw(example, owner, 7, measure_examples=1000, **options)
    assert sample.tests.shape == (32, 7)
    assert sample.tests.sum() == 1000
    assert sample.tests.sum(1).max() - sample.tests.sum(1).min() == 1
    assert len(np.unique(sample.example[sample.owner < 7])) == 1000
    assert sample.example.shape[1] % 32 == 0
    assert sample.example.shape[1] <= 512
    again = draw(example, owner, 7, measure_examples=1000, **options)
    np.testing.assert_array_equal(sample.example, again.example)
    other = draw(example, owner, 7, measure_examples=1000, **options | {"key": jax.random.key(4)})
    assert (sample.example != other.example).any()


@pytest.mark.parametrize("name", ["measure_examples", "measure_clients"])
@pytest.mark.parametrize("value", [1, 0, 2.5])
def test_samples_of_less_than_two_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} .*at least 2"):
        measure(TASK, CLIENTS, **{name: value})


def test_a_traced_key_is_refused():
    with pytest.raises(ValueError, match="before a program is traced"):
        jax.jit(lambda key: measure(TASK, CLIENTS, measure_clients=3, key=key)(random_models()))(
            KEY
        )
