"""The IDX files in which MNIST and its relatives are published."""

import gzip
import math
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

_UNSIGNED_BYTE = 0x08


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
    content = _uncompressed(Path(path))
    header = 4 + 4 * dimensions
    expected = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if content[:4] != expected:
        raise ValueError(
            f"{path} begins with the bytes '{content[:4].hex(' ')}', but an IDX file of unsigned "
            f"bytes in {dimensions} dimension(s) begins with '{expected.hex(' ')}'."
        )
    if len(content) < header:
        raise ValueError(
            f"{path} ends within its header, after {len(content)} of {header} bytes, "
            "so it must be fetched again."
        )
    shape = [int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4)]
    if len(content) - header != math.prod(shape):
        raise ValueError(
            f"{path} holds {len(content) - header} bytes after its header, but an array of "
            f"{by(shape)} unsigned bytes as its header says takes {math.prod(shape)}."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def by(shape: Iterable[int]) -> str:
    """A shape in words: 28×28."""
    return "×".join(str(size) for size in shape)


def _uncompressed(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist, but an IDX file is expected there.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"{path} is a damaged gzip file ({reason}), so it must be fetched again."
        ) from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error
