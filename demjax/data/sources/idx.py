"""The IDX files in which MNIST and its relatives are published."""

import gzip
import math
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

_UNSIGNED_BYTE = 0x08
_LARGE, _MOST_TIMES = 2**27, 200
"""An array of more bytes, and more than so many times those of its file, is not read."""


def read_idx(path: str | Path, *, dimensions: int) -> UInt8[np.ndarray, " ..."]:
    """Read one IDX file of unsigned bytes, gzipped or not (its first bytes tell).

    Args:
        path: The file.
        dimensions: How many dimensions its array must have: 1 for labels, 3 for grey images.

    Returns:
        The array, uint8.

    Raises:
        ValueError: There is no such file, or it is not exactly one such array.

    Source: the format's description on the MNIST page: two zero bytes, the type, the number of
    dimensions, each dimension as a big-endian 32-bit integer, the values in C order.
    """
    header = 4 + 4 * dimensions
    expected = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    with _opened(Path(path)) as file:
        content = file.read(header)
        if content[:4] != expected:
            raise ValueError(
                f"{path} begins with the bytes '{content[:4].hex(' ')}', but an IDX file of "
                f"unsigned bytes in {dimensions} dimension(s) begins with '{expected.hex(' ')}'."
            )
        if len(content) < header:
            raise ValueError(
                f"{path} ends within its header, after {len(content)} of {header} bytes, "
                "so it must be fetched again."
            )
        shape = [int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4)]
        count = math.prod(shape)
        size = Path(path).stat().st_size
        if count > max(_LARGE, _MOST_TIMES * size):  # before memory is taken for it
            raise ValueError(
                f"{path} has {size} bytes, but an array of {by(shape)} unsigned bytes as its "
                f"header says takes {count}."
            )
        content = file.read(count)
        longer = len(file.read(1))
    if longer or len(content) != count:
        held = f"more than {count}" if longer else str(len(content))
        raise ValueError(
            f"{path} holds {held} bytes after its header, but an array of "
            f"{by(shape)} unsigned bytes as its header says takes {count}."
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def by(shape: Iterable[int]) -> str:
    """A shape in words: 28×28."""
    return "×".join(str(size) for size in shape)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file as if it were not gzipped; what is wrong with it is told."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if packed else nullcontext(file) as plain:
                yield plain
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist, but an IDX file is expected there.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"{path} is a damaged gzip file ({reason}), so it must be fetched again."
        ) from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error
