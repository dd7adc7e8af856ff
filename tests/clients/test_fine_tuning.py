"""What clients make of their models before these are scored, against training by hand."""

import jax
import numpy as np
import optax
import pytest
import tiny

from demjax import fedavg, keys, local_training, simulate, watch
from demjax.simulation.over_rounds import over_rounds
from demjax.simulation.scored import scored_models

CLIENTS, KEY = tiny.clients(), jax.random.key(8)
LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=1, batch_size=tiny.BATCH)


def themselves(models, clients):
    return models


def tuned_by_hand(server, epochs):
    """Each client's model after some epochs from the global one, in float64."""
    key = keys.for_fine_tuning(KEY)
    return [
        tiny.learn(key, tiny.float64(server), CLIENTS, client, epochs=epochs)[0]
        for client in range(8)
    ]


@pytest.mark.parametrize("epochs", [None, 1, 3])
def test_federated_averaging_fine_tuned_against_a_loop_over_clients(epochs):
    algorithm = fedavg(LOCAL, measure_at="fine-tuned", fine_tune_epochs=epochs)
    plain = simulate(
        fedavg(LOCAL), tiny.task(), CLIENTS, rounds=2, key=KEY, take_measures=themselves
    )
    tuned = simulate(algorithm, tiny.task(), CLIENTS, rounds=2, key=KEY, take_measures=themselves)
    tiny.same_bits(tuned.state, plain.state)  # nothing of it is kept
    wanted = tuned_by_hand(plain.state.server, epochs or 1)
    last = jax.tree.map(lambda leaf: leaf[-1], tuned.measures)
    for got, by_hand in zip(tiny.unstack(last.client), wanted, strict=True):
        tiny.close(got, by_hand)
    tiny.same_bits(last.group, jax.tree.map(lambda leaf: leaf[-1], plain.measures.group))


def test_everybody_fine_tunes_whoever_trained_in_the_round():
    algorithm = fedavg(LOCAL, measure_at="fine-tuned", cohort=2)
    *_, moment = watch(algorithm, tiny.task(), CLIENTS, rounds=1, key=KEY, take_measures=themselves)
    wanted = tuned_by_hand(moment.state.server, 1)
    for got, by_hand in zip(tiny.unstack(moment.measures.client), wanted, strict=True):
        tiny.close(got, by_hand)


def test_a_whole_program_and_a_schedule_over_rounds_score_the_same():
    algorithm = fedavg(LOCAL, measure_at="fine-tuned")
    often = over_rounds(lambda mix: algorithm, mix=lambda number: 0.5)
    assert often.moment == "fine-tuned"
    state = algorithm.init(KEY, CLIENTS)
    one = scored_models(algorithm, KEY, state, CLIENTS).client
    tiny.same_bits(scored_models(often, KEY, often.init(KEY, CLIENTS), CLIENTS).client, one)

    def whole(key):
        return simulate(
            algorithm, tiny.task(), CLIENTS, rounds=1, key=key, take_measures=themselves
        ).measures

    first = jax.tree.map(lambda leaf: np.asarray(leaf)[0], jax.jit(whole)(KEY))
    initial = algorithm.init(keys.for_initial_model(KEY), CLIENTS)
    tiny.close(first.client, scored_models(algorithm, KEY, initial, CLIENTS).client, 1e-6)


def test_epochs_belong_to_this_moment_alone_and_are_at_least_one():
    with pytest.raises(ValueError, match=r"'averaged' take no fine_tune_epochs; possible is"):
        fedavg(LOCAL, measure_at="averaged", fine_tune_epochs=2)
    with pytest.raises(ValueError, match=r"fine_tune_epochs.*1.*0|fine tune epochs"):
        fedavg(LOCAL, measure_at="fine-tuned", fine_tune_epochs=0)
    with pytest.raises(ValueError, match=r"with mix was to be measured at 'trained'; possible"):
        fedavg(LOCAL, mix=0.5, measure_at="trained")
    with pytest.raises(ValueError, match=r"without mix was to be measured at 'mixed'; possible"):
        fedavg(LOCAL, measure_at="mixed")
