"""FedAvgM against a loop over clients, and against federated averaging without momentum."""

import jax
import optax
import pytest
import server_loops
import tiny

from demjax import fedavg, fedavgm, local_training

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(21)


def momentum(decay, rate):
    velocity = None

    def step(model, mean):
        nonlocal velocity
        way = tiny.combine((1, model), (-1, mean))
        velocity = way if velocity is None else tiny.combine((decay, velocity), (1, way))
        return tiny.combine((1, model), (-rate, velocity))

    return step


@pytest.mark.parametrize(("decay", "rate", "cohort"), [(0.9, 1.0, None), (0.6, 0.5, 3)])
def test_every_round_is_that_of_the_loop_over_clients(decay, rate, cohort):
    algorithm = fedavgm(LOCAL, server_momentum=decay, server_lr=rate, cohort=cohort)
    server_loops.hold(
        algorithm, KEY, CLIENTS, LOCAL.init(KEY), momentum(decay, rate), cohort=cohort
    )


def test_the_defaults_are_a_momentum_of_nine_tenths_at_rate_1():
    same = fedavgm(LOCAL, server_momentum=0.9, server_lr=1.0)
    server_loops.same(fedavgm(LOCAL), same, KEY, CLIENTS, tolerance=0)


@pytest.mark.parametrize("moment", ["trained", "averaged"])
def test_without_momentum_at_rate_1_it_is_fedavg(moment):
    plain = fedavgm(LOCAL, server_momentum=0.0, measure_at=moment, cohort=5)
    server_loops.same(plain, fedavg(LOCAL, measure_at=moment, cohort=5), KEY, CLIENTS)


def test_client_models_are_held_only_where_they_are_scored_as_trained():
    held = {
        moment: jax.eval_shape(fedavgm(LOCAL, measure_at=moment).init, KEY, CLIENTS).held.models
        for moment in ("trained", "averaged", "fine-tuned")
    }
    assert held["trained"].count == len(tiny.SIZES)
    assert held["averaged"] == held["fine-tuned"] == ()


def test_a_robust_mean_takes_the_place_of_the_mean():
    def first_alone(models, weight, *, reference, key):
        return jax.tree.map(lambda leaf: leaf[:1], models)

    algorithm = fedavgm(LOCAL, server_momentum=0.0, average=first_alone)
    ((own, models, _),) = server_loops.rounds(algorithm, KEY, CLIENTS, 1)
    wanted, _ = tiny.learn(own, tiny.float64(LOCAL.init(KEY)), CLIENTS, 0)
    tiny.close(server_loops.global_model(models), wanted)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"server_momentum": 1.1}, "server_momentum as .*0 to 1"),
        ({"server_lr": -1.0}, "server_lr as .*0 to 1000"),
        ({"fine_tune_epochs": 2}, "'averaged' take no fine_tune_epochs"),
    ],
)
def test_what_is_not_possible_is_told_in_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        fedavgm(LOCAL, **options)
