"""Many experiments as one program: seeds, learning rates and all other numbers of an algorithm.

    experiments = demjax.grid(seed=[0, 1, 2], rate=[0.03, 0.1], mix=[0.3, 0.6])

    def experiment(chosen, clients):
        local = demjax.local_training(task, optax.sgd(chosen["rate"]))
        algorithm = demjax.demlearn(local, mix=chosen["mix"])
        key = jax.random.key(chosen["seed"])
        return demjax.simulate(algorithm, task, clients, rounds=60, key=key, take_measures=take)

    histories = demjax.sweep(experiment, experiments, clients)

Compiling takes as long as for one experiment. In the context of ``spread_over``, experiments are
divided among devices, in place of clients: they never wait for one another.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from demjax.arrays import on_device
from demjax.backend import policy
from demjax.backend.sharding import compiler_options, devices_at_work, everywhere, over_clients
from demjax.metrics import Measures
from demjax.registry import check_number
from demjax.simulation.history import nan_is_no_value
from demjax.simulation.saved_sweep import in_pieces


def sweep(
    function: Callable,
    experiments: Any,
    *shared: Any,
    chunk: int | None = None,
    checkpoint: str | Path | None = None,
) -> Any:
    """Call ``function(experiment, *shared)`` for every experiment, in one compiled program.

    The results are those of separate calls, to rounding. On a CPU a device runs its experiments
    one after another, in the memory of one; elsewhere all at once, for a single one does not fill
    an accelerator, in as many times the memory. Returning only what is asked, such as a history's
    measures, not the models, spares memory everywhere.

    May itself be called under ``jit``, so that it is compiled once and called often; then
    ``sharding.compiler_options`` says how to compile it.

    Args:
        function: Traceable: of one experiment's numbers, and what they share, to a pytree of
            arrays. Whatever else it reads is built into the program: pass large arrays, such
            as clients, as shared ones.
        experiments: A pytree of arrays with a row for each experiment, such as ``grid`` makes.
        *shared: Pytrees of arrays that every experiment gets whole.
        chunk: Experiments that a device runs at once, at least 1; by default one on a CPU,
            else all.
        checkpoint: A folder where results are saved whenever every device is done with a chunk. A
            sweep that is begun again goes on behind what is there, to the same bits.

    Returns:
        What the function returns, leaves with a leading axis of experiments.

    Raises:
        ValueError: If the experiments' arrays are not of the same number of rows, at least one,
            or ``chunk`` is below 1; if what is in ``checkpoint`` is of another sweep, or one is
            asked for under ``jit`` or by several processes.
    """
    check_number("A sweep", "chunk", chunk, 1)
    experiments = jax.tree.map(partial(on_device, what="Experiments"), experiments)
    rows = sorted({leaf.shape[0] if leaf.ndim else 0 for leaf in jax.tree.leaves(experiments)})
    if len(rows) != 1 or rows == [0]:
        given = " and ".join(map(str, rows)) or "no"
        raise ValueError(
            f"A sweep needs arrays with a row for each experiment, as many in all of them, but "
            f"arrays of {given} rows were given."
        )

    def some(shared, experiments):
        """Run the experiments that one device is divided, a chunk at a time."""

        def one(experiment):
            return function(experiment, *shared)

        count = jax.tree.leaves(experiments)[0].shape[0]
        most = min(chunk or policy.experiments_at_once(count), count)
        if most == 1:
            return lax.map(one, experiments)
        # Chunks are made even, and the last filled up with copies, so that one program fits all.
        chunks = -(-count // most)
        width = -(-count // chunks)
        taken = jnp.minimum(jnp.arange(chunks * width), count - 1).reshape(chunks, width)
        divided = jax.tree.map(lambda leaf: leaf[taken], experiments)
        results = lax.map(jax.vmap(one), divided)
        return jax.tree.map(
            lambda leaf: leaf.reshape(chunks * width, *leaf.shape[2:])[:count], results
        )

    @partial(jax.jit, compiler_options=compiler_options())
    def run(shared, experiments):
        devices, count = devices_at_work(), jax.tree.leaves(experiments)[0].shape[0]
        if not count % devices:
            return over_clients(some, shared, experiments)
        # The last devices get copies of the last one.
        taken = jnp.minimum(jnp.arange(count + -count % devices), count - 1)
        experiments = jax.tree.map(lambda leaf: leaf[taken], experiments)
        results = over_clients(some, shared, experiments)
        return jax.tree.map(lambda leaf: everywhere(leaf[:count]), results)

    with nan_is_no_value():
        if checkpoint is None:
            results = run(shared, experiments)
        else:
            (count,) = rows
            piece = (chunk or policy.experiments_at_once(count)) * devices_at_work()
            results = in_pieces(run, shared, experiments, piece=piece, folder=Path(checkpoint))
    _warn_of_divergence(results)
    return results


def _warn_of_divergence(results: Any) -> None:
    """Say how many experiments ended with models that are not finite, if measures tell."""
    leaves = jax.tree.leaves(results, is_leaf=lambda part: isinstance(part, Measures))
    counts = [part.diverged for part in leaves if isinstance(part, Measures)]
    for lost in counts:
        if isinstance(lost, jax.core.Tracer):
            continue
        ends = np.asarray(lost).reshape(len(lost), -1)[:, -1]
        if ends.any():
            warnings.warn(
                f"In {(ends > 0).sum()} of {len(ends)} experiments models are not finite at the "
                "end: they diverged.",
                RuntimeWarning,
                stacklevel=3,
            )


def grid(**values: Sequence[Any] | Array) -> dict[str, Array]:
    """All combinations of values, one experiment each, the last name's changing fastest.

    Args:
        **values: By name, the values to go through: numbers, or an array of them or of keys.

    Returns:
        By name, an array with a row for each combination. ``result.reshape(3, 2, …)`` gives each
        name an axis of its own, where it has 3, 2, … values.

    Raises:
        ValueError: If a name has no values.
    """
    arrays = {name: on_device(each, f"Values of {name}") for name, each in values.items()}
    for name, array in arrays.items():
        if array.ndim == 0 or array.shape[0] == 0:
            raise ValueError(f"A grid needs at least one value of {name}, as a list or an array.")
    places = jnp.indices([array.shape[0] for array in arrays.values()])
    return {
        name: array[place.reshape(-1)]
        for (name, array), place in zip(arrays.items(), places, strict=True)
    }
