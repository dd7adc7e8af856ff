"""New files and folders: whether they can be made, and files that are whole or not there."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTLY = re.compile(r"\.(.+\.)?[0-9]+\.partial(\.[a-zA-Z0-9]+)?")
"""Names of files that are being written; what a process that was killed leaves has one of them."""


def is_there(path: Path) -> bool:
    """Whether anything has this name, be it a link to nothing.

    Raises:
        ValueError: If nothing can have this name, as one that is too long.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except NotADirectoryError:  # a file is in the way, which whoever makes the folder is told
        return False
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}.") from None
    return True


def check_folder(folder: Path) -> None:
    """Make sure that files can be written into a folder that is there or can be made.

    Raises:
        ValueError: If a file or a link to nothing is in the way, or there is no right to write.
    """
    above = next(one for one in (folder, *folder.absolute().parents) if is_there(one))
    if above.is_symlink() and not above.exists():
        raise ValueError(
            f"{folder} cannot be written: {above} is a link to {above.readlink()}, which does not "
            "exist."
        )
    if not above.is_dir():
        raise ValueError(f"{folder} cannot be written: {above} is a file, and no folder.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"{folder} cannot be written: there is no right to write into {above}.")


def check_new_file(path: Path, possible: str = "a new file") -> None:
    """Make sure that a file can be written which is not there yet, in a folder that is.

    Args:
        path: The file.
        possible: What is possible where it is there.

    Raises:
        ValueError: If it is there, or cannot be made.
    """
    if is_there(path):
        raise ValueError(f"{path} exists and would be overwritten; possible is {possible}.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"{path} cannot be written: {folder} is no folder to write into.")
    check_folder(folder)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file that gets its name when it is whole; after an error nothing stays.

    Raises:
        OSError: If it cannot be written, with its name.
    """
    # Its ending tells Matplotlib what to write; its name is short, as the file's may be too long.
    partial = path.with_name(f".{os.getpid()}.partial{path.suffix}")
    try:
        partial.unlink(missing_ok=True)  # a link by this name would lead elsewhere
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        with suppress(OSError):
            partial.unlink()
