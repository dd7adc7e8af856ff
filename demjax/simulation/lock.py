"""A folder that one process at a time writes into, which a dead one does not keep from others."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # another system's, where nothing is locked
    fcntl = None  # type: ignore[assignment]

LOCK = "run.lock"
"""The file in the folder that whoever writes holds."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder that is there, so that no other process writes into it at the same time.

    The system lets go of it when the process ends, however it ends. Where a file system has no
    locks, nobody is kept out.

    Raises:
        ValueError: If another process holds it.
        OSError: If no file can be made in it.
    """
    path = folder / LOCK
    handle = _locked(path)
    try:
        yield
    finally:
        with suppress(OSError):  # first, so that nobody else can hold what is then removed
            path.unlink()
        os.close(handle)


def _locked(path: Path) -> int:
    """The file, opened and held."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise ValueError(
                f"Another process is writing into {path.parent}; possible is to wait until it has "
                "ended, or another folder."
            ) from None
        except OSError:  # a file system without locks
            return handle
        # Whoever held it may have removed it between our opening and its letting go.
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)
