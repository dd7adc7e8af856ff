"""Examples in parts: where each lies, what a device has of them, and that no result changes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import local_training, simulate
from demjax.algorithms import demlearn, ditto
from demjax.backend import policy
from demjax.backend.examples import DividedExamples, on_this_device, placed
from demjax.backend.sharding import over_clients, spread_over
from demjax.base import ClientData

# Example 8 is trained on by two clients of different devices, 9 and 10 are only tested with.
TRAIN, TEST = ([0, 3], [8], [1, 2, 8, 4], [5, 7, 6]), ([9], [10], [], [0, 9])


def clients(dtype=np.float32):
    x = np.arange(1, 23).reshape(11, 2).astype(dtype)
    fields = [
        (tiny.padded(rows, 4, filling=6), jnp.asarray([len(row) for row in rows], jnp.int32))
        for rows in (TRAIN, TEST)
    ]
    return ClientData(x, jnp.arange(100, 111, dtype=jnp.int32), *fields[0], *fields[1])


def in_parts(whole):
    with policy.dividing_examples(True):
        return placed(whole)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_each_example_lies_somewhere_and_training_examples_at_home(dtype):
    whole = clients(dtype)
    with spread_over(2):
        divided = in_parts(whole)
        assert in_parts(divided) is divided
    x = divided.x
    assert isinstance(x, DividedExamples)
    assert (x.shape, x.dtype, x.nbytes) == ((11, 2), dtype, 14 * 2 * np.dtype(dtype).itemsize)
    parts = np.asarray(x.parts.array)
    assert [shard.data.shape for shard in x.parts.array.addressable_shards] == [(7, 2)] * 2
    np.testing.assert_array_equal(parts[np.asarray(x.place)], whole.x)
    for client, examples in enumerate(TRAIN):
        part = parts[7 * (client // 2) :][:7]
        np.testing.assert_array_equal(part[x.rows[client, : len(examples)]], whole.x[examples])
    jax.tree.map(np.testing.assert_array_equal, divided[1:], whole[1:])


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_every_device_is_given_what_all_ask_for(dtype):
    whole, asked = clients(dtype), jnp.asarray([10, 0, 8, 8, 5])

    def some(data, rows):
        return rows + jnp.sum(data.x[asked] * 1.0)[None]

    with spread_over(2):
        divided = in_parts(whole)
        everywhere = jax.jit(lambda data: data.x[asked])(divided)
        sums = jax.jit(lambda data: over_clients(some, data, jnp.zeros(2)))(divided)
    np.testing.assert_array_equal(everywhere, whole.x[np.asarray(asked)])
    np.testing.assert_array_equal(sums, [whole.x[np.asarray(asked)].sum()] * 2)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize(("numbers", "moved"), [((0, 1, 2, 3), False), ((3, 4, 1, 2), True)])
def test_a_device_has_the_examples_of_those_it_trains(numbers, moved, dtype):
    whole, numbers = clients(dtype), jnp.asarray(numbers)

    def some(data, numbers):
        own = on_this_device(data, numbers, moved=moved)
        rows = own.train.at[numbers].get(mode="fill", fill_value=0)
        return own.x[rows], own.y[rows]

    with spread_over(2):
        program = jax.jit(lambda data: over_clients(some, data, numbers))
        x, y = program(in_parts(whole))
    for row, client in enumerate(numbers.tolist()):
        examples = TRAIN[client] if client < 4 else []
        np.testing.assert_array_equal(x[row, : len(examples)], whole.x[examples])
        np.testing.assert_array_equal(y[row, : len(examples)], 100 + np.array(examples, int))


# Of everyone Ditto's server adds up in another order, for clients train where their examples are.
@pytest.mark.parametrize(
    ("make", "options", "tolerance"), [(demlearn, {"levels": 2}, 0), (ditto, {}, 1e-6)]
)
def test_no_result_depends_on_where_examples_lie(make, options, tolerance):
    some = tiny.clients((7, 3, 12, 5, 4), (1, 0, 2, 3, 1))
    local = local_training(tiny.task(), optax.sgd(0.3), epochs=2, batch_size=4)
    found = []
    for yes in (False, True):
        with spread_over(2), policy.dividing_examples(yes):
            asked = {"rounds": 2, "key": jax.random.key(1)}
            history = simulate(make(local, **options), tiny.task(), some, **asked)
        found.append(jax.tree.map(np.asarray, (history.state, history.measures, history.info)))
    tiny.close(*found, tolerance)


def test_examples_are_divided_where_they_are_large():
    some = clients()
    with policy.compiling_for("gpu", 10 * some.x.nbytes):
        assert not policy.divides_examples(some.x.nbytes, 2)
        assert policy.divides_examples(some.x.nbytes + 1, 2)
        assert not policy.divides_examples(some.x.nbytes + 1, 1)
    with policy.compiling_for("cpu", 20 * some.x.nbytes):  # which all devices share
        assert not policy.divides_examples(some.x.nbytes, 2)
        assert policy.divides_examples(some.x.nbytes, 3)
    with policy.dividing_examples(False):
        assert not policy.divides_examples(10**12, 2)
    assert placed(some) is some
    with policy.dividing_examples(True):
        assert placed(some) is some  # one device has all of them in any case
