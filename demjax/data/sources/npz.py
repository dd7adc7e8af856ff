"""NumPy's ``.npz`` files: one's own data, and the arrays of others, never with pickled objects."""

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import read_array

from demjax.data.classes import checked_classes, without_gaps
from demjax.data.dataset import Dataset, checked_inputs, files_in, within
from demjax.data.sources.npy import header, npy_rows
from demjax.registry import DATASETS

_DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, UnicodeError)
_NO_HEADER = (
    *(ValueError, TypeError, KeyError, OverflowError, RecursionError, MemoryError),
    *(SyntaxError, tokenize.TokenError),
)
"""What NumPy raises of a header that is none."""
_LARGE, _MOST_TIMES = 2**27, 200
"""An array of more bytes, and more than so many times those that it is packed in, is no data."""
_AT_ONCE = 2**16
_LOCAL_HEADER = struct.Struct("<26xHH")  # the lengths of a member's name and extra field


@DATASETS.register(
    examples="any",
    shape="any",
    classes="any",
    licence="your own",
    source="an .npz file with x and y",
    files=lambda data_dir: [npz_file(data_dir)] if data_dir.exists() else None,
    one_file=True,
    natural=None,
)
def npz(*, data_dir: str | Path, by_rows: bool = False) -> Dataset:
    """Read one's own data from an ``.npz`` file.

    Args:
        data_dir: The file, or a folder that holds exactly one. Its arrays: inputs ``x [T, …]``,
            uint8 (pixels in 0…255), whole numbers, which stay whole, or others, which become
            float32 as they are; labels ``y [T]``, words or whole numbers from 0 on, of which
            those that never occur are left out; and, if wanted, the natural client of each example
            ``owner [T]`` (any whole numbers, which are numbered anew in their order), how many
            of the first examples are for training ``train_count``, and ``classes``: with it labels
            are ``0 … classes − 1``, whether they occur or not.
        by_rows: Whether inputs stay in the file, packed or not, and rows of them are read.

    Returns:
        The data set.

    Raises:
        ValueError: The file is missing or damaged, its arrays do not fit together, or one of
            them holds pickled objects, which could run any program and are never read.
    """
    path = npz_file(Path(data_dir))
    optional = ("owner", "train_count", "classes")
    stay = ("x",) if by_rows else ()
    arrays = read_arrays(path, required=("x", "y"), optional=optional, stay=stay)
    x = checked_inputs(arrays["x"], f"x in {path}")
    classes, labels = _number(arrays, "classes", path, low=1), None
    if classes is None:
        y, labels = without_gaps(arrays["y"], f"y in {path}")
    else:
        y = checked_classes(arrays["y"], f"y in {path}", classes=classes)
    if len(x) != len(y):
        raise ValueError(f"{path} holds {len(x)} inputs x and {len(y)} labels y, not one for each.")
    train_count = _number(arrays, "train_count", path, low=1, high=len(y))
    owner = arrays.get("owner")
    if owner is not None:
        if owner.shape != y.shape or owner.dtype.kind not in "iu":
            raise ValueError(
                f"owner in {path} is of type {owner.dtype} and shape {owner.shape}, but a whole "
                f"number for each of {len(y)} examples is expected."
            )
        owner = np.unique(owner, return_inverse=True)[1].astype(np.int32)
    return Dataset(
        x,
        y,
        classes=int(y.max()) + 1 if classes is None else classes,
        train_count=len(y) if train_count is None else train_count,
        name="npz",
        owner=owner,
        labels=labels,
    )


def npz_file(path: Path) -> Path:
    """The ``.npz`` file that a path names, or that is alone in a folder."""
    if not path.is_dir():
        return path
    found = files_in(path, "*.npz")
    if len(found) != 1:
        names = ", ".join(each.name for each in found[:4]) or "none"
        raise ValueError(
            f"{path} must hold exactly one .npz file, but it holds {names}; "
            "possible is also --data-dir with the file itself."
        )
    return within(path, found[0])


