"""Measures beside the score, against loops over models and test examples in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from measured import CLIENTS, GROUPS, ROWS, SLOTS, TASK, random_models

import demjax
from demjax.base import NO_GROUP
from demjax.metrics import Metric, measure
from demjax.registry import METRICS


def logits_of(model, row):
    x = np.asarray(CLIENTS.x, np.float64)[row]
    return [np.sum(x * model["w"][:, c]) + model["b"][c] for c in range(tiny.CLASSES)]


def loss_by_loop(model, rows):
    y = np.asarray(CLIENTS.y)
    each = []
    for row in rows:
        logits = logits_of(model, row)
        each.append(np.log(sum(np.exp(one) for one in logits)) - logits[y[row]])
    return sum(each) / len(each)


def balanced_by_loop(model, rows):
    y = np.asarray(CLIENTS.y)
    recalls = []
    for label in range(tiny.CLASSES):
        of_class = [row for row in rows if y[row] == label]
        if of_class:
            hits = [int(np.argmax(logits_of(model, row))) == label for row in of_class]
            recalls.append(sum(hits) / len(hits))
    return sum(recalls) / len(recalls)


def root_by_loop(model, rows):
    """Root of the mean square of the first logit, plus the mean of the second."""
    first = [logits_of(model, row)[0] ** 2 for row in rows]
    second = [logits_of(model, row)[1] for row in rows]
    return np.sqrt(sum(first) / len(rows)) + sum(second) / len(rows)


OWN = Metric(
    lambda outputs, y: jnp.stack([outputs[:, 0] ** 2, outputs[:, 1]], axis=1),
    lambda means: jnp.sqrt(means[0]) + means[1],
)
CASES = {
    "loss": ("loss", loss_by_loop),
    "balanced_accuracy": ("balanced_accuracy", balanced_by_loop),
    "root": (OWN, root_by_loop),
    "margin": (
        lambda outputs, y: outputs[:, 0] - outputs[:, 2],
        lambda model, rows: np.mean(
            [logits_of(model, r)[0] - logits_of(model, r)[2] for r in rows]
        ),
    ),
}


def by_loop(models, value):
    """All measures of one value of a model on examples."""
    client, group = (tiny.float64(m) for m in (models.client, models.group))
    everything = [row for mine in ROWS for row in mine]
    at = lambda stacked, *where: {n: leaf[where] for n, leaf in stacked.items()}  # noqa: E731
    own = [value(at(client, n), ROWS[n]) if len(ROWS[n]) else np.nan for n in range(len(ROWS))]
    gen = [value(at(client, n), everything) for n in range(len(ROWS))]
    spe_of, gen_of = np.full((2, *GROUPS.shape[:1], SLOTS), np.nan)
    for level, groups in enumerate(GROUPS):
        for slot in set(groups) - {NO_GROUP}:
            members = [row for n in np.flatnonzero(groups == slot) for row in ROWS[n]]
            spe_of[level, slot] = value(at(group, level, slot), members)
            gen_of[level, slot] = value(at(group, level, slot), everything)
    size = np.asarray(models.hierarchy.size)
    weighted = [
        [np.nansum(row * s) / np.sum(s) for row, s in zip(table, size, strict=True)]
        for table in (spe_of, gen_of)
    ]
    return {
        "client_spe": own,
        "client_gen": gen,
        "group_spe": spe_of,
        "group_gen": gen_of,
        "c_gen": np.mean(gen),
        "g_spe": weighted[0],
        "g_gen": weighted[1],
        "global_score": gen_of[-1, 0],
    }


@pytest.mark.parametrize(("block", "chunk"), [(3, 2), (64, None)])
def test_extra_measures_are_loops_over_models_and_examples(block, chunk):
    extra = {name: given for name, (given, _) in CASES.items()}
    models = random_models()
    got = jax.jit(measure(TASK, CLIENTS, extra=extra, block=block, chunk=chunk))(models)
    assert set(got.extra) == set(CASES)
    for name, (_, value) in CASES.items():
        for field, wanted in by_loop(models, value).items():
            found = getattr(got.extra[name], field)
            np.testing.assert_allclose(
                found, wanted, rtol=2e-5, atol=2e-7, err_msg=f"{name} {field}"
            )
        assert got.extra[name].errors is None


def test_specialization_of_clients_takes_all_own_answers_together():
    """C-SPE is of the answers to everybody's own examples, as if one model had given them."""
    models = random_models()
    got = measure(TASK, CLIENTS, extra=("balanced_accuracy", "loss"))(models)
    y, client = np.asarray(CLIENTS.y), tiny.float64(models.client)
    right = {label: [] for label in range(tiny.CLASSES)}
    losses = []
    for n, mine in enumerate(ROWS):
        model = {name: leaf[n] for name, leaf in client.items()}
        for row in mine:
            right[y[row]].append(int(np.argmax(logits_of(model, row))) == y[row])
            losses.append(loss_by_loop(model, [row]))
    wanted = np.mean([np.mean(hits) for hits in right.values() if hits])
    np.testing.assert_allclose(got.extra["balanced_accuracy"].c_spe, wanted, rtol=2e-6)
    np.testing.assert_allclose(got.extra["loss"].c_spe, np.mean(losses), rtol=2e-6)


