"""Partitions in files, each bound to the labels that it was made for."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition, checked_labels
from demjax.data.partitions.splitting import rows
from demjax.data.sources.npz import read_arrays
from demjax.registry import PARTITIONS

_FORMAT = "demjax partition 1"
_ALONE = {"format": "U", "examples": "iu", "labels_sha256": "U"}
_LISTED = ("train", "train_size", "test", "test_size")


def save_partition(partition: Partition, path: str | Path, *, y: Int[np.ndarray, " T"]) -> None:
    """Write a partition as a compressed ``.npz`` file, all of it or nothing.

    Args:
        partition: Which examples each client has.
        path: The file; one that is there is replaced.
        y: The labels that the partition was made for, of which the file keeps a hash.

    Raises:
        ValueError: Partition and labels do not fit together.
        OSError: The file cannot be written.
    """
    path, y = Path(path), checked_labels(y)
    train, train_size = _flat(partition.train)
    test, test_size = _flat(partition.test)
    if wrong := _wrong(len(y), train, train_size, test, test_size):
        raise ValueError(f"The partition cannot be saved: {wrong}.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(
                file,
                format=_FORMAT,
                examples=len(y),
                labels_sha256=_hash(y),
                train=train,
                train_size=train_size,
                test=test,
                test_size=test_size,
            )
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@PARTITIONS.register("file")
def partition_from_file(
    y: Int[np.ndarray, " T"], *, clients: int | None = None, partition_file: str
) -> Partition:
    """Read who has what from a file.

    Args:
        y: Labels, those that the partition was made for.
        clients: Number of clients, as many as the file has; by default those.
        partition_file: The file, ``.npz``, that ``demjax partition`` or a run wrote.

    Raises:
        ValueError: If the file cannot be read, or it is of other labels or clients.
    """
    partition = load_partition(partition_file, y=y)
    count = len(partition.train)
    if clients is not None and count != clients:
        raise ValueError(
            f"The partition in {partition_file} has {count} clients, but {clients} were asked "
            f"for; possible is --clients {count}."
        )
    return partition


def load_partition(path: str | Path, *, y: Int[np.ndarray, " T"] | None = None) -> Partition:
    """Read a partition that ``save_partition`` wrote.

    Args:
        path: The file.
        y: The labels that it is to be used with; by default they are not compared.

    Returns:
        The partition as it was saved.

    Raises:
        ValueError: There is no such file, it is damaged or no partition, or it was made for other
            labels than ``y``.
    """
    found = _read(Path(path))
    examples = int(found["examples"])
    wrong = _wrong(examples, *(found[name] for name in _LISTED))
    if wrong:
        raise ValueError(f"{path} is damaged: {wrong}.")
    if y is not None:
        y = checked_labels(y)
        if len(y) != examples or _hash(y) != str(found["labels_sha256"]):
            raise ValueError(
                f"The partition in {path} was made for {examples} labels that are not these "
                f"{len(y)}; possible is the data set that it was made for."
            )
    return Partition(
        tuple(rows(found["train"].astype(np.int64), found["train_size"])),
        tuple(rows(found["test"].astype(np.int64), found["test_size"])),
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    form = str(read_arrays(path, required=("format",))["format"])
    if form != _FORMAT:
        raise ValueError(f"{path} is of the format {form[:40]!r}, but possible is {_FORMAT!r}.")
    found = read_arrays(path, required=(*_ALONE, *_LISTED))
    for name, array in found.items():
        if array.dtype.kind not in _ALONE.get(name, "iu") or array.ndim != (name in _LISTED):
            raise ValueError(f"{path} is damaged: {name} is {array.dtype} of shape {array.shape}.")
    return found


def _flat(parts: tuple[np.ndarray, ...]) -> tuple[Any, Any]:
    """All examples, client by client, and how many each has."""
    flat = np.concatenate([np.zeros(0, np.int64), *parts])
    return flat, np.array([len(part) for part in parts], np.int64)


def _wrong(
    count: int, train: np.ndarray, train_size: np.ndarray, test: np.ndarray, test_size: np.ndarray
) -> str:
    """What keeps arrays from being a partition of so many examples, or an empty string."""
    if len(train_size) != len(test_size) or not len(train_size):
        return (
            f"it has training examples for {len(train_size)} clients and test examples for "
            f"{len(test_size)}"
        )
    if train_size.min() < 1 or test_size.min() < 0:
        client = int(np.argmax((train_size < 1) | (test_size < 0)))
        return f"client {client} has no training example, or fewer than no test examples"
    sizes = ((train_size, train), (test_size, test))
    if any(size.max() > len(part) or size.sum() != len(part) for size, part in sizes):
        return "the sizes of its clients do not add up to the number of examples"
    if count * len(train_size) >= 2**63:  # no array could be as long
        return f"it says that it is of {count} examples"
    held = np.concatenate([train, test])
    outside = (held < 0) | (held >= count)
    if held.dtype.kind not in "iu" or outside.any():
        some = held[outside][:1].tolist() or [held.dtype]
        return f"its examples must be whole numbers of 0 to {count - 1}, but one is {some[0]}"
    number = np.arange(len(train_size))
    owner = np.concatenate([np.repeat(number, size.astype(np.int64)) for size, _ in sizes])
    ordered = np.sort(owner * count + held)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        return f"example {twice[0] % count} is given more than once to client {twice[0] // count}"
    both = np.intersect1d(train, test)
    if len(both):
        return f"example {both[0]} is both trained on and tested with"
    return ""


def _hash(y: Int[np.ndarray, " T"]) -> str:
    """The same for the same labels, whatever their type and the machine."""
    return hashlib.sha256(np.ascontiguousarray(y, "<i8").tobytes()).hexdigest()
