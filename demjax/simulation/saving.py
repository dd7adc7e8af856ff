"""When a run's state is saved, what is saved with it, and where a run goes on from."""

import errno
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from demjax import __version__
from demjax.base import ClientData
from demjax.registry import check_made, check_number
from demjax.simulation.checkpoint import Checkpoint, prune, write
from demjax.simulation.history import Moment

LOOKED_AT = 2**26
"""Bytes of an array up to which all of it counts in a digest of the data; else some rows do."""
ROWS = 4096


@dataclass(frozen=True)
class Checkpoints:
    """Where a run's state is saved, and how often.

    Attributes:
        folder: Where checkpoints are kept, and nothing else; made if need be.
        every: Rounds between two of them, at least 1; ``None`` for none but where the run is
            stopped by hand.
        keep: How many are kept, the newest, at least 1. With two, one that is broken costs no
            more than the rounds between them.

    Raises:
        ValueError: If a number is out of range.
    """

    folder: str | Path
    every: int | None = 10
    keep: int = 2

    def __post_init__(self) -> None:
        check_made("Checkpoints need folder as", self.folder, str | Path, "a path")
        for name in ("every", "keep"):
            value = getattr(self, name)
            if name == "every" and value is None:
                continue
            check_made(f"Checkpoints need {name} as", value, int | np.integer, "a whole number")
            check_number("Checkpoints", name, int(value), 1)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder)


@dataclass
class Saver:
    """Saves the state of one run as it goes, and goes on where it cannot.

    Attributes:
        settings: Where and how often.
        rounds: Rounds of the run.
        known: The round whose state it was resumed from, which is saved already.
        writes: Whether this process writes what is there once; of several all save.
        failed: Why the last state that was to be saved was not, if so.
        saved: The round that was last saved.
        seconds: What each checkpoint took.
    """

    settings: Checkpoints
    rounds: int
    known: int | None = None
    writes: bool = True
    failed: str = ""
    saved: int | None = None
    seconds: list[float] = field(default_factory=list)

    @property
    def last(self) -> int | None:
        """The round of the last whole checkpoint."""
        return self.known if self.saved is None else self.saved

    def due(self, number: int, *, stopped: bool = False) -> bool:
        """Whether a state is to be saved after so many rounds."""
        if number == self.known:
            return False
        every = self.settings.every
        if every is None:
            return stopped and 0 < number < self.rounds
        return number > 0 and (number % every == 0 or number == self.rounds or stopped)

    def save(self, moment: Moment, trees: Mapping[str, Any], about: Mapping[str, Any]) -> bool:
        """Save the state of a moment, its info and what else is given, and remove what is too old.

        Returns:
            Whether it is saved; else ``failed`` says why not.
        """
        start = time.perf_counter()
        given = {"state": moment.state, "info": moment.info, **trees}
        folder = self.settings.path
        try:
            write(folder, moment.round, given, about, writes=self.writes)
            if self.writes:
                prune(folder, self.settings.keep, moment.round)
        except Exception as error:  # a disk that is full, in whatever words the library has
            self.failed = (
                f"The checkpoint after round {moment.round} cannot be written into {folder}: "
                f"{reason_of(error)}."
            )
            return False
        self.saved = moment.round
        self.seconds.append(time.perf_counter() - start)
        return True


def reason_of(error: Exception) -> str:
    """Why something could not be written, without where in a library that was."""
    if getattr(error, "strerror", None):
        return error.strerror  # type: ignore[attr-defined]
    said = next(iter(str(error).splitlines()), "") or type(error).__name__
    known = (errno.ENOSPC, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.ENOENT)
    for words in map(os.strerror, known):
        if words in str(error):
            return words
    return said.rstrip(".")


def identity(key: PRNGKeyArray, clients: ClientData) -> dict[str, Any]:
    """What a run must have in common with a checkpoint that it goes on from, as JSON says it."""
    numbers = (
        jax.random.key_data(key) if jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    )
    return {
        "demjax": __version__,
        "key": np.asarray(numbers).tolist(),
        "data": digest_of(clients),
    }


DIFFERS = {
    "demjax": "was saved by demjax {there}, and this is {here}; possible is that version",
    "key": "is of a run with another key; possible is the same one, or another folder",
    "data": "is of a run on other data; possible are the same data, or another folder",
}
"""What is said of a checkpoint that a run cannot go on from."""


def check_identity(point: Checkpoint, now: Mapping[str, Any], rounds: int) -> None:
    """Refuse a checkpoint that a run does not go on from.

    Args:
        point: The checkpoint.
        now: The ``identity`` of the run.
        rounds: Rounds of the run.

    Raises:
        ValueError: One sentence.
    """
    before = point.about.get("identity")
    before = before if isinstance(before, dict) else {}
    for name, words in DIFFERS.items():
        if before.get(name) != now[name]:
            said = words.format(there=before.get(name), here=now[name])
            raise ValueError(f"The checkpoint {point.arrays} {said}.")
    if point.round > rounds:
        raise ValueError(
            f"The checkpoint {point.arrays} has {point.round} rounds behind it, but a run of "
            f"{rounds} was asked for; possible are {point.round} or more."
        )


def digest_of(clients: Any, *, whole: bool = False) -> str:
    """A digest of everybody's data; of arrays that are large, of some rows, unless of all."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(clients):
        found.update(f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}".encode())
        if not whole and leaf.size * leaf.dtype.itemsize > LOOKED_AT:
            leaf = leaf[np.linspace(0, len(leaf) - 1, ROWS).astype(int)]
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()
