"""Some columns at a time: every parameter once."""

import jax.numpy as jnp
import numpy as np

from demjax.backend import policy
from demjax.clustering import columns


def test_chunks_hold_every_parameter_once(monkeypatch):
    monkeypatch.setattr(policy, "CPU_PARAMETERS_COMPARED", 1)
    monkeypatch.setattr(columns, "NARROWEST", 8)
    monkeypatch.setattr(columns, "SMALL", 16)
    rng = np.random.default_rng(0)
    shapes = [(3, 2, 2), (3,), (3, 20), (3, 7, 5)]
    params = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]
    widths = []

    def step(shared, state, chunk, new):
        widths.append(chunk.shape)
        return state[0] + jnp.sum(jnp.where(new, chunk, 0)), state[1] + jnp.sum(new)

    total, seen = columns.fold_chunks(params, step, (jnp.float32(0), 0))
    np.testing.assert_allclose(total, sum(np.sum(leaf) for leaf in params), rtol=1e-5)
    assert int(seen) == sum(leaf.size for leaf in params) // 3
    # Two leaves of their own, and the small ones as one: 4 + 1 columns.
    assert sorted(widths) == [(3, 5), (3, 8), (3, 8)]
