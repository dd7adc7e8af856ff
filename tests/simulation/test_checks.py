"""The usual mistakes in Python, each told in a sentence that says what is possible."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

import demjax
from demjax import demlearn, fedavg, local_training, measure, simulate, sweep, watch
from demjax.data import Dataset, Partition

TASK, CLIENTS, KEY = tiny.task(), tiny.clients(), jax.random.key(0)
LOCAL = local_training(TASK, optax.sgd(0.1), epochs=1, batch_size=4)
SPLIT = Partition((np.arange(3),), (np.arange(2),))


def run(algorithm=None, task=TASK, clients=CLIENTS, key=KEY, rounds=1, way=simulate, **options):
    algorithm = fedavg(LOCAL) if algorithm is None else algorithm
    result = way(algorithm, task, clients, rounds=rounds, key=key, **options)
    return next(result) if way is watch else result


@pytest.mark.parametrize("way", [simulate, watch])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"algorithm": fedavg}, r"an Algorithm, .*but the function fedavg, not what it makes, was"),
        ({"algorithm": "fedavg"}, r"an Algorithm, such as demlearn\(local\) makes, but 'fedavg'"),
        ({"algorithm": LOCAL}, "an Algorithm, .*but LocalTraining was given"),
        ({"task": demjax.models.Linear(classes=3)}, "a Task, .*but Linear was given"),
        ({"clients": SPLIT}, r"which data\.client_data\(x, y, partition\) makes, but Partition"),
        ({"clients": Dataset(*np.ones((2, 4)), 2, 4, "")}, "a ClientData, .*but Dataset was"),
        ({"key": 0}, r"one key, such as jax\.random\.key\(0\), but 0 was given"),
        ({"key": np.int64(0)}, r"jax\.random\.key\(0\), but int64 was given"),
        ({"key": jax.random.split(KEY, 2)}, r"key<fry> of shape \(2,\) was given"),
        ({"key": jnp.float32(1)}, r"float32 of shape \(\) was given"),
        ({"rounds": 1.5}, r"rounds as a whole number, but 1\.5 was given"),
        ({"rounds": "3"}, r"rounds as a whole number, but '3' was given"),
        ({"state": 3}, "as its algorithm makes it .*one of another form was given"),
        ({"done": -1}, "done of at least 0, but -1 was given"),
    ],
)
def test_what_a_run_cannot_be_made_of(way, wrong, words):
    with pytest.raises(ValueError, match=words):
        run(way=way, **wrong)


def test_a_key_of_the_old_form_is_a_key():
    old = jax.random.PRNGKey(3)
    taken = run(key=old).measures.c_gen, run(key=jax.random.key(3)).measures.c_gen
    tiny.same_bits(*taken)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: fedavg(TASK), "fedavg needs local as a LocalTraining, but Task was given"),
        (lambda: demlearn(local=TASK), "demlearn needs local as a LocalTraining, but Task"),
        (lambda: local_training(CLIENTS, optax.sgd(0.1)), "a Task, .*but ClientData was given"),
        (
            lambda: local_training(TASK, 0.1),
            r"needs optimizer as one of 'sgd', .*or a GradientTransformation, but 0\.1 was given",
        ),
        (lambda: local_training(TASK, optax.sgd), "the function sgd, not what it makes, was given"),
        (lambda: local_training(TASK, "sdg"), "'sdg' is unknown; perhaps 'sgd' was meant"),
        (lambda: local_training(TASK, "sgd", epochs=1.5), r"epochs as a whole number, but 1\.5"),
        (lambda: fedavg(LOCAL, server_optimizer=0.1), r"a GradientTransformation, but 0\.1 was"),
        (lambda: demlearn(LOCAL, cut=3), r"'depth', .*'heights'.* or a Cut, but 3 was given"),
        (lambda: demlearn(LOCAL, cut=demjax.clustering.depth), "the function depth, not what it"),
        (lambda: demlearn(LOCAL, cut=None), "or a Cut, but None was given"),
        (lambda: demlearn(LOCAL, features=demjax.clustering.updates), "the function updates, not"),
        (lambda: demlearn(LOCAL, start=3), "'own', 'parent', 'root' or a function, but 3 was"),
        (lambda: demlearn(LOCAL, linkage=3), "demlearn needs linkage as one of .*but 3 was given"),
        (lambda: demlearn(LOCAL, metric=3), "or a function, but 3 was given"),
        (lambda: demjax.clustering.counts("12"), "counts needs groups as values .*but '12' was"),
        (lambda: demjax.clustering.counts((1.5,)), r"groups as a whole number, but 1\.5 was given"),
        (lambda: run(take_measures="global"), "take_measures as a function, .*but 'global' was"),
        (lambda: run(fedavg(LOCAL, cohort=1.5)), r"a cohort as a whole number or .*but 1\.5 was"),
        (lambda: measure(TASK, SPLIT), "a ClientData, .*but Partition was given"),
        (lambda: run(demlearn(LOCAL, levels=6)), "needs at least 64 clients, but there are 8"),
        (lambda: run(demlearn(LOCAL, groups=(9, 2))), "needs at least 9 clients, but there are 8"),
        (lambda: run(demlearn(LOCAL, min_size=5)), "needs at least 10 clients, but there are 8"),
    ],
)
def test_what_nothing_can_be_made_of(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_names_are_taken_everywhere_and_make_the_same():
    named = local_training(TASK, "sgd", lr=0.1, epochs=1, batch_size=4)
    one = run(demlearn(named, features="updates", start="root", cut="depth", levels=1))
    made = demlearn(
        LOCAL,
        features=demjax.clustering.updates(),
        start=demjax.hierarchy.from_root,
        cut=demjax.clustering.depth(1),
    )
    tiny.same_bits(one.state, run(made).state)


def test_measures_inside_a_sweep_are_made_outside():
    def experiment(chosen, clients):
        return run(clients=clients).measures.c_gen

    with pytest.raises(ValueError, match=r"is take = demjax\.measure\(task, clients\) out"):
        sweep(experiment, demjax.grid(seed=[0]), CLIENTS)


def test_a_state_that_is_gone_is_said_to_be():
    first, second = watch(fedavg(LOCAL), TASK, CLIENTS, rounds=1, key=KEY)
    with pytest.raises(RuntimeError, match=r"after round 0 is gone, .*jax\.tree\.map\(jnp\.copy"):
        assert first.state
    assert second.state.server is not None
    assert first.round == 0
