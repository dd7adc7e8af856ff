"""Dropouts, lies and numbers that are none, against rounds with those clients left out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from needs import OPTIONS, task_of

from demjax import demlearn, ditto, fedavg, fednova, fedrep, local_training, scaffold, simulate
from demjax.algorithms.hierarchical.demlearn_rep import demlearn_rep
from demjax.clients.attacks import Attack, gaussian, nan, sign_flip
from demjax.clients.dropouts import dropouts, trace
from demjax.clients.participation import from_mask
from demjax.clients.stragglers import stragglers
from demjax.hierarchy.estimators import median
from demjax.registry import ALGORITHMS, accepts
from demjax.simulation.faults import with_faults

CLIENTS, TASK, KEY = tiny.clients(), tiny.task(), jax.random.key(3)
COUNT = len(tiny.SIZES)
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=1, batch_size=tiny.BATCH)
BROKEN = np.isin(np.arange(COUNT), (1, 4))


def run(algorithm, rounds=2):
    return simulate(algorithm, TASK, CLIENTS, rounds=rounds, key=KEY, eval_every=rounds)


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (fedavg, {}),
        (demlearn, {"levels": 2}),
        (scaffold, {}),
        (ditto, {}),
        (fedrep, {"head_layers": ("b",)}),
        (fednova, {}),
    ],
)
def test_who_sends_what_is_no_number_is_left_out_as_if_it_had_not_been_there(make, more):
    def made(**parts):
        return make(**parts, **more)

    got = run(with_faults(made, LOCAL, attack=nan(), attackers=BROKEN, leave_out_nonfinite=True))
    sound = jnp.asarray(~BROKEN)
    wanted = run(made(local=LOCAL._replace(mean=None), cohort=lambda key, count: from_mask(sound)))
    tiny.close(got.state.inner, wanted.state)
    assert got.info.left_out.tolist()[1:] == [2]
    assert np.isnan(got.info.loss[-1]).tolist() == BROKEN.tolist()


def test_a_trace_says_who_is_there_and_an_empty_round_changes_nothing():
    everybody = np.arange(COUNT)
    there = trace(np.append(everybody, 2), np.append(1 + everybody % 2, 2), [1, 2] * 4 + [2])
    first, second = (run(with_faults(fedavg, LOCAL, presence=there), n) for n in (1, 2))
    third = run(with_faults(fedavg, LOCAL, presence=there), 3)
    even = everybody % 2 == 0
    assert (~np.isnan(first.info.loss[-1])).tolist() == even.tolist()
    assert (~np.isnan(second.info.loss[-1])).tolist() == (~even | (everybody == 2)).tolist()
    assert (int(first.info.dropped[-1]), int(second.info.dropped[-1])) == (4, 3)
    tiny.same_bits(third.state.inner, second.state.inner)  # nobody is there in the third round
    tiny.differ(tiny.unstack(second.state.inner.client), tiny.unstack(first.state.inner.client))


def test_dropouts_are_as_many_as_the_rate_says_and_follow_from_clients_numbers_alone():
    rule, number = dropouts(0.3), jnp.int32(0)
    some, more = rule(KEY, number, 50), rule(KEY, number, 4000)
    np.testing.assert_array_equal(some, more[:50])
    assert np.mean(more) == pytest.approx(0.7, abs=0.03)
    assert rule(jax.random.key(4), number, 50).tolist() != some.tolist()
    with pytest.raises(ValueError, match="rate from 0 to 1"):
        dropouts(1.5)


def test_a_drawn_cohort_loses_those_who_drop_out():
    got = run(with_faults(fedavg, LOCAL, cohort=3, presence=dropouts(0.4)), 1)
    whole = run(fedavg(LOCAL, cohort=3), 1)
    drawn, there = (~np.isnan(one.info.loss[-1]) for one in (whole, got))
    kept = np.asarray(dropouts(0.4)(jax.random.fold_in(KEY, 0), jnp.int32(0), COUNT))
    np.testing.assert_array_equal(there, drawn & kept)


def test_liars_send_what_the_attack_makes_of_their_updates():
    got = run(with_faults(fedavg, LOCAL, attack=sign_flip(scale=2.0), attackers=BROKEN), 1)
    honest = run(fedavg(LOCAL), 1)
    start = tiny.float64(LOCAL.init(jax.random.fold_in(KEY, np.uint32(2**32 - 1))))
    trained = tiny.unstack(honest.state.client)
    sent = [
        tiny.combine((3, start), (-2, one)) if lies else one
        for one, lies in zip(trained, BROKEN, strict=True)
    ]
    tiny.close(tiny.unstack(got.state.inner.client), sent)
    total = sum(tiny.SIZES)
    mean = tiny.combine(*[(m / total, w) for m, w in zip(tiny.SIZES, sent, strict=True)])
    tiny.close(got.state.inner.server, mean)


@pytest.mark.parametrize("name", [n for n in ALGORITHMS if accepts(ALGORITHMS[n].make, "cohort")])
def test_every_algorithm_has_faults_and_robust_means_or_says_why_not(name):
    make = ALGORITHMS[name].make
    more = dict(OPTIONS.get(name, {}))
    if accepts(make, "average"):
        more["average"] = median()
    local = local_training(task_of(name), optax.sgd(tiny.RATE))
    try:
        faulty = with_faults(
            lambda **parts: make(**parts, **more),
            local,
            presence=dropouts(0.3),
            attack=sign_flip(),
            attackers=BROKEN,
            leave_out_nonfinite=True,
        )
        state = jax.eval_shape(faulty.init, KEY, CLIENTS)
        after, info = jax.eval_shape(faulty.round, KEY, state, CLIENTS)
    except ValueError as error:
        said = str(error)
    else:
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), state
        )
        assert info.left_out.shape == info.dropped.shape == ()
        return
    assert "; possible is " in said


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ALGORITHMS
        if all(accepts(ALGORITHMS[name].make, part) for part in ("cohort", "average"))
    ],
)
def test_no_robust_mean_lets_those_who_send_no_numbers_end_the_others_models(name):
    options, task = OPTIONS.get(name, {}), task_of(name)
    local = local_training(task, optax.sgd(tiny.RATE))
    broken = with_faults(
        lambda **parts: ALGORITHMS[name].make(**parts, **options, average=median()),
        local,
        attack=nan(),
        attackers=BROKEN,
    )

    @jax.jit
    def after(key):
        def one_round(state, number):
            state, info = broken.round(jax.random.fold_in(key, number), state, CLIENTS)
            return state, info.loss

        state, losses = jax.lax.scan(one_round, broken.init(key, CLIENTS), jnp.arange(3))
        return broken.models(state), losses[-1]

    models, loss = after(KEY)
    assert np.isfinite(loss)[~BROKEN].all()
    for model, lies in zip(tiny.unstack(models.client), BROKEN, strict=True):
        assert lies or np.isfinite(tiny.vector(model)).all()
    for level in tiny.unstack(models.group):
        assert np.isfinite(tiny.vector(tiny.unstack(level)[0])).all()


def test_what_goes_wrong_does_not_depend_on_how_many_train_at_once():
    def ended(chunk):
        local = local_training(TASK, "sgd", chunk=chunk, stragglers=stragglers(0.5))
        lies = {"attack": gaussian(), "attackers": BROKEN}
        return run(with_faults(fedavg, local, presence=dropouts(0.3), **lies))

    one, several = ended(1), ended(3)
    tiny.close(one.state, several.state)
    np.testing.assert_array_equal(one.info.dropped, several.info.dropped)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="8 truth values, one for each client, but 3"):
        run(with_faults(fedavg, LOCAL, attack=nan(), attackers=BROKEN[:3]))
    local = local_training(TASK, optax.sgd(0.1))
    made = with_faults(
        lambda **parts: demlearn_rep(**parts, levels=1, head_layers=("b",), group_layers=("w",)),
        local,
        leave_out_nonfinite=True,
    )
    with pytest.raises(ValueError, match="train in a branch"):
        run(made)
    assert Attack().lie is None
