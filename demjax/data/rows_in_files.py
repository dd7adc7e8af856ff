"""Inputs that stay in their files: rows of them are read when they are asked for.

Who takes a part of large data has that part in memory, and one piece more, whatever the files hold.
"""

import weakref
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Int, Num

PIECE = 2**24
"""Bytes that are read, checked or changed at a time."""
ALIGNED = 64
"""Where an array begins, in bytes, that JAX takes over on a CPU: it copies others."""


@dataclass(frozen=True, eq=False)
class RowsInFiles:
    """An array ``[T, …]`` of which rows are read; all of it by ``np.asarray``.

    Attributes:
        read: Some rows, given by their numbers in ascending order.
        shape: That of all.
        dtype: That of what is read.
    """

    read: Callable[[Int[np.ndarray, " S"]], Num[np.ndarray, " S *shape"]]
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of all, if they were read."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Num[np.ndarray, " ..."]:
        """A row, a slice of rows, or those of an array of numbers, in its order.

        Raises:
            IndexError: If they are anything else, or there is no such row.
        """
        count, several_axes = len(self), isinstance(rows, tuple)
        rows = np.arange(*rows.indices(count)) if isinstance(rows, slice) else np.asarray(rows)
        whole = rows.dtype.kind in "iu" or not rows.size
        several_axes = several_axes or rows.ndim > 1
        if not whole or several_axes or ((rows < -count) | (rows >= count)).any():
            raise IndexError(
                f"Rows in files are asked for by numbers from 0 to {count - 1}, in an array of one "
                "dimension; possible is np.asarray, and then any other part of it."
            )
        rows = rows.astype(np.int64)
        rows = np.where(rows < 0, rows + count, rows)
        if not rows.ndim:
            return self.read(rows[None])[0]
        found = _aligned((len(rows), *self.shape[1:]), self.dtype)
        order, each = np.argsort(rows, kind="stable"), _rows_of_a_piece(self)
        for start in range(0, len(rows), each):
            some = order[start : start + each]
            found[some] = self.read(rows[some])
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)


Inputs = np.ndarray | RowsInFiles
"""Inputs in memory or in files."""


def rows_of_file(
    file: IO[bytes], offset: int, shape: Sequence[int], dtype: np.dtype, where: object
) -> RowsInFiles:
    """The rows of an array in C order in an open file, which is closed with the last use of them.

    Args:
        file: A file, or what unpacks one as it is read: it can be sought, forwards at least fast.
        offset: Where the array begins.
        shape: That of the array.
        dtype: That of the array.
        where: The file's name, for the sentence.
    """
    width = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    each = max(1, PIECE // max(width, 1))

    def read(rows):
        found = np.empty((len(rows), *shape[1:]), dtype)
        for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows // each)) + 1):
            if part.size:
                first, last = int(rows[part[0]]), int(rows[part[-1]])
                block = _bytes_of(file, offset + first * width, (last + 1 - first) * width, where)
                held = np.frombuffer(block, dtype).reshape(last + 1 - first, *shape[1:])
                found[part] = held[rows[part] - first]
        return found

    made = RowsInFiles(read, tuple(shape), dtype)
    weakref.finalize(read, file.close)
    return made


def changed(x: Inputs, function: Callable[[Any], Any]) -> Any:
    """What a function makes of each row, all at once or, of rows in files, of those that are read.

    Args:
        x: Inputs.
        function: Of an array of any number of rows, on each for itself.
    """
    if not isinstance(x, RowsInFiles):
        return function(x)
    one = function(x[:1])
    return RowsInFiles(lambda rows: function(x.read(rows)), (len(x), *one.shape[1:]), one.dtype)


def joined(parts: Sequence[Inputs]) -> Inputs:
    """Inputs one after another, in files where all of them are."""
    if not all(isinstance(part, RowsInFiles) for part in parts):
        return np.concatenate([np.asarray(part) for part in parts])
    ends = np.cumsum([len(part) for part in parts])

    def read(rows):
        cuts = np.split(rows, np.searchsorted(rows, ends[:-1]))
        starts = ends - [len(part) for part in parts]
        some = [part[cut - start] for part, cut, start in zip(parts, cuts, starts, strict=True)]
        return np.concatenate(some)

    return RowsInFiles(read, (int(ends[-1]), *parts[0].shape[1:]), parts[0].dtype)


def taken(x: Inputs, rows: Int[np.ndarray, " S"]) -> Inputs:
    """Some rows, in files where they are there."""
    if not isinstance(x, RowsInFiles):
        return x[rows]
    return RowsInFiles(lambda some: x[rows[some]], (len(rows), *x.shape[1:]), x.dtype)


def pieces(x: Inputs) -> list[slice]:
    """All rows a piece at a time: of an array in memory all at once."""
    each = _rows_of_a_piece(x) if isinstance(x, RowsInFiles) else max(1, len(x))
    return [slice(start, min(start + each, len(x))) for start in range(0, len(x), each)]


def _aligned(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An array that JAX takes over on a CPU, not filled."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    held = np.empty(size + ALIGNED, np.uint8)
    begin = -held.ctypes.data % ALIGNED
    return held[begin : begin + size].view(dtype).reshape(shape)


def _rows_of_a_piece(x: Inputs) -> int:
    return max(1, PIECE * len(x) // max(x.nbytes, 1))


def _bytes_of(file: IO[bytes], start: int, size: int, where: object) -> bytes:
    """Bytes of a file, all of them."""
    try:
        file.seek(start)
        found = file.read(size)
    except (OSError, EOFError, zlib.error, BadZipFile) as error:
        raise ValueError(f"{where} cannot be read ({str(error).rstrip('.')}).") from error
    if len(found) != size:
        raise ValueError(f"{where} became shorter while it was read; possible is to start again.")
    return found
