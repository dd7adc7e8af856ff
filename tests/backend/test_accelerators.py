"""Accelerators by name; where what compiles for them is there, programs are compiled."""

from importlib.util import find_spec

import jax
import jax.numpy as jnp
import pytest

from demjax.backend.accelerators import ACCELERATORS, SLICES, absent_devices, accelerator


def test_an_unknown_one_is_told_with_the_nearest():
    with pytest.raises(ValueError, match=r"'h1000' is unknown; perhaps 'h100' was meant, .* cpu,"):
        accelerator("h1000")


@pytest.mark.parametrize("count", [0, 65, 1.5])
def test_there_are_1_to_64_of_each(count):
    with pytest.raises(ValueError, match=r"^A plan"):
        absent_devices("h100", count)


@pytest.mark.parametrize("name", ACCELERATORS)
def test_what_is_known_makes_sense(name):
    known = ACCELERATORS[name]
    assert 15e9 < known.memory < 200e9
    assert 1e13 < known.operations < 1e15
    assert 5e11 < known.bandwidth < 1e13
    assert bool(known.target) == (known.platform == "gpu")
    assert bool(known.generation) == (known.platform == "tpu")
    if known.platform == "tpu":
        assert set(SLICES[known.generation]) == {4, 8, 16, 32, 64}


@pytest.mark.parametrize("name", ["h100", "tpu-v5e"])
def test_a_program_is_compiled_or_the_sentence_says_what_to_install(name):
    package = {"gpu": "jax_cuda12_plugin", "tpu": "libtpu"}[ACCELERATORS[name].platform]
    if find_spec(package) is None:
        extra = {"gpu": "plan-gpu", "tpu": "plan-tpu"}[ACCELERATORS[name].platform]
        with pytest.raises(ValueError, match=rf"{package} is not installed; .*demjax\[{extra}\]"):
            absent_devices(name, 1)
        return
    place = jax.sharding.SingleDeviceSharding(absent_devices(name, 1)[0])
    x = jax.ShapeDtypeStruct((256, 256), jnp.float32, sharding=place)
    plan = jax.jit(lambda x: x @ x).lower(x).compile().memory_analysis()
    assert plan.argument_size_in_bytes == 4 * 256**2
