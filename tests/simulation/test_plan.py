"""Plans: for this machine against what its compiler says, for others where that is installed."""

from importlib.util import find_spec

import jax
import pytest
import tiny

import demjax
from demjax import demlearn, fedavg, local_training, plan
from demjax.backend import memory, policy
from demjax.backend.examples import placed
from demjax.backend.sharding import spread_over
from demjax.simulation.plan import resized

CLIENTS = tiny.clients()
COUNT = len(tiny.SIZES)
LOCAL = local_training(tiny.task(), "sgd", lr=0.1)


def test_a_plan_for_this_machine_is_what_its_compiler_says():
    algorithm = fedavg(LOCAL)
    found = plan(algorithm, CLIENTS, accelerator="cpu", largest=False)
    assert demjax.plan is plan
    assert found.fits
    assert found.clients == COUNT
    assert found.device_bytes == memory.present()
    state = jax.eval_shape(algorithm.init, jax.random.key(0), CLIENTS)
    compiled = jax.jit(algorithm.round, donate_argnums=1, keep_unused=True).lower(
        jax.random.key(0), state, CLIENTS
    )
    assert found.needs_bytes == memory.planned(compiled.compile())
    one = sum(leaf.nbytes for leaf in jax.tree.leaves(tiny.task().init(jax.random.key(0))))
    assert found.models_bytes == COUNT * one
    assert found.data_bytes == sum(leaf.nbytes for leaf in CLIENTS)
    assert found.roofline_seconds is None  # nobody knows what this processor can do
    assert found.between_bytes == {}
    assert found.operations > 0


def test_shapes_alone_will_do_and_several_devices_share_the_models():
    shapes = resized(CLIENTS, 6)
    alone = plan(demlearn(LOCAL, levels=1), shapes, accelerator="cpu", largest=False)
    both = plan(demlearn(LOCAL, levels=1), shapes, accelerator="cpu", devices=2, largest=False)
    assert alone.largest_clients is both.largest_clients is None
    assert both.models_bytes == alone.models_bytes // 2
    assert both.between_bytes["all-reduce"] > 0


def test_examples_in_parts_are_counted_as_a_run_holds_them(monkeypatch):
    def planned(clients=CLIENTS, devices=2):
        return plan(fedavg(LOCAL), clients, accelerator="cpu", devices=devices, largest=False)

    whole, alone = planned(), planned(devices=1)
    monkeypatch.setattr(policy, "LARGE", 10**9)  # no data are small, for plans and runs alike
    parts, shapes = planned(), planned(resized(CLIENTS, COUNT))
    assert planned(devices=1).data_bytes == alone.data_bytes == whole.data_bytes
    with policy.dividing_examples(False):
        assert planned() == whole
    # Of 68 examples, 27 are trained on here and 24 there; a device has half of all.
    widths = CLIENTS.train.shape[1] + 1 + CLIENTS.test.shape[1] + 1
    others = 68 + COUNT * widths  # labels; indices and sizes
    assert whole.data_bytes == 4 * (68 * tiny.FEATURES + others)
    found_at = 68 + COUNT * CLIENTS.train.shape[1]
    assert parts.data_bytes == 4 * (34 * tiny.FEATURES + others + found_at)
    assert shapes.data_bytes == parts.data_bytes
    saved = whole.data_bytes - parts.data_bytes
    assert whole.arguments_bytes - parts.arguments_bytes == saved  # of the compiled program
    with spread_over(2):
        held = [leaf.addressable_shards[0].data for leaf in jax.tree.leaves(placed(CLIENTS))]
    assert parts.data_bytes == sum(part.nbytes for part in held)


def test_a_device_whose_clients_train_on_most_examples_decides_how_large_parts_are():
    some = tiny.clients((20, 1, 2, 1), (0, 1, 0, 0))
    with policy.dividing_examples(True):
        found = plan(fedavg(LOCAL), some, accelerator="cpu", devices=2, largest=False)
        even = plan(fedavg(LOCAL), resized(some, 4), accelerator="cpu", devices=2, largest=False)
    assert found.data_bytes - even.data_bytes == 4 * tiny.FEATURES * (21 - 13)


def test_the_largest_number_of_clients_is_one_that_fits_and_hardly_more_do(monkeypatch):
    limit = plan(fedavg(LOCAL), resized(CLIENTS, 301), accelerator="cpu", largest=False)
    monkeypatch.setattr(memory, "present", lambda: limit.needs_bytes)
    found = plan(fedavg(LOCAL), CLIENTS, accelerator="cpu")
    assert found.fits
    assert 270 <= found.largest_clients <= 301


def test_where_nothing_fits_none_is_the_largest(monkeypatch):
    monkeypatch.setattr(memory, "present", lambda: 1000)
    found = plan(fedavg(LOCAL), CLIENTS, accelerator="cpu")
    assert not found.fits
    assert found.largest_clients == 0


def test_data_of_other_sizes_have_as_many_examples_a_client():
    other = resized(CLIENTS, 3 * COUNT)
    assert other.x.shape == (3 * len(CLIENTS.x), *CLIENTS.x.shape[1:])
    assert other.train.shape == (3 * COUNT, CLIENTS.train.shape[1])
    assert other.test_size.shape == (3 * COUNT,)


def test_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"^A plan for this CPU can be for 1 to \d+ devices\.$"):
        plan(fedavg(LOCAL), CLIENTS, accelerator="cpu", devices=500)
    with pytest.raises(ValueError, match="unknown"):
        plan(fedavg(LOCAL), CLIENTS, accelerator="gpu9")


@pytest.mark.skipif(find_spec("jax_cuda12_plugin") is None, reason="needs demjax[plan-gpu]")
def test_a_round_for_a_gpu_is_compiled_and_fits():
    found = plan(fedavg(LOCAL), CLIENTS, accelerator="h100", largest=False)
    assert found.fits
    assert found.roofline_seconds > 0
    assert found.needs_bytes >= found.arguments_bytes
