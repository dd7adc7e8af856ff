"""A sweep whose results are saved as they come, and that goes on behind them when begun anew."""

import hashlib
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from demjax import __version__
from demjax.simulation.checkpoint import at, numbered, write
from demjax.simulation.lock import held
from demjax.simulation.saving import digest_of, reason_of
from demjax.simulation.whole import being_traced

DIFFERS = {
    "demjax": "of another version of demjax",
    "jax": "under another JAX or on another device",
    "data": "of other experiments or data",
    "program": "of another function, chunk or number of devices",
}
"""What is said of results that a sweep does not go on behind."""


def in_pieces(run: Any, shared: Any, experiments: Any, *, piece: int, folder: Path) -> Any:
    """Run a sweep piece by piece, each with one compiled program, and save what comes out.

    Args:
        run: A jitted function of what all share and of some experiments.
        shared: What all share.
        experiments: All experiments, leaves with a row for each.
        piece: How many are run at once; the last piece is filled up with copies.
        folder: Where each piece's results are saved, and nothing else; made if need be.

    Returns:
        The results, leaves with a row for each experiment.

    Raises:
        ValueError: If the folder holds results of another sweep or cannot be written, another
            process is at work there, or there are several processes, or a tracer asks.
    """
    if being_traced():
        raise ValueError(
            "A sweep that is itself compiled cannot be saved, but checkpoint was given under jit "
            "or vmap; possible is checkpoint=None."
        )
    if jax.process_count() > 1:
        raise ValueError(
            f"A sweep of {jax.process_count()} processes cannot be saved; possible is a sweep in "
            "each of them, of some of the experiments, or checkpoint=None."
        )
    shared = jax.tree.map(jnp.asarray, shared)  # numbers of Python's, too
    count = jax.tree.leaves(experiments)[0].shape[0]
    piece = min(piece, count)
    rows = [np.minimum(np.arange(n, n + piece), count - 1) for n in range(0, count, piece)]
    lowered = run.lower(shared, _some(experiments, rows[0]))
    identity = {
        "demjax": __version__,
        "jax": f"{jax.__version__}, {jax.devices()[0].device_kind}",
        "program": hashlib.sha256(lowered.as_text().encode()).hexdigest(),
        "data": digest_of(_plain((shared, experiments)), whole=True),
    }
    shapes = jax.tree.map(lambda one: jax.ShapeDtypeStruct(one.shape, one.dtype), lowered.out_info)
    found, program, kept = [], None, True
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(folder))
        except OSError as error:
            raise ValueError(f"{folder} cannot be written: {error.strerror}.") from None
        for place, of in enumerate(rows):
            results = _known(folder, place, identity, shapes)
            if results is None:
                program = program or lowered.compile()
                results = jax.block_until_ready(program(shared, _some(experiments, of)))
                kept = kept and _saved(folder, place, results, identity)
            found.append(results)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:count], *found)


def _some(experiments: Any, rows: Int[np.ndarray, " R"]) -> Any:
    return jax.tree.map(lambda leaf: leaf[rows], experiments)


def _known(folder: Path, place: int, identity: Mapping[str, str], shapes: Any) -> Any:
    """The results of a piece that were saved; ``None`` without them.

    Raises:
        ValueError: If they are of another sweep.
    """
    if place not in numbered(folder):
        return None
    point, why = at(folder, place)
    if point is None:
        warnings.warn(
            f"Results {place} of the sweep in {folder} are broken ({why}) and found again.",
            RuntimeWarning,
            stacklevel=4,
        )
        return None
    for name, of in DIFFERS.items():
        if point.about.get(name) != identity[name]:
            raise ValueError(
                f"The results in {folder} are of a sweep {of}; possible is the same one as before, "
                "or another folder."
            )
    return point.read(results=shapes)["results"]


def _saved(folder: Path, place: int, results: Any, identity: Mapping[str, str]) -> bool:
    """Whether results could be saved; where not, that is said."""
    try:
        write(folder, place, {"results": results}, identity, writes=True)
    except Exception as error:  # a disk that is full, in whatever words the library has
        warnings.warn(
            f"Results of the sweep cannot be saved in {folder}: {reason_of(error)}. It goes on.",
            RuntimeWarning,
            stacklevel=4,
        )
        return False
    return True


def _plain(tree: Any) -> Any:
    """A pytree with keys as numbers."""

    def plain(leaf):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(leaf) if is_key else leaf

    return jax.tree.map(plain, tree)
