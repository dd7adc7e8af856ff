"""Runs on two devices of a CPU against the same runs on one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax import lax
from scipy.spatial.distance import pdist, squareform

from demjax import clustering, local_training, measure, simulate, watch
from demjax.algorithms import demlearn, fedavg
from demjax.backend import policy
from demjax.backend.placement import (
    Stored,
    on_every_device,
    state_shardings,
    store,
    stored_evenly,
)
from demjax.backend.sharding import (
    compiler_options,
    devices_at_work,
    everywhere,
    on_one,
    over_clients,
    over_wanted,
    spread_over,
)
from demjax.base import Algorithm
from demjax.clustering import columns, gradients
from demjax.simulation.run import programs


def doubled(shared, divided):
    """Each row times what is shared; the mean over a device's rows tells which were together."""
    return jax.tree.map(lambda x: shared * x, divided)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_rows_are_dealt_out_and_come_back_in_order(count):
    rows = {"a": jnp.arange(3.0 * count).reshape(count, 3), "b": jnp.arange(count)}
    with spread_over(2):
        got = jax.jit(lambda rows: over_clients(doubled, 2, rows))(rows)
    jax.tree.map(np.testing.assert_array_equal, got, {k: 2 * v for k, v in rows.items()})


def test_each_device_gets_its_part():
    with spread_over(2):
        got = jax.jit(lambda x: over_clients(lambda _, x: x - x[0], (), x))(jnp.arange(6))
    np.testing.assert_array_equal(got, [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(over_clients(lambda _, x: x - x[0], (), jnp.arange(6)), range(6))


@pytest.mark.parametrize("wanted", ["11110000", "1111111", "0000001", "00000"])
def test_rows_that_are_wanted_are_dealt_out_evenly(wanted):
    wanted = jnp.asarray([flag == "1" for flag in wanted])
    count = wanted.size

    def with_how_many(_, divided):
        row, mine = divided
        return 3 * row, jnp.full(row.shape[0], jnp.sum(mine))

    rows = jnp.arange(1, count + 1)
    with spread_over(2):
        divided = jax.jit(lambda *x: over_wanted(with_how_many, (), x, wanted))
        tripled, beside = divided(rows, wanted)
    np.testing.assert_array_equal(tripled, 3 * rows)
    # An odd number of rows is made even by doing the last one, wanted or not, once more.
    most = -(-int(wanted.sum()) // 2)
    assert int(beside.max()) == most
    alone, _ = over_wanted(with_how_many, (), (rows, wanted), wanted)
    np.testing.assert_array_equal(alone, 3 * rows)


def test_in_the_part_of_a_device_no_other_is_at_work():
    seen = []

    def part(_, rows):
        seen.append((devices_at_work(), compiler_options()))
        return over_clients(doubled, 3, rows)  # what would be divided stays with the device

    with spread_over(2):
        assert (devices_at_work(), compiler_options()) == (2, {"xla_cpu_multi_thread_eigen": False})
        got = jax.jit(lambda rows: over_clients(part, (), rows))(jnp.arange(4))
    assert got.tolist() == [0, 3, 6, 9]
    assert set(seen) == {(1, None)}


def test_only_the_outermost_program_says_how_it_is_compiled():
    said = []
    with spread_over(2):
        jax.jit(lambda: said.append(compiler_options()))()
        jax.vmap(lambda x: said.append(compiler_options()) or x)(jnp.ones(2))
    assert said == [None, {"xla_cpu_multi_thread_eigen": False}]


def test_outside_of_the_context_one_device_is_at_work():
    assert devices_at_work() == 1
    assert state_shardings({"a": jnp.ones(3)}, 3) is None
    x = jnp.ones(3)
    assert everywhere(x) is x
    with spread_over():
        assert devices_at_work() == 2
    assert devices_at_work() == 1


@pytest.mark.parametrize("clients", [4, 3])
def test_states_live_in_parts(clients):
    state = {"models": jnp.ones((4, 2)), "tree": jnp.ones((3, 4)), "round": jnp.int32(0)}
    with spread_over(2):
        places = state_shardings(state, clients)
    parts = {name: not where.is_fully_replicated for name, where in places.items()}
    assert parts == {"models": True, "tree": False, "round": False}


def counting_up(clients):
    """An algorithm of numbers that can be told by hand, and a matrix of clients."""
    count = clients.n_clients

    def init(key, clients):
        own = jnp.arange(1.0, count + 1)
        return {"models": own[:, None] * jnp.ones(3), "each": own, "pairs": jnp.ones((count, 9))}

    def one_round(key, state, clients):
        assert {name: leaf.shape[0] for name, leaf in state.items()} == dict.fromkeys(state, count)
        mean = jnp.mean(state["models"], axis=0)
        return state | {"models": state["models"] + mean, "each": -state["each"]}, mean

    return Algorithm(init, one_round, lambda state: state, lambda key, m, _: m, "counted")


@pytest.mark.parametrize("count", [5, 6, 7])
def test_nobody_sees_rows_for_nobody(count):
    clients = tiny.clients((2,) * count, (1,) * count)
    algorithm = counting_up(clients)
    with spread_over(2):
        stored = stored_evenly(algorithm, clients)
        assert (stored is algorithm) == (count == 6)
        assert stored[3:] == algorithm[3:]
        shapes = jax.eval_shape(stored.init, jax.random.key(0), clients)
        where = state_shardings(shapes, count)
        state = jax.jit(stored.init, out_shardings=where)(jax.random.key(0), clients)
        one_round = jax.jit(stored.round, out_shardings=(where, None))
        state, mean = one_round(jax.random.key(0), state, clients)
        seen = Stored(state, jax.eval_shape(algorithm.init, jax.random.key(0), clients)).read()
        again = store(jax.tree.map(np.asarray, seen), count)
        there = store(seen, count)
    own, half = np.arange(1.0, count + 1), -(-count // 2)
    np.testing.assert_array_equal(mean, [(count + 1) / 2] * 3)
    np.testing.assert_array_equal(seen["models"], (own + (count + 1) / 2)[:, None] * np.ones(3))
    np.testing.assert_array_equal(seen["each"], -own)
    np.testing.assert_array_equal(seen["pairs"], np.ones((count, 9)))
    for kept in (state, again, there):
        assert [shard.data.shape for shard in kept["models"].addressable_shards] == [(half, 3)] * 2
        np.testing.assert_array_equal(kept["models"][:count], seen["models"])
        np.testing.assert_array_equal(kept["models"][count:], 0)


def test_a_run_goes_on_from_what_is_read_of_clients_that_do_not_divide():
    clients = tiny.clients((7, 3, 4, 5, 6), (1,) * 5)
    asked = {"rounds": 1, "key": jax.random.key(1), "take_measures": themselves}
    made = [*system("demlearn", clients)]
    whole = simulate(*made, **asked | {"rounds": 2})
    with spread_over(2):
        first = simulate(*made, **asked)
        assert first.state.client.count == 5
        second = simulate(*made, **asked, state=first.state, done=1)
        seen = [jax.tree.map(np.asarray, m.state) for m in watch(*made, **asked | {"rounds": 2})]
    tiny.close(second.state, whole.state, 1e-5)
    tiny.close(seen[2], whole.state, 1e-5)
    tiny.close(seen[1], first.state, 1e-6)


def test_data_are_whole_on_every_device_and_copied_to_them_once():
    data = {"x": jnp.arange(6.0), "y": jnp.int32(1)}
    assert on_every_device(data) is data
    with spread_over(2):
        there = on_every_device(data)
        assert [len(leaf.sharding.device_set) for leaf in there.values()] == [2, 2]
        assert all(leaf.is_fully_replicated for leaf in there.values())
        again = on_every_device(there)
    jax.tree.map(np.testing.assert_array_equal, there, data)
    for one, other in zip(
        there["x"].addressable_shards, again["x"].addressable_shards, strict=True
    ):
        assert one.data.unsafe_buffer_pointer() == other.data.unsafe_buffer_pointer()


def test_a_run_that_is_watched_has_its_data_on_every_device():
    """Else each program that is called copies them."""
    clients = tiny.clients()
    seen = []

    def noted(key, number, state, clients):
        seen.append(clients)
        return state, None

    asked = {"rounds": 2, "key": jax.random.key(0), "take_measures": themselves}
    with spread_over(2):
        made = programs(*system("fedavg", clients), **{k: asked[k] for k in asked if k != "rounds"})
        moments = watch(*system("fedavg", clients), **asked, compiled=made._replace(round=noted))
        assert len(list(moments)) == 3
    assert len(seen) == 2
    for leaf in jax.tree.leaves(seen):
        assert leaf.is_fully_replicated
        assert len(leaf.sharding.device_set) == 2


def system(name, clients):
    task = tiny.task()
    options = {"features": gradients()} if name == "gradients" else {}
    options |= {"cohort": 3} if "cohorts" in name else {}
    local = local_training(task, optax.sgd(0.3), epochs=2, batch_size=4)
    options |= {"measure_at": "fine-tuned"} if "fine-tuned" in name else {}
    if name.startswith("fedavg"):
        return fedavg(local, **options), task, clients
    return demlearn(local, levels=2, **options), task, clients


def themselves(models, clients):
    """In place of the measures, which compile long: the models of every round."""
    return models


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("demlearn", 8),
        ("demlearn", 7),
        ("gradients", 7),
        ("fedavg", 8),
        ("demlearn, cohorts", 7),
        ("fedavg, cohorts", 7),
        ("fedavg, fine-tuned", 7),  # also what clients do before they are scored
    ],
)
def test_a_run_on_two_devices_is_that_on_one(name, count):
    clients = tiny.clients()
    clients = clients._replace(
        **{k: getattr(clients, k)[:count] for k in ("train", "train_size", "test", "test_size")}
    )
    measured = name in ("demlearn", "fedavg")
    asked = {"rounds": 3, "key": jax.random.key(1)}
    asked["take_measures"] = None if measured else themselves
    one = simulate(*system(name, clients), **asked)
    with spread_over(2):
        two = simulate(*system(name, clients), **asked)
        # A round at a time, with states that live in parts or whole; compiles as long again.
        watched = measured and count == 8
        *_, last = watch(*system(name, clients), **asked) if watched else [None]
    np.testing.assert_array_equal(two.measures.hierarchy.groups, one.measures.hierarchy.groups)
    if not measured:
        tiny.close(two.measures[:2], one.measures[:2], 1e-5)  # of clients and groups
    ends = [(two.measures, two.state)]
    if last is not None:
        ends.append((jax.tree.map(lambda m: m[None], last.measures), last.state))
    for spread, _ in ends if measured else []:
        for field in ("client_spe", "client_gen", "group_gen", "global_score"):
            wanted = getattr(one.measures, field)[-len(getattr(spread, field)) :]
            np.testing.assert_allclose(getattr(spread, field), wanted, atol=1e-5)
    for _, spread in ends:
        for got, wanted in zip(*map(jax.tree.leaves, (spread, one.state)), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_a_run_on_two_devices_may_be_part_of_another_program():
    clients = tiny.clients()
    with spread_over(2):
        run = partial(simulate, *system("fedavg", clients), rounds=2, take_measures=themselves)
        wanted = run(key=jax.random.key(1)).measures.client
        got = jax.jit(lambda key: run(key=key).measures.client)(jax.random.key(1))
    tiny.close(got, wanted, 1e-6)


@pytest.mark.parametrize("count", [6, 5])
@pytest.mark.parametrize("metric", ["euclidean", "correlation"])
def test_distances_are_added_up_on_both(metric, count, monkeypatch):
    """Models 1e-4 apart, in leaves of less than one chunk, of several, and of one column."""
    monkeypatch.setattr(policy, "CPU_PARAMETERS_COMPARED", 1)
    for name, value in (("NARROWEST", 8), ("SMALL", 3)):
        monkeypatch.setattr(columns, name, value)
    rng = np.random.default_rng(count)
    shapes = ((), (7,), (45,), (3, 20))
    models = [rng.normal(size=s) + 1e-4 * rng.normal(size=(count, *s)) for s in shapes]
    models = [jnp.asarray(leaf, jnp.float32) for leaf in models]
    with spread_over(2):
        got = jax.jit(lambda models: getattr(clustering, metric)(models))(models)
    flat = np.concatenate([np.asarray(x, np.float64).reshape(count, -1) for x in models], axis=1)
    np.testing.assert_allclose(got, squareform(pdist(flat, metric)), rtol=2e-5)


def test_one_device_computes_for_all():
    def slowly(x):
        times = lax.while_loop(lambda n: n < 5, lambda n: n + 1, 0)
        return x * times, jnp.where(x > 1, jnp.nan, x)

    x = jnp.arange(4.0)
    with spread_over(2):
        got = jax.jit(lambda x: on_one(slowly, x))(x)
    jax.tree.map(np.testing.assert_array_equal, got, slowly(x))


def test_measures_are_taken_on_both():
    clients, task = tiny.clients(), tiny.task()
    algorithm = system("fedavg", clients)[0]
    models = algorithm.models(algorithm.init(jax.random.key(0), clients))
    wanted = jax.jit(measure(task, clients))(models)
    with spread_over(2):
        got = jax.jit(measure(task, clients))(models)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


@pytest.mark.parametrize("devices", [0, 3])
def test_devices_that_are_not_there_are_refused(devices):
    with pytest.raises(
        ValueError, match=rf"^A run can be spread over 1 to 2 devices, not {devices}"
    ):
        spread_over(devices)
