"""What each platform chooses, who is told which, and that nobody else asks."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import demjax
from demjax.backend import policy
from demjax.backend.policy import compiling_for, storing_models
from demjax.backend.sharding import compiler_options, spread_over

ACCELERATORS = pytest.mark.parametrize("platform", ["gpu", "tpu"])
ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}


def test_the_platform_is_jaxs_default_unless_told():
    assert policy.platform() == jax.default_backend() == "cpu"
    with compiling_for("gpu"):
        assert policy.platform() == "gpu"
        with compiling_for("tpu"):
            assert policy.platform() == "tpu"
        assert policy.platform() == "gpu"
    with pytest.raises(RuntimeError, match="midway"), compiling_for("tpu"):
        raise RuntimeError("midway")
    assert policy.platform() == "cpu"


def test_another_thread_is_not_told():
    with compiling_for("gpu"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(policy.platform).result() == "cpu"
        assert policy.platform() == "gpu"


def test_an_accelerator_of_another_kind_counts_as_a_gpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "neuron")
    assert policy.platform() == "gpu"


def test_an_unknown_platform_is_refused():
    with pytest.raises(ValueError, match=r"^The platform 'cuda' is unknown; possible are cpu, gp"):
        compiling_for("cuda")


def test_what_was_traced_for_one_platform_is_not_taken_for_another():
    @jax.jit
    def chosen(x):
        return x + policy.clients_trained_at_once(64, 1000)

    seen = [int(chosen(0))]
    with compiling_for("gpu"):
        seen.append(int(chosen(0)))
    assert [*seen, int(chosen(0))] == [1, 64, 1]


def test_a_cpu_works_on_little_at_a_time():
    assert policy.clients_trained_at_once(1000, 10**6) == 1
    assert not policy.stores_flat()
    assert policy.parameters_averaged_at_once(100) == 2**20 // 100
    assert policy.parameters_averaged_at_once(10**9) == 512
    assert policy.convolution_form() == "tiles"
    scored = policy.models_scored_at_once
    assert [scored(n, convolved=False) for n in (0, 2**13, 2**14, 2**15, 2**20)] == [4, 4, 2, 1, 1]
    assert scored(1, convolved=True) == 1
    assert policy.largest_scoring_array() == 8 * 1024**2
    assert policy.fewest_mutual_pairs(10_000) is None
    assert policy.compares_one_by_one()
    assert policy.experiments_at_once(50) == 1
    assert policy.devices_share_memory()
    assert policy.devices_are_cores()
    assert policy.compiler_options(1) is None
    assert policy.compiler_options(2) == ONE_THREAD


@ACCELERATORS
def test_an_accelerator_works_on_much_at_a_time(platform):
    with compiling_for(platform):
        assert policy.stores_flat()
        assert policy.parameters_averaged_at_once(10**9) == 1024
        assert policy.parameters_averaged_at_once(1000) == 2**25 // 1000
        assert policy.convolution_form() == "product"
        assert policy.models_scored_at_once(10**6, convolved=True) == 16
        assert policy.largest_scoring_array() == 128 * 1024**2
        assert [policy.fewest_mutual_pairs(count) for count in (100, 5120)] == [2, 10]
        assert not policy.compares_one_by_one()
        assert policy.experiments_at_once(50) == 50
        assert not policy.devices_share_memory()
        assert not policy.devices_are_cores()
        assert policy.compiler_options(8) is None


@ACCELERATORS
@pytest.mark.parametrize(
    ("clients", "model", "memory", "chunk"),
    [
        (50, 10**6, 16 * 10**9, 50),  # 50 MB of models: as many as are worth it
        (1000, 30_000, 80 * 10**9, 256),
        (2000, 3_340_000, 16 * 10**9, 16),  # 6.7 GB: a twentieth of the device
        (10_000, 636_000, 80 * 10**9, 80),  # 6.4 GB: a tenth of the models
        (4, 10**9, 16 * 10**9, 4),
        (40, 10**9, 16 * 10**9, 8),
    ],
)
def test_clients_are_trained_in_the_memory_that_is_left(platform, clients, model, memory, chunk):
    with compiling_for(platform, memory):
        assert policy.clients_trained_at_once(clients, model) == chunk


def test_a_device_that_nobody_knows_has_16_gigabytes():
    with compiling_for("tpu"):
        assert policy.device_bytes() == 16 * 10**9
        with compiling_for("tpu", 5):
            assert policy.device_bytes() == 5
        assert policy.device_bytes() == 16 * 10**9


@ACCELERATORS
def test_programs_for_an_accelerator_are_not_given_a_cpus_options(platform):
    with spread_over(2):
        assert compiler_options() == ONE_THREAD
        with compiling_for(platform):
            assert compiler_options() is None


def test_inside_a_program_choices_are_those_of_its_platform():
    said = []
    with compiling_for("tpu"):
        inner = jax.vmap(lambda x: said.append(policy.platform()) or x)
        jax.eval_shape(jax.jit(inner), jnp.ones(3))
    assert said == ["tpu"]


def test_no_other_module_asks_for_the_platform():
    package = Path(demjax.__file__).parent
    asks = re.compile(r"default_backend|get_backend|\.platform\s*[!=]=|lax\.platform_dependent")
    found = [
        str(file.relative_to(package))
        for file in sorted(package.rglob("*.py"))
        if asks.search(file.read_text(encoding="utf-8"))
    ]
    assert found == ["backend/policy.py"]


def test_models_are_stored_in_single_precision_unless_told():
    assert policy.store_dtype() == jnp.float32
    assert demjax.storing_models is storing_models
    seen = []

    @jax.jit
    def chosen():
        seen.append(policy.store_dtype())
        return 0

    chosen()
    with storing_models("bf16"):
        chosen()
        with storing_models("float32"):
            chosen()
    assert seen == [jnp.float32, jnp.bfloat16]
    said = r"^Models can be stored in bf16 or float32, but 'fp16' was given\.$"
    with pytest.raises(ValueError, match=said):
        storing_models("fp16")