def read_arrays(
    path: Path,
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
    stay: Sequence[str] = (),
) -> dict[str, Any]:
    """Read some arrays of an ``.npz`` file, after a look at the headers of all.

    Args:
        path: The file.
        required: The arrays that must be there.
        optional: The arrays that may be there.
        stay: Those of them that stay in the file, as rows of it.

    Returns:
        Those that are there.

    Raises:
        ValueError: The file or an array of it is missing or damaged, an array holds pickled
            objects, or a member's name leads elsewhere.
    """
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError(f"{path} is no .npz file, or is cut off, so it is not read.")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                _check_member(path, archive, member)
            names = [member.filename.removesuffix(".npy") for member in members]
            missing = [name for name in required if name not in names]
            if missing:
                held = ", ".join(names) or "nothing"
                raise ValueError(f"{path} lacks the array {missing[0]}; it holds {held}.")
            if len(set(names)) != len(names):
                raise ValueError(f"{path} holds two arrays of one name, of which only one can be.")
            wanted = [name for name in (*required, *optional) if name in names]
            here = {name: _array(path, archive, name) for name in wanted if name not in stay}
        return here | {name: _rows(path, name) for name in wanted if name in stay}
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist, but an .npz file is expected there.") from None
    except _DAMAGES as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"{path} is damaged ({reason}), so it must be fetched again.") from error
    except (NotImplementedError, RuntimeError) as error:  # encrypted, or packed in a rare way
        raise ValueError(f"{path} is packed in a way that is not read here.") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error


def _check_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse names with folders, pickled objects, and headers that promise other sizes."""
    name = member.filename
    if not name.endswith(".npy") or any(mark in name for mark in ("/", "\\", "..", ":")):
        raise ValueError(
            f"{path} holds a member named {name!r}, but only arrays can be members, "
            "named without folders and ending in .npy."
        )
    with archive.open(member) as file:
        try:
            shape, _, dtype = header(file)
            begin = file.tell()
        except _NO_HEADER as error:
            raise ValueError(f"{name} in {path} is no array that NumPy wrote.") from error
    if dtype.hasobject:
        raise ValueError(
            f"{name} in {path} holds pickled objects, which could run any program, "
            "so they are not read; possible are arrays of numbers."
        )
    if member.file_size - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"{name} in {path} takes {member.file_size - begin} bytes, but an array of the shape "
            f"{shape} and type {dtype} takes {math.prod(shape) * dtype.itemsize}."
        )
    if member.file_size > max(_LARGE, _MOST_TIMES * member.compress_size):
        raise ValueError(
            f"{name} in {path} unpacks from {member.compress_size} bytes to {member.file_size}, "
            f"more than {_MOST_TIMES} times as much, so it is not read; possible is a file that is "
            "not compressed."
        )


def _array(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        try:
            return read_array(file, allow_pickle=False)
        except ValueError as error:
            raise ValueError(f"{name}.npy in {path} is cut off, so it is not read.") from error


def _rows(path: Path, name: str) -> Any:
    """Rows of an array that stays in the file, which is read once to see that it is whole."""
    where = f"{name} in {path}"
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
        with archive.open(member) as packed:
            held = sum(map(len, iter(partial(packed.read, _AT_ONCE), b"")))
        if held != member.file_size:
            raise ValueError(f"{name}.npy in {path} is cut off, so it is not read.")
        if member.compress_type != zipfile.ZIP_STORED:
            return npy_rows(archive.open(member), where)
    file = path.open("rb")
    file.seek(member.header_offset)
    lengths = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    file.seek(sum(lengths), 1)
    return npy_rows(file, where)


def _number(
    arrays: dict[str, np.ndarray], name: str, path: Path, *, low: int, high: int = 100_000
) -> int | None:
    """A whole number among the arrays, or ``None`` where there is none of the name."""
    value = arrays.get(name)
    if value is None:
        return None
    if value.size != 1 or value.dtype.kind not in "iu" or not low <= value.item() <= high:
        raise ValueError(
            f"{name} in {path} must be one whole number from {low} to {high}, "
            f"not {value.ravel()[:3].tolist()}."
        )
    return int(value.item())
