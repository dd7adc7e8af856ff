"""Schedules over the rounds of a run, against a loop over rounds by hand."""

import jax
import jax.numpy as jnp
import optax
import tiny

from demjax import demlearn, local_training, over_rounds, simulate

TASK, CLIENTS, KEY = tiny.task(), tiny.clients(), jax.random.key(4)


def rate(number):
    return 0.3 / (1.0 + number)


def made(lr, mix=0.6):
    return demlearn(local_training(TASK, optax.sgd(lr), epochs=1, batch_size=4), levels=1, mix=mix)


def by_hand(rounds):
    """The state after rounds whose numbers are written in, under the keys of the rounds."""
    state = made(rate(0)).init(jax.random.fold_in(KEY, jnp.uint32(2**32 - 1)), CLIENTS)
    for number in range(rounds):
        algorithm = made(rate(number), 0.1 * number)
        state, _ = jax.jit(algorithm.round)(jax.random.fold_in(KEY, number), state, CLIENTS)
    return state


def test_each_round_has_its_own_numbers_also_where_a_run_is_taken_up_again():
    algorithm = over_rounds(made, lr=rate, mix=lambda number: 0.1 * number)
    first = simulate(algorithm, TASK, CLIENTS, rounds=2, key=KEY)
    tiny.close(first.state.inner, by_hand(2), 1e-5)
    rest = simulate(algorithm, TASK, CLIENTS, rounds=1, key=KEY, state=first.state, done=2)
    assert int(rest.state.round) == 3
    tiny.close(rest.state.inner, by_hand(3), 1e-5)
    assert rest.round.tolist() == [2, 3]


def test_an_optimizers_own_schedule_starts_anew_in_each_round():
    steps = -(-max(tiny.SIZES) // 4)
    off = optax.piecewise_constant_schedule(0.3, {steps: 0.0})  # 0 after the steps of one round
    states = [
        simulate(made(one), TASK, CLIENTS, rounds=2, key=KEY, eval_every=2).state
        for one in (off, 0.3)
    ]
    tiny.close(*states, 1e-6)
