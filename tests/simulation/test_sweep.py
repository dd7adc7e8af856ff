"""Many experiments as one program against one after another, each a program of its own."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from partitions_alike import failure

from demjax import (
    demlearn,
    fedavg,
    fedprox,
    grid,
    local_only,
    local_training,
    measure,
    simulate,
    spread_over,
)
from demjax.clustering import counts, updates
from demjax.simulation import sweep

TASK, CLIENTS = tiny.task(), tiny.clients()
TAKE = {"demlearn": measure(TASK, CLIENTS)}  # compiles long; of all others, the models themselves
ROUNDS = 3
EXPERIMENTS = {
    "key": jax.random.split(jax.random.key(5), 3),
    "rate": jnp.array([0.1, 0.2, 0.4]),
    "prox": jnp.array([0.0, 0.5, 0.1]),
    "mix": jnp.array([[0.2, 0.4], [0.6, 0.6], [0.9, 0.3]]),
    "soft": jnp.array([1.0, 0.5, 0.8]),
}
COUNT = 3
SYSTEMS = {
    "fedavg": lambda local, e: fedavg(local),
    "control": lambda local, e: fedavg(
        local, mix=e["mix"][0], server_optimizer=optax.sgd(e["soft"], momentum=e["mix"][1])
    ),
    "fedprox": lambda local, e: fedprox(local, prox=e["prox"]),
    "demlearn": lambda local, e: demlearn(
        local, levels=1, mix=e["mix"], prox=e["prox"], soft=e["soft"], period=2
    ),
    "earlier": lambda local, e: demlearn(
        local,
        cut=counts((3,), min_size=2),
        features=updates(),
        linkage="ward",
        prox=e["prox"],
        beta=lambda r: e["soft"] * 0.5**r,
        amplification=1 + e["mix"][0],
    ),
    "local_only": lambda local, e: local_only(local),
}


def run(name, experiment, clients):
    """A whole run of an algorithm, all of whose numbers the experiment says."""
    local = local_training(TASK, optax.sgd(experiment["rate"]), epochs=1, batch_size=tiny.BATCH)
    return simulate(
        SYSTEMS[name](local, experiment),
        TASK,
        clients,
        rounds=ROUNDS,
        key=experiment["key"],
        take_measures=TAKE.get(name, lambda models, clients: models),
    )


def each(number):
    return jax.tree.map(lambda leaf: leaf[number], EXPERIMENTS)


@cache
def apart(name):
    """The histories of separate calls, one program compiled once and called for each."""
    once = jax.jit(lambda experiment, clients: run(name, experiment, clients))
    histories = [once(each(number), CLIENTS) for number in range(COUNT)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *histories)


def same(got, wanted):
    """The same trees, and the same models, and measures of them, to rounding."""
    got, wanted = jax.tree.map(np.asarray, (got, wanted))
    tiny.same_bits(got.measures.hierarchy, wanted.measures.hierarchy)
    tiny.close(got, wanted)


# ---- runs that are traced -----------------------------------------------------------------------


@pytest.mark.parametrize("name", SYSTEMS)
def test_experiments_side_by_side_are_those_apart(name):
    many = jax.jit(jax.vmap(lambda experiment: run(name, experiment, CLIENTS)))
    got = many(EXPERIMENTS)
    same(got, apart(name))
    assert got.round.tolist() == COUNT * [list(range(ROUNDS + 1))]
    final = np.asarray(tiny.plain(got.state.client)["w"])
    assert len(np.unique(final, axis=0)) == COUNT, "experiments are not told apart"


def test_numbers_that_are_traced_mean_what_plain_ones_do():
    one = each(2)
    plain = {name: np.asarray(one[name]).tolist() for name in ("rate", "prox", "mix", "soft")}
    wanted = run("control", {**plain, "key": one["key"]}, CLIENTS)
    same(jax.tree.map(lambda leaf: leaf[2], apart("control")), wanted)


def test_runs_under_vmap_need_no_jit_and_may_be_spread_clients_dealt_out():
    with spread_over(2):
        got = jax.vmap(lambda experiment: run("fedprox", experiment, CLIENTS))(EXPERIMENTS)
    same(got, apart("fedprox"))


def test_some_numbers_may_be_mapped_over_under_a_key_that_is_not_traced():
    """On several devices a run says how it is compiled, but not inside of another program."""
    first = each(0)
    with spread_over(2):
        some = jax.vmap(lambda rate: run("fedavg", {**first, "rate": rate}, CLIENTS))
        got = jax.jit(some)(EXPERIMENTS["rate"])
    first_of_both = jax.tree.map(lambda leaf: leaf[0], (got, apart("fedavg")))
    same(*first_of_both)
    assert len(np.unique(tiny.plain(got.state.client)["w"], axis=0)) == COUNT


# ---- sweeps -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "devices", "chunk"),
    [("control", 2, None), ("fedprox", 1, None), ("fedavg", 1, 2), ("local_only", 2, 2)],
)
def test_a_sweep_is_its_experiments_apart(name, devices, chunk):
    with spread_over(devices):
        got = sweep(lambda *given: run(name, *given), EXPERIMENTS, CLIENTS, chunk=chunk)
    same(got, apart(name))


def drawn(experiment, shared):
    return {"draw": jax.random.normal(experiment["key"]) * experiment["rate"], "rows": shared + 1}


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("chunk", [None, 2, 5, 100])
@pytest.mark.parametrize("count", [1, 7])
def test_every_chunk_and_number_of_devices_gives_the_same_rows_in_order(count, chunk, devices):
    keys = jax.random.split(jax.random.key(1), count)
    experiments = {"key": keys, "rate": np.arange(1.0, 1 + count, dtype=np.float32)}
    with spread_over(devices):
        got = sweep(drawn, experiments, jnp.arange(2), chunk=chunk)
    wanted = jax.vmap(jax.random.normal)(keys) * experiments["rate"]
    np.testing.assert_allclose(got["draw"], wanted, rtol=1e-6)
    assert got["rows"].tolist() == count * [[1, 2]]


@pytest.mark.parametrize("devices", [1, 2])
def test_a_chunk_is_how_many_run_at_once(devices):
    """No result may tell, but a program does: its largest product has so many rows."""

    def text(chunk):
        square = jnp.ones((4, 4))
        function = lambda row, square: square @ row  # noqa: E731
        program = jax.jit(lambda rows: sweep(function, rows, square, chunk=chunk))
        return program.lower(jnp.ones((12, 4))).as_text()

    with spread_over(devices):
        assert "tensor<3x4xf32>" in text(3)
        assert "tensor<3x4xf32>" not in text(1)
        assert "tensor<3x4xf32>" not in text(None), "a CPU goes one after another"


def test_a_sweep_is_traced_once_and_may_be_compiled_to_be_called_again():
    traced = []

    def function(experiment):
        traced.append(1)
        return experiment * 2

    with spread_over(2):
        program = jax.jit(lambda rows: sweep(function, rows))
        assert program(jnp.arange(5)).tolist() == [0, 2, 4, 6, 8]
        assert program(jnp.arange(5) + 1).tolist() == [2, 4, 6, 8, 10]
    assert len(traced) == 1


@pytest.mark.parametrize(
    ("experiments", "said"),
    [
        ({"a": jnp.ones(3), "b": jnp.ones((2, 3))}, "2 and 3"),
        ({"a": jnp.ones((0, 3))}, "0"),
        ({"a": 1.0}, "0"),
        ({}, "no"),
    ],
)
def test_experiments_of_no_or_different_rows_are_refused(experiments, said):
    with pytest.raises(ValueError, match=rf"^A sweep needs arrays .* of {said} rows were given\.$"):
        sweep(lambda experiment: experiment, experiments)


def test_a_chunk_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"^A sweep needs chunk of at least 1, but 0 was given\.$"):
        sweep(lambda experiment: experiment, jnp.ones(3), chunk=0)


# ---- grids --------------------------------------------------------------------------------------


def test_a_grid_holds_all_combinations_the_last_changing_fastest():
    keys = jax.random.split(jax.random.key(0), 2)
    got = grid(key=keys, rate=[0.1, 0.2, 0.3], mix=[0, 1])
    assert {name: len(each) for name, each in got.items()} == {"key": 12, "rate": 12, "mix": 12}
    assert got["mix"].tolist() == 6 * [0, 1]
    np.testing.assert_allclose(got["rate"].reshape(2, 3, 2)[1, :, 0], [0.1, 0.2, 0.3], rtol=1e-6)
    drawn = jax.vmap(jax.random.uniform)(got["key"]).reshape(2, 3, 2)
    np.testing.assert_array_equal(drawn[:, 2, 1], jax.vmap(jax.random.uniform)(keys))


@pytest.mark.parametrize("values", [[], 0.3])
def test_a_name_without_values_is_refused(values):
    with pytest.raises(ValueError, match=r"^A grid needs at least one value of mix, "):
        grid(rate=[0.1], mix=values)


@pytest.mark.parametrize("wrong", [2**40, -(2**31) - 1, 1e300])
def test_values_that_would_be_cut_to_32_bits_are_refused_as_given(wrong):
    for values in ([1, wrong], np.array([1, wrong])):
        failure(lambda values=values: grid(seed=values), "Values of seed", wrong)
        failure(lambda values=values: sweep(lambda one: one, {"a": values}), "Experiments", wrong)
