"""Which examples each client has, and the arrays of them that everything else takes."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Int32, Num

from demjax.arrays import in_32_bits, to_float32
from demjax.base import ClientData
from demjax.data.rows_in_files import Inputs, changed, taken


class Partition(NamedTuple):
    """Which examples each client trains on and is tested with.

    Attributes:
        train: For each client the indices of its training examples, at least one.
        test: For each client the indices of its test examples.
    """

    train: tuple[Int[np.ndarray, " _"], ...]
    test: tuple[Int[np.ndarray, " _"], ...]


def client_data(
    x: Num[Inputs, " T *shape"],
    y: Num[np.ndarray, " T *target"],
    partition: Partition,
    *,
    on_host: bool = False,
) -> ClientData:
    """Make the arrays of a partition: each example that somebody holds once, clients as rows.

    Args:
        x: Inputs of all examples, normalised as the model wants them, of any type and byte order,
            finite. Whole numbers stay whole where 32 bits hold them; real ones are kept in single
            precision.
        y: Labels of all examples, whole numbers from 0 on, as ``encode_labels`` makes them of
            any others; or targets, floating point, ``[T]`` or ``[T, D]``, which are kept in
            single precision.
        partition: Which of them each client has.
        on_host: Whether the inputs stay in the memory of the host, a NumPy array, as for a run on
            several devices of which none shall have them all; or, where they are read by rows, in
            their files, until a device is given its own.

    Returns:
        The clients' data; examples that nobody holds are left out, the others keep their order,
        and rows are padded with index 0 to the longest.

    Raises:
        ValueError: Inputs, labels and partition do not fit together, an input or a target is no
            number or not finite, or a label is below 0 or above 32 bits.
    """
    x, y = changed(x, partial(in_32_bits, what="Inputs")), checked_targets(y)
    if len(x) != len(y):
        raise ValueError(f"There must be one label for each input, not {len(y)} for {len(x)}.")
    if len(partition.train) != len(partition.test) or not partition.train:
        raise ValueError(
            "A partition must have training and test examples for the same clients, at least one, "
            f"not training examples for {len(partition.train)} and test examples for "
            f"{len(partition.test)}."
        )
    empty = [client for client, row in enumerate(partition.train) if len(row) == 0]
    if empty:
        raise ValueError(
            f"Every client must have a training example, but client {empty[0]} has none."
        )
    indices = np.concatenate([*partition.train, *partition.test])
    if indices.dtype.kind not in "iuf":
        raise ValueError(
            f"A partition holds indices of examples, whole numbers, not {indices.dtype}; possible "
            "is np.flatnonzero of a mask."
        )
    wrong = indices[(indices < 0) | (indices >= len(y)) | (indices % 1 != 0)]
    if len(wrong):
        raise ValueError(
            f"The indices 0 to {len(y) - 1} are possible in a partition of these data, "
            f"not {wrong[0]}."
        )
    held = np.unique(indices).astype(np.int64)
    train, train_size = _padded(partition.train, held)
    test, test_size = _padded(partition.test, held)
    # Not jnp.asarray, which compiles a copy for every new shape.
    others = jax.device_put((y[held], train, train_size, test, test_size))
    inputs: Any = taken(x, held)
    return ClientData(inputs if on_host else jax.device_put(np.asarray(inputs)), *others)


def widened(clients: ClientData, train: int, test: int) -> ClientData:
    """The same data with more padding, so that those of several seeds have one shape.

    Args:
        clients: Everybody's data; concrete arrays.
        train: Width of the rows of training examples, at least the one they have.
        test: Width of those of test examples, likewise.
    """

    def wider(rows: Int[np.ndarray, " N M"], width: int) -> Int[np.ndarray, " N M"]:
        return np.pad(rows, ((0, 0), (0, max(0, width - rows.shape[1]))))

    rows = wider(np.asarray(clients.train), train), wider(np.asarray(clients.test), test)
    return clients._replace(train=jax.device_put(rows[0]), test=jax.device_put(rows[1]))


def checked_targets(y: Num[np.ndarray, " T *target"]) -> Num[np.ndarray, " T *target"]:
    """Labels as ``int32``, or targets as ``float32``, or a ``ValueError`` of one sentence."""
    y = np.asarray(y)
    if y.dtype.kind == "f":
        if y.ndim not in (1, 2):
            raise ValueError(f"Targets must be [T] or [T, D], not of shape {y.shape}.")
        return to_float32(in_32_bits(y, "Targets"))
    most = np.iinfo(np.int32).max
    wrong = ((y := checked_labels(y)) < 0) | (y > most)
    if wrong.any():
        raise ValueError(
            f"Labels must be whole numbers from 0 to {most}, but that of example "
            f"{wrong.argmax()} is {y[wrong.argmax()]}; possible is demjax.data.encode_labels, "
            "which numbers them from 0 on."
        )
    return y.astype(np.int32)


def checked_labels(y: Int[np.ndarray, " T"]) -> Int[np.ndarray, " T"]:
    """Labels as an array of whole numbers in one dimension, or a ``ValueError``."""
    y = np.asarray(y)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ValueError(
            f"Labels must be whole numbers in one dimension, not {y.dtype} of shape {y.shape}; "
            "possible is demjax.data.encode_labels, which numbers words, too."
        )
    return y


def _padded(
    rows: Sequence[np.ndarray], held: Int[np.ndarray, " _"]
) -> tuple[Int32[np.ndarray, " N M"], Int32[np.ndarray, " N"]]:
    """Rows of positions in ``held``, padded with 0 to the longest, at least 1; their lengths."""
    sizes = np.array([len(row) for row in rows], np.int32)
    padded = np.zeros((len(rows), max(1, sizes.max())), np.int32)
    flat = np.concatenate(rows)
    padded[np.arange(padded.shape[1]) < sizes[:, np.newaxis]] = np.searchsorted(held, flat)
    return padded, sizes