def test_the_score_keeps_its_bits_beside_extra_measures():
    models = random_models(1)
    alone = jax.jit(measure(TASK, CLIENTS))(models)
    beside = jax.jit(measure(TASK, CLIENTS, extra="loss"))(models)
    tiny.same_bits(beside._replace(extra={}), alone)


def test_only_the_asked_measures_are_taken_of_extra_ones():
    got = measure(TASK, CLIENTS, measures=("global",), extra="loss")(random_models())
    assert np.isnan(got.extra["loss"].client_gen).all()
    assert np.isnan(got.extra["loss"].g_gen[0])
    assert np.isfinite(got.extra["loss"].global_score)


def test_an_infinite_loss_on_others_examples_leaves_the_own_ones_alone():
    huge = Metric(lambda outputs, y: jnp.where(y == 0, jnp.inf, 1.0))
    got = measure(TASK, CLIENTS, extra={"huge": huge})(random_models())
    y = np.asarray(CLIENTS.y)
    wanted = [np.nan if not len(mine) else np.inf if 0 in y[mine] else 1.0 for mine in ROWS]
    np.testing.assert_array_equal(got.extra["huge"].client_spe, wanted)


def test_a_run_keeps_extra_measures():
    algorithm = demjax.fedavg(demjax.local_training(TASK, "sgd"))
    take = measure(TASK, CLIENTS, extra={"margin": CASES["margin"][0], "loss": "loss"})
    history = demjax.simulate(
        algorithm, TASK, CLIENTS, rounds=2, key=jax.random.key(0), take_measures=take
    )
    assert history.measures.extra["loss"].c_gen.shape == (3,)
    assert np.isfinite(history.measures.extra["margin"].global_score).all()


@pytest.mark.parametrize("name", list(METRICS))
def test_registered_measures_say_what_they_are(name):
    assert METRICS[name].label
    assert METRICS[name].summary


WRONG = {
    "unknown": ({"extra": "los"}, "perhaps 'loss' was meant"),
    "name": ({"extra": {"a b": "loss"}}, "letters, digits"),
    "twice": ({"extra": ("loss", "loss")}, "different names"),
    "nothing": ({"extra": {"mine": 3}}, "but int was given"),
    "scalar": ({"extra": {"mine": lambda outputs, y: jnp.mean(outputs)}}, r"shape \(\)"),
    "many": ({"extra": {"mine": lambda outputs, y: outputs}}, r"of their means \(3,\)"),
    "value": ({"extra": {"mine": Metric(OWN.each, lambda m: m)}}, r"of their means \(2,\)"),
}


@pytest.mark.parametrize(("options", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_extra_measures_are_refused_before_anything_is_traced(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        measure(TASK, CLIENTS, **options)


def test_a_task_without_outputs_has_no_extra_measures():
    with pytest.raises(ValueError, match="has no predict"):
        measure(TASK._replace(predict=None), CLIENTS, extra={"mine": lambda outputs, y: y})
    with pytest.raises(ValueError, match="says the loss of each example"):
        measure(TASK._replace(losses=None), CLIENTS, extra="loss")
