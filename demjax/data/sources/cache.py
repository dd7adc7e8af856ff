"""What was slow to read, kept as plain arrays, found again by the contents of its files.

An entry is a folder: ``x.npy``, ``y.npy``, where there are natural clients ``owner.npy``, where
labels have names ``labels.npy``, ``counts.npy`` of classes and training examples, and
``sums.json`` with the SHA-256 of each. It appears whole or not at all, and is read only if all
sums are right. Finding it means to hash the source's files and then the entry's, 300 MB a second
or more, against seconds for 10 MB that are parsed or decoded.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from demjax.data.dataset import Dataset
from demjax.data.sources.npy import npy_rows

VARIABLE = "DEMJAX_CACHE"
"""The environment variable that names the folder; empty, nothing is kept."""

_ARRAYS = ("x", "y", "owner", "labels", "counts")
_FORMAT = "2"
"""To be changed when a reader makes other arrays of the same files."""


def default_folder() -> Path | None:
    """The user's folder for what can be made again, or ``$DEMJAX_CACHE``; ``None`` if empty."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named else None
    systems = {"darwin": ("", "~/Library/Caches"), "win32": ("LOCALAPPDATA", "~/AppData/Local")}
    variable, usual = systems.get(sys.platform, ("XDG_CACHE_HOME", "~/.cache"))
    folder = os.environ.get(variable) or os.path.expanduser(usual)  # noqa: PTH111 (never fails)
    return None if folder.startswith("~") else Path(folder) / "demjax"  # nobody's home is known


def cached(
    read: Callable[[], Dataset],
    *,
    name: str,
    root: Path,
    files: Sequence[Path],
    folder: Path | None,
    by_rows: bool = False,
) -> Dataset:
    """Read a data set, or find what it was read as before.

    Several processes may do this at once: each makes a folder of its own, and the first to
    rename it wins. A cache that cannot be written is done without.

    Args:
        read: Reads the files.
        name: The data set.
        root: The folder of its files.
        files: The files, all of them.
        folder: Where entries are kept, ``None`` to keep none.
        by_rows: Whether inputs stay in the entry, if there is one.

    Returns:
        The data set; from the cache, its arrays are maps of files that cannot be written to.

    Raises:
        ValueError: As ``read`` does; nothing is kept then.
    """
    if folder is None:
        return read()
    before = _states(files)
    entry = folder / f"{name}-{_key(name, root, files)}"
    found = _entry(entry, name, by_rows=by_rows)
    if found is not None:
        return found
    shutil.rmtree(entry, ignore_errors=True)  # if there is one, it is damaged
    dataset = read()
    if _states(files) == before:  # else the key may be another content's
        with contextlib.suppress(OSError):
            _keep(dataset, entry)
        if by_rows:  # also where another process was faster
            return _entry(entry, name, by_rows=True) or dataset
    return dataset


def _states(files: Sequence[Path]) -> list[tuple[int, int]]:
    try:
        return [(each.st_size, each.st_mtime_ns) for each in (file.stat() for file in files)]
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read ({error.strerror}).") from error


def _key(name: str, root: Path, files: Sequence[Path]) -> str:
    """A hash of the names, sizes and contents of all files."""
    key = hashlib.sha256(f"demjax {_FORMAT} {name}".encode())
    for file in sorted(files):
        relative = os.path.relpath(file, root)
        key.update(f"\0{relative}\0{file.stat().st_size}\0".encode())
        key.update(bytes.fromhex(_sum(file)))
    return key.hexdigest()[:32]


def _sum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error


def _entry(entry: Path, name: str, *, by_rows: bool) -> Dataset | None:
    """What an entry holds; ``None`` where there is none, or not what was written."""
    try:
        sums = json.loads((entry / "sums.json").read_text("utf-8"))
        arrays: dict[str, Any] = {}
        for array in _ARRAYS:
            path = entry / f"{array}.npy"
            if array in sums and _sum(path) == sums[array]:
                kept = np.load(path, mmap_mode="r", allow_pickle=False)
                stays = by_rows and array == "x"
                arrays[array] = npy_rows(path.open("rb"), path) if stays else np.asarray(kept)
            elif array in sums or path.exists():
                return None
        classes, train_count = arrays.pop("counts").tolist()
        if "labels" in arrays:
            arrays["labels"] = tuple(arrays["labels"].tolist())
        return Dataset(**arrays, classes=classes, train_count=train_count, name=name)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(dataset: Dataset, entry: Path) -> None:
    """Write an entry beside its place, then rename it to its place."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    partly = Path(tempfile.mkdtemp(prefix=".partly-", dir=entry.parent))
    try:
        counts = np.array([dataset.classes, dataset.train_count])
        sums = {}
        labels = None if dataset.labels is None else np.array(dataset.labels)
        arrays = (dataset.x, dataset.y, dataset.owner, labels, counts)
        for array, values in zip(_ARRAYS, arrays, strict=True):
            if values is not None:
                np.save(partly / f"{array}.npy", values, allow_pickle=False)
                sums[array] = _sum(partly / f"{array}.npy")
        (partly / "sums.json").write_text(json.dumps(sums), encoding="utf-8")
        partly.rename(entry)  # fails where another process was faster, which is as well
    finally:
        shutil.rmtree(partly, ignore_errors=True)
