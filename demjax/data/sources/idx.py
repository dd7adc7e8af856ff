"""The IDX files in which MNIST and its relatives are published."""

import gzip
import math
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from demjax.data.rows_in_files import rows_of_file

_UNSIGNED_BYTE = 0x08
_LARGE, _MOST_TIMES = 2**27, 200
"""An array of more bytes, and more than so many times those of its file, is not read."""


def read_idx(path: str | Path, *, dimensions: int, by_rows: bool = False) -> UInt8[Any, " ..."]:
    """Read one IDX file of unsigned bytes, gzipped or not (its first bytes tell).

    Args:
        path: The file.
        dimensions: How many dimensions its array must have: 1 for labels, 3 for grey images.
        by_rows: Whether the array stays in the file, and rows of it are read.

    Returns:
        The array, uint8.

    Raises:
        ValueError: There is no such file, or it is not exactly one such array.

    Source: the format's description on the MNIST page: two zero bytes, the type, the number of
    dimensions, each dimension as a big-endian 32-bit integer, the values in C order.
    """
    begin, expected = 4 + 4 * dimensions, bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    with _in_words(path), ExitStack() as stack:
        file = stack.enter_context(_opened(Path(path)))
        header = file.read(begin)
        if header[:4] != expected:
            raise ValueError(
                f"{path} begins with the bytes '{header[:4].hex(' ')}', but an IDX file of "
                f"unsigned bytes in {dimensions} dimension(s) begins with '{expected.hex(' ')}'."
            )
        if len(header) < begin:
            raise ValueError(
                f"{path} ends within its header, after {len(header)} of {begin} bytes, "
                "so it must be fetched again."
            )
        shape = [int(size) for size in np.frombuffer(header, ">u4", dimensions, offset=4)]
        count, size = math.prod(shape), Path(path).stat().st_size
        if count > max(_LARGE, _MOST_TIMES * size):  # before memory is taken for it
            raise ValueError(
                f"{path} has {size} bytes, but an array of {by(shape)} unsigned bytes as its "
                f"header says takes {count}."
            )
        content = b"" if by_rows else file.read(count)
        held = file.seek(0, os.SEEK_END) - begin if by_rows else len(content) + len(file.read(1))
        if held != count:
            found = f"more than {count}" if held > count else str(held)
            raise ValueError(
                f"{path} holds {found} bytes after its header, but an array of "
                f"{by(shape)} unsigned bytes as its header says takes {count}."
            )
        if not by_rows:
            return np.frombuffer(content, np.uint8).reshape(shape)
        stack.pop_all()
        return rows_of_file(file, begin, shape, np.dtype(np.uint8), path)


def by(shape: Iterable[int]) -> str:
    """A shape in words: 28×28."""
    return "×".join(str(size) for size in shape)


def _opened(path: Path) -> Any:
    """A file, unpacked where it is packed."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


@contextmanager
def _in_words(path: str | Path) -> Iterator[None]:
    """What may be wrong with a file, in a sentence."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist, but an IDX file is expected there.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"{path} is a damaged gzip file ({reason}), so it must be fetched again."
        ) from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error
