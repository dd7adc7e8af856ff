"""A run as one traceable program, for ``jit``, ``vmap`` and sweeps."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import get_opaque_trace_state
from jaxtyping import PRNGKeyArray

from demjax import keys
from demjax.backend.sharding import compiler_options
from demjax.base import Algorithm, ClientData, Models
from demjax.metrics import Measures
from demjax.simulation.history import History, nan_is_no_value, no_info
from demjax.simulation.schedule import Schedule, takers
from demjax.simulation.scored import scored_models

OUTSIDE = get_opaque_trace_state()
"""What JAX says where nothing is traced, as when this module is imported."""


def being_traced() -> bool:
    """Whether whoever calls is inside of ``jit``, ``vmap`` or another of JAX's transformations."""
    return bool(get_opaque_trace_state() != OUTSIDE)


def whole_run(
    algorithm: Algorithm,
    clients: ClientData,
    *,
    planned: Schedule,
    key: PRNGKeyArray,
    take: Callable[[Models, ClientData], Measures],
    state: Any = None,
) -> History:
    """All rounds and measures together, as one program; arguments as in ``simulate``."""

    @partial(jax.jit, compiler_options=compiler_options())
    def run(key, clients, state):
        # Traced once, for the shapes of its info and for the loop.
        @partial(jax.jit, inline=True)
        def one_round(number, state):
            return algorithm.round(keys.for_round(key, number), state, clients)

        def until(carry, span):
            start, end, which = span
            state, info = lax.fori_loop(start, end, lambda n, c: one_round(n, c[0]), carry)
            looks = takers(take, planned.sets)
            models = scored_models(algorithm, key, state, clients)
            if len(looks) == 1:
                return (state, info), (looks[0](models, clients), info)
            return (state, info), (lax.switch(which, looks, models, clients), info)

        if state is None:
            state = algorithm.init(keys.for_initial_model(key), clients)
        nothing = no_info(jax.eval_shape(one_round, jnp.int32(0), state)[1])
        return lax.scan(until, (state, nothing), _spans(planned))

    with nan_is_no_value():
        (state, _), (measures, info) = run(key, clients, state)
    return History(np.asarray(planned.rounds), measures, state, info)


def _spans(planned: Schedule) -> tuple[jax.Array, ...]:
    """From which round to which each span goes, and which set of measures is taken then.

    The first span is empty: what takes the measures is in the program once.
    """
    first = planned.rounds[0]
    spans = jnp.asarray(list(pairwise([first, *planned.rounds])), jnp.int32)
    which = [planned.sets.index(taken) for taken in planned.taken]
    return spans[:, 0], spans[:, 1], jnp.asarray(which, jnp.int32)
