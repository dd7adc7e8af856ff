"""Stragglers against a loop in float64 that stops early."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import fednova, local_training, simulate
from demjax.clients.stragglers import stragglers
from demjax.pytrees import stack_copies

CLIENTS, TASK, KEY = tiny.clients(), tiny.task(), jax.random.key(6)
COUNT = len(tiny.SIZES)
SLOW, EPOCHS = stragglers(0.8, 0.1), 3
SHARES = np.asarray(jax.vmap(lambda n: SLOW(KEY, n))(jnp.arange(COUNT)), np.float64)


def in_steps(shares):
    usual = [EPOCHS * -(-size // tiny.BATCH) for size in tiny.SIZES]
    return [max(1, int(np.ceil(share * n))) for share, n in zip(shares, usual, strict=True)]


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_straggler_stops_in_the_middle(chunk):
    local = local_training(
        TASK,
        optax.sgd(tiny.RATE),
        epochs=EPOCHS,
        batch_size=tiny.BATCH,
        chunk=chunk,
        stragglers=SLOW,
    )
    start = local.init(jax.random.key(1))
    models, loss, slopes = local.train(KEY, stack_copies(start, COUNT), CLIENTS, gradients=True)
    made = in_steps(SHARES)
    assert local.batches(CLIENTS, key=KEY).tolist() == made
    in_an_epoch = -(-np.array(tiny.SIZES) // tiny.BATCH)
    assert any(made < in_an_epoch)
    assert any((made > in_an_epoch) & (made % in_an_epoch > 0))
    wanted = [
        tiny.learn_and_slope(KEY, tiny.float64(start), CLIENTS, client, epochs=EPOCHS, steps=steps)
        for client, steps in enumerate(made)
    ]
    tiny.close(tiny.unstack(models), [one for one, _, _ in wanted])
    np.testing.assert_allclose(loss, [one for _, one, _ in wanted], rtol=1e-5)
    tiny.close(tiny.unstack(slopes), [one for _, _, one in wanted])


def test_as_many_straggle_as_the_rate_says_each_as_much_as_any_other():
    shares = np.asarray(jax.vmap(lambda n: stragglers(0.5, 0.2)(KEY, n))(jnp.arange(4000)))
    late = shares[shares < 1]
    assert len(late) / 4000 == pytest.approx(0.5, abs=0.03)
    assert late.min() >= 0.2
    assert late.mean() == pytest.approx(0.6, abs=0.02)
    for wrong in ((1.5, 0), (0.5, -1)):
        with pytest.raises(ValueError, match="Straggling needs"):
            stragglers(*wrong)


def test_fednova_counts_the_steps_that_were_made():
    local = local_training(
        TASK, optax.sgd(tiny.RATE), epochs=EPOCHS, batch_size=tiny.BATCH, stragglers=SLOW
    )
    got = simulate(fednova(local), TASK, CLIENTS, rounds=1, key=jax.random.key(2)).state.server
    key = jax.random.fold_in(jax.random.key(2), 0)
    made = in_steps(np.asarray(jax.vmap(lambda n: SLOW(key, n))(jnp.arange(COUNT)), np.float64))
    start = tiny.float64(local.init(jax.random.fold_in(jax.random.key(2), np.uint32(2**32 - 1))))
    ways = [
        tiny.combine(
            (1, start), (-1, tiny.learn(key, start, CLIENTS, n, epochs=EPOCHS, steps=steps)[0])
        )
        for n, steps in enumerate(made)
    ]
    share = np.array(tiny.SIZES) / sum(tiny.SIZES)
    far = float(share @ made)
    steps = [(-far * p / n, way) for p, n, way in zip(share, made, ways, strict=True)]
    tiny.close(got, tiny.combine((1, start), *steps))
