"""Compile once: programs kept between processes, in JAX's persistent compilation cache.

A program is found again by a hash of itself, of how it is compiled, of JAX and of the processor or
accelerator, so a cache never changes a result. It is a convenience: where it cannot be read or
written, programs are compiled as without it, and nothing is said.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

Outcome = Literal["hit", "miss", "off"]
"""Whether all programs were found, some had to be compiled, or there is no cache."""
Compiled = TypeVar("Compiled")

MOST_BYTES = 2**30
"""Bytes that the cache may hold when programs are added; a run adds a few megabytes."""
_ABOUT_IT = ".*persistent compilation cache"
"""How JAX's warnings about its cache are told from others."""


def compile_once(
    compile_programs: Callable[[], Compiled], folder: Path | None
) -> tuple[Compiled, Outcome]:
    """Compile programs, or find them as they were compiled by an earlier process.

    Before anything is added, what was not used for longest is removed until ``MOST_BYTES`` are
    left. If an entry cannot be read, as after a process that was killed while writing, the cache is
    emptied, for JAX never replaces an entry.

    Args:
        compile_programs: Traces and compiles, ``() -> programs``; also in threads of its own.
        folder: Where programs are kept, made if need be, and readable for the user alone: who can
            write to it can run code. Of another process's at the same time, too. ``None``: none
            are kept.

    Returns:
        The programs, and whether they were found.
    """
    seen = _events()
    before = seen.copy()
    with _kept_in(folder if folder is not None and _prepared(folder) else None):
        programs = compile_programs()
    asked, found = (seen[event] - before[event] for event in (_ASKED, _FOUND))
    if not asked:
        return programs, "off"
    return programs, "hit" if found == asked else "miss"


_ASKED = "/jax/compilation_cache/compile_requests_use_cache"
_FOUND = "/jax/compilation_cache/cache_hits"


@cache
def _events() -> Counter[str]:
    """How often what happened to JAX's cache, from the first call on."""
    seen: Counter[str] = Counter()
    jax.monitoring.register_event_listener(lambda event, **_: seen.update([event]))
    return seen


@contextmanager
def _kept_in(folder: Path | None) -> Iterator[None]:
    """Let JAX keep programs in a folder, and be silent about it, in this context."""
    options = {
        "jax_enable_compilation_cache": folder is not None,
        "jax_compilation_cache_dir": None if folder is None else str(folder),
        "jax_compilation_cache_max_size": -1,  # JAX's own bound needs filelock, and whole entries
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_raise_persistent_cache_errors": False,
    }
    before = {name: getattr(jax.config, name) for name in options}
    try:
        _configure(options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.filterwarnings("always", message=_ABOUT_IT)
            yield
    finally:
        _configure(before)
    unread = False
    for warning in caught:
        about = str(warning.message)
        if "persistent compilation cache" in about:
            unread = unread or "reading" in about
        else:  # another's
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if unread and folder is not None:
        for _, _, entry in _entries(folder):
            _remove(entry)


def _configure(options: dict) -> None:
    for name, value in options.items():
        jax.config.update(name, value)
    reset_cache()  # JAX looks at its options once, when it first compiles


def _prepared(folder: Path) -> bool:
    """Whether there is such a folder, or could be made; it then has room."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_room(_entries(folder))
    except OSError:
        return False
    return True


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """When each entry was last used, as far as the file system tells, its bytes, and its file."""
    entries = []
    for file in folder.glob("*-cache"):
        with suppress(OSError):  # another process has removed it
            stat = file.stat()
            entries.append((max(stat.st_atime, stat.st_mtime), stat.st_size, file))
    return entries


def _make_room(entries: list[tuple[float, int, Path]]) -> None:
    """Remove what was not used for longest until ``MOST_BYTES`` are left."""
    left = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if left > MOST_BYTES:
            _remove(entry)
            left -= size


def _remove(entry: Path) -> None:
    with suppress(OSError):  # it is another's, or already gone
        entry.unlink()
