"""Runs that end early, in order, and runs that diverge and say so."""

import os
import signal
import threading
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import fedavg, grid, local_only, local_training, measure, simulate, sweep, watch
from demjax.simulation.ending import interruptible
from demjax.simulation.rounds import QUICK, moments

TASK, CLIENTS, KEY = tiny.task(), tiny.clients(), jax.random.key(0)
LOCAL = local_training(TASK, optax.sgd(0.1), epochs=1, batch_size=4)


def counting(task=TASK):
    """Nothing but a count of rounds, so that a run compiles in no time."""
    return local_only(LOCAL)._replace(
        init=lambda key, clients: jnp.int32(0),
        round=lambda key, state, clients: (state + 1, None),
        models=lambda state: state,
    )


OPTIONS = {"rounds": 50, "key": KEY, "eval_every": 20, "take_measures": lambda state, data: state}


@pytest.fixture(autouse=True)
def as_at_a_terminal():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pressing(after):
    """A counting algorithm during whose round Ctrl-C is pressed."""
    algorithm = counting()

    def press(number):
        if number == after:
            os.kill(os.getpid(), signal.SIGINT)

    def one_round(key, state, clients):
        jax.debug.callback(press, state + 1)
        return state + 1, None

    return algorithm._replace(round=one_round)


def test_an_interrupted_run_keeps_its_history_and_is_measured_once_more():
    with pytest.raises(KeyboardInterrupt, match="after round") as stopped:
        simulate(pressing(23), TASK, CLIENTS, **OPTIONS)
    history = stopped.value.history
    last = int(history.state)
    assert 23 <= last < 50  # at the end of the round, or of the one that the signal reached
    assert history.round.tolist() == history.measures.tolist() == [0, 20, last]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_ends_where_it_is_told_to():
    told = iter([False] * 7 + [True])
    found = list(watch(counting(), TASK, CLIENTS, **OPTIONS, stop=lambda: next(told)))
    assert [moment.round for moment in found] == list(range(8))
    assert [m.round for m in found if m.measures is not None] == [0, 7]


def test_a_run_whose_measures_take_long_is_not_measured_again(monkeypatch):
    monkeypatch.setattr("demjax.simulation.rounds.QUICK", 0.0)
    found = moments(counting(), TASK, CLIENTS, **OPTIONS, stop=lambda: True)
    assert [moment.measures for moment in found] == [None]
    assert QUICK == 10


def test_the_second_press_interrupts_as_ever():
    with interruptible() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_somebody_elses_meaning_of_ctrl_c_stays():
    pressed = []
    signal.signal(signal.SIGINT, lambda *about: pressed.append(about))
    with interruptible() as stop:
        signal.raise_signal(signal.SIGINT)
        assert not stop()
    assert len(pressed) == 1


def test_in_another_thread_nothing_is_noted():
    found = []

    def elsewhere():
        with interruptible() as stop:
            found.append(stop())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [False]


def exploding(rate):
    return fedavg(local_training(TASK, optax.sgd(rate), epochs=1, batch_size=4))


def test_a_run_that_diverges_says_so_once_with_round_and_clients():
    count = len(tiny.SIZES)
    words = rf"after round 1 the models of {count} of {count} clients are not finite"
    with pytest.warns(RuntimeWarning, match=words) as said:
        history = simulate(exploding(np.inf), TASK, CLIENTS, rounds=3, key=KEY)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert np.asarray(history.measures.diverged).tolist() == [0, count, count, count]


def test_losses_beyond_all_measure_are_told_while_models_are_finite():
    with pytest.warns(RuntimeWarning, match=r"in round 1 the training loss of \d of 8 clients"):
        found = list(watch(exploding(1e9), TASK, CLIENTS, rounds=1, key=KEY))
    assert int(found[-1].measures.diverged) == 0


def test_a_sweep_says_how_many_of_its_experiments_diverge():
    take = measure(TASK, CLIENTS, measures=["global"])

    def experiment(chosen, clients):
        history = simulate(
            exploding(chosen["rate"]), TASK, clients, rounds=1, key=KEY, take_measures=take
        )
        return history

    with pytest.warns(RuntimeWarning, match="In 1 of 2 experiments models are not finite"):
        sweep(experiment, grid(rate=[0.1, np.inf]), CLIENTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sweep(experiment, grid(rate=[0.1]), CLIENTS).score == "accuracy"
