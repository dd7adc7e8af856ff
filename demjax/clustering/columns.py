"""Going through the parameters of all clients' models, some columns at a time."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from demjax.backend import policy
from demjax.backend.blocks import fold
from demjax.backend.sharding import over_columns
from demjax.base import Params
from demjax.pytrees import used_columns

NARROWEST, WIDEST = 256, 8192
"""How few and how many columns of all clients are read at a time."""
SMALL = 1024
"""Arrays of fewer columns are put together, for each one makes the program longer."""


def fold_chunks(params: Params, step: Callable, state: Any, shared: Any = None) -> Any:
    """Fold ``step(shared, state, chunk[N, C], new[C])`` over all parameters, some columns a time.

    Steps add to the state, for several devices go through columns of their own.
    """
    stored = [(array, used) for array, used in used_columns(params) if used]
    if not stored:
        raise ValueError("Distances need models with parameters, but these have none.")
    small = [array[:, :used].astype(jnp.float32) for array, used in stored if used < SMALL]
    stored = [(array, used) for array, used in stored if used >= SMALL]
    if small:
        stored.append((joined := jnp.concatenate(small, axis=1), joined.shape[1]))
    flats, sizes = zip(*stored, strict=True)
    most = policy.parameters_compared_at_once(flats[0].shape[0])

    def add_up(flats, shared, state, columns, devices):
        for flat, size in zip(flats, sizes, strict=True):
            width = max(1, min(size // devices, max(NARROWEST, min(most, WIDEST))))
            missing = max(0, devices - size)  # some devices then get a column that does not count
            flat = jnp.pad(flat, ((0, 0), (0, missing))) if missing else flat

            def chunk(state, start, new, flat=flat, width=width, missing=missing):
                if missing:
                    new = new & (jnp.arange(devices * width) < devices - missing)
                some = columns(flat, start, width).astype(jnp.float32)
                return step(shared, state, some, columns(new, 0, width))

            state = fold(size + missing, devices * width, chunk, state)
        return state

    return over_columns(add_up, list(flats), shared, state)
