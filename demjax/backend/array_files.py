"""Named arrays as files, written by Orbax: in parts by all processes that hold them.

An array is a folder in Zarr's format, so that nothing that is read can run code. Orbax writes
aside and renames, so that a folder of arrays is whole or not there.
"""

import errno
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

DECLARED = ".zarray"
"""The file that says which shape an array has."""
A_FILE, BESIDE = 2**12, 2**15
"""Bytes that a small file takes of a disk, and what is written beside arrays."""
LARGEST_DECLARATION = 2**16
"""Bytes that such a file may have."""
OF_ALL = re.compile(r"_METADATA|_CHECKPOINT_METADATA|_sharding|commit_success\.txt|array_metadatas")
"""What Orbax writes beside arrays."""


def write_arrays(folder: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays into a new folder, which is whole once it has its name.

    Of several processes all call it, with a folder that all of them see; arrays of JAX are written
    by whoever holds a part of them.

    Args:
        folder: The folder; what an earlier attempt left of it is removed.
        arrays: By names of letters, digits and dashes, none of them empty.

    Raises:
        Exception: Whatever keeps it from being written; nothing of the name is there then.
    """
    _check_room(folder, arrays)
    with _orbax() as (ocp, checkpointer):
        checkpointer.save(folder.absolute(), args=ocp.args.PyTreeSave(dict(arrays)), force=True)


def remove_arrays(folder: Path) -> None:
    """Remove a folder of arrays, and what was left of writing it; what cannot be, stays."""
    for path in (folder, *folder.parent.glob(f"{folder.name}.orbax-checkpoint-tmp*")):
        shutil.rmtree(path, ignore_errors=True)


def read_arrays(folder: Path, wanted: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Read arrays that ``write_arrays`` wrote, each whole.

    Args:
        folder: The folder.
        wanted: The shape and type of each array that is there. They are held against what the
            folder declares before anything is read, so that no more memory is taken than for them.

    Raises:
        ValueError: If the folder holds anything else.
    """
    for path in folder.iterdir():
        if path.name not in wanted and not OF_ALL.fullmatch(path.name):
            raise ValueError(f"{folder} holds {path.name}, which is no array of it.")
    for name, one in wanted.items():
        _check_declared(folder / name, tuple(one.shape), np.dtype(one.dtype))
    if not wanted:
        return {}
    with _orbax() as (ocp, checkpointer):
        plain = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in wanted}
        read = ocp.args.PyTreeRestore(restore_args=plain)
        try:
            found = checkpointer.restore(folder.absolute(), args=read)
        except MemoryError:
            raise
        except Exception as error:  # Orbax and what it reads with have errors of many kinds
            said = next(iter(str(error).splitlines()), "").rstrip(".")
            reason = f"{type(error).__name__}: {said}" if said else type(error).__name__
            raise ValueError(f"{folder} is not as it was written ({reason}).") from error
    found = {name: np.asarray(array) for name, array in found.items()}
    for name, one in wanted.items():
        array = found.get(name)
        if array is None or array.shape != tuple(one.shape) or array.dtype != one.dtype:
            raise ValueError(f"{folder / name} is not of the type {one.dtype}.")
    return found


def _check_room(folder: Path, arrays: Mapping[str, Any]) -> None:
    """Refuse to begin to write what the disk has no room for; several processes just try."""
    if jax.process_count() > 1:
        return
    needed = sum(leaf.nbytes + 2 * A_FILE for leaf in arrays.values()) + BESIDE
    if shutil.disk_usage(folder.parent).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _check_declared(array: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse an array that declares another shape or type, or parts larger than itself."""
    file = array / DECLARED
    if not file.is_file() or file.stat().st_size > LARGEST_DECLARATION:
        raise ValueError(f"{array} is no array.")
    declared: Any = None
    with suppress(ValueError, RecursionError):
        declared = json.loads(file.read_text(encoding="utf-8"))
    chunks = declared.get("chunks") if isinstance(declared, dict) else None
    fits = (
        isinstance(chunks, list)
        and declared.get("shape") == list(shape)
        and declared.get("dtype") in (dtype.str, dtype.name)
        and declared.get("compressor") is None
        and len(chunks) == len(shape)
        and all(isinstance(c, int) and 1 <= c <= n for c, n in zip(chunks, shape, strict=True))
    )
    if not fits:
        raise ValueError(f"{array} does not declare the shape {shape} and type {dtype}.")


@contextmanager
def _orbax() -> Iterator[tuple[Any, Any]]:
    """Orbax and what writes and reads, without a word to the user of what it does."""
    log = logging.getLogger("absl")
    before = log.level
    log.setLevel(logging.CRITICAL)
    _without_traces()
    try:
        import orbax.checkpoint as ocp  # here, for it reads much

        # Random bits hardly get shorter, and what is not packed cannot unfold without end.
        files = ocp.PyTreeCheckpointHandler(use_ocdbt=False, use_compression=False)
        with ocp.Checkpointer(files) as checkpointer:
            yield ocp, checkpointer
    finally:
        log.setLevel(before)


@cache
def _without_traces() -> None:
    """Let nobody but its caller be told that Orbax failed, whose threads may hear of it later."""
    before = sys.excepthook

    def hook(kind: Any, error: Any, trace: Any) -> None:
        if not (kind is RuntimeError and str(error) == "Event loop is closed"):
            before(kind, error, trace)

    def is_anothers(record: logging.LogRecord) -> bool:
        said = record.getMessage()
        return not ("exception was never retrieved" in said and "orbax" in said)

    sys.excepthook = hook
    logging.getLogger("asyncio").addFilter(is_anothers)


def shape_of(leaf: Any) -> jax.ShapeDtypeStruct:
    """The shape and type of an array as it is written; of keys that of their numbers."""
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
