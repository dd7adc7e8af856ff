"""Devices of a CPU: made before anything is computed, and waited for."""

import os
import subprocess
import sys

import jax.numpy as jnp
import pytest

from demjax.backend.cores import PATIENCE, use_cores


def test_a_device_that_has_more_to_do_is_waited_for():
    # By default XLA warns after 20 seconds of waiting, and ends the process 40 later. What it
    # was told is seen without waiting so long: told to end it after one, it does.
    program = """
import sys, time, demjax, jax, jax.numpy as jnp
from jax import lax
from demjax.backend.sharding import over_clients
demjax.use_cores(2)
def work(_, x):
    turns = jnp.where(lax.axis_index("clients") == 0, 1, 400_000_000)
    end = lax.fori_loop(0, turns, lambda i, y: jnp.cos(y) + i % 7, x[0])
    return x + lax.psum(jnp.where(jnp.isfinite(end), x[0], 0), "clients")
with demjax.spread_over():
    run = jax.jit(lambda x: over_clients(work, (), x)).lower(jnp.ones(2)).compile()
    start = time.monotonic()
    print(run(jnp.ones(2)).tolist(), time.monotonic() - start > 2.5)
"""
    ended = {}
    for seconds in (1, None):
        flag = "" if seconds is None else " ".join(f"--{name}=1" for name in PATIENCE)
        environment = {**os.environ, "XLA_FLAGS": flag}
        ended[seconds] = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
    assert ended[1].returncode != 0
    assert "Termination timeout" in ended[1].stderr
    assert (ended[None].stdout, ended[None].stderr) == ("[3.0, 3.0] True\n", "")


def test_cores_are_taken_before_anything_is_computed():
    jnp.ones(1).block_until_ready()
    with pytest.raises(ValueError, match=r"^A CPU can be made 3 devices only before anything"):
        use_cores(3)
    with pytest.raises(ValueError, match=r"^A CPU needs at least 1 device, but 0 was given\.$"):
        use_cores(0)
    program = "import demjax, jax; demjax.use_cores(3); print(len(jax.devices('cpu')))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["3"]
