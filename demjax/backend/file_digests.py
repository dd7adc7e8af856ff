"""Files that are what was written: their digests, and files that are whole or not there."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

BLOCK = 2**20
"""Bytes that are read at a time."""


def files_in(folder: Path) -> dict[str, Path]:
    """All files below a folder by their place in it; links are not followed but refused.

    Raises:
        ValueError: If there is one.
    """
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        if path.is_symlink():
            raise ValueError("there is a link in it")
        if not path.is_dir():
            found[path.relative_to(folder).as_posix()] = path
    return found


def digests_of(folder: Path) -> dict[str, list]:
    """The length and the SHA-256 of each file."""
    found = {}
    for name, path in files_in(folder).items():
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
        found[name] = [path.stat().st_size, digest.hexdigest()]
    return found


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there when it is whole, also after a loss of power."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)  # what a killed process left, or a link that leads elsewhere
    with partial.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    with suppress(OSError):  # not every system lets folders be flushed
        handle = os.open(path.parent, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
