"""FedPer against a loop over clients in double precision, and between its neighbours."""

import jax
import numpy as np
import optax
import pytest
import tiny
from by_steps import global_model, members, rounds

from demjax import fedavg, fedper, local_only, local_training

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(9)
COUNT = len(tiny.SIZES)


@pytest.mark.parametrize("cohort", [None, 3])
@pytest.mark.parametrize("weighting", ["clients", "examples"])
@pytest.mark.parametrize(("moment", "head"), [("personal", "w"), ("trained", "b")])
def test_every_round_is_that_of_the_loop_over_clients(cohort, weighting, moment, head):
    algorithm = fedper(
        LOCAL, head_layers=(head,), weighting=weighting, cohort=cohort, measure_at=moment
    )
    server = tiny.float64(LOCAL.init(KEY))
    own = [server] * COUNT
    for key, models, info in rounds(algorithm, KEY, CLIENTS, 3):
        who, losses = members(key, CLIENTS, cohort), np.full(COUNT, np.nan)
        for n in who:
            own[n], losses[n] = tiny.learn(key, server | {head: own[n][head]}, CLIENTS, n)
        weight = [tiny.SIZES[n] if weighting == "examples" else 1 for n in who]
        server = tiny.combine(
            *[(v / sum(weight), own[n]) for v, n in zip(weight, who, strict=True)]
        )
        wanted = own if moment == "trained" else [server | {head: one[head]} for one in own]
        np.testing.assert_allclose(info.loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), wanted)
        tiny.close(global_model(models), server)
        shared = tiny.CLASSES * (tiny.FEATURES if head == "b" else 1)
        assert float(info.bytes_up) == float(info.bytes_down) == 4 * shared * len(who)


def test_the_first_round_trains_as_fedavg_and_a_client_on_its_own_is_local_training():
    first, averaged, alone = (
        [models for _, models, _ in rounds(algorithm, KEY, clients, 3)]
        for algorithm, clients in (
            (fedper(LOCAL, head_layers=("b",), measure_at="trained"), CLIENTS),
            (fedavg(LOCAL), CLIENTS),
            (fedper(LOCAL, head_layers=("b",)), tiny.clients((7,), (3,))),
        )
    )
    tiny.close(tiny.unstack(first[0].client), tiny.unstack(averaged[0].client), 1e-6)
    assert tiny.differ(tiny.unstack(first[1].client), tiny.unstack(averaged[1].client))
    local = [models for _, models, _ in rounds(local_only(LOCAL), KEY, tiny.clients((7,), (3,)), 3)]
    tiny.close(tiny.unstack(alone[-1].client), tiny.unstack(local[-1].client), 1e-6)
