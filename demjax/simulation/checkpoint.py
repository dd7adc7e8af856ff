"""Checkpoints: the state of a run after a round, from which the rounds that are left are the same.

A folder of checkpoints holds for each a folder of arrays, ``round-10``, and beside it
``round-10.json``, which is written last: what there is, and a digest of every file. So a checkpoint
without it, or whose files are not those that it names, is not taken for one.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from demjax.backend.array_files import read_arrays, remove_arrays, shape_of, write_arrays
from demjax.backend.file_digests import digests_of, files_in, write_whole

FORM = 1
"""Which form of checkpoints this is; another one is not read."""
NAME = re.compile(r"round-(0|[1-9][0-9]{0,17})")
UNSAID = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What comes of JSON that does not say what it must."""
LARGEST = 2**24
"""Bytes that the JSON of a checkpoint may have."""


class Checkpoint(NamedTuple):
    """A whole checkpoint in a folder.

    Attributes:
        round: Rounds done.
        arrays: The folder of its arrays.
        about: What else was written, as it can be said in JSON.
        trees: By the name of each pytree the path, shape and type of each leaf.
    """

    round: int
    arrays: Path
    about: Mapping[str, Any]
    trees: Mapping[str, list]

    def read(self, **wanted: Any) -> dict[str, Any]:
        """Pytrees of the checkpoint, their arrays on the host.

        Args:
            **wanted: All that were written, by name, as arrays or shapes.

        Raises:
            ValueError: If the checkpoint holds others, with the first that differs.
        """
        names: dict[str, jax.ShapeDtypeStruct] = {}
        for name, tree in wanted.items():
            _check_same(self.trees.get(name), _declared(tree), f"{self.arrays}: {name}")
            for place, leaf in enumerate(jax.tree.leaves(tree)):
                names[f"{name}-{place:04d}"] = shape_of(leaf)
        filled = {name: one for name, one in names.items() if np.prod(one.shape)}
        found = read_arrays(self.arrays, filled)
        for name, one in names.items():
            found.setdefault(name, np.zeros(one.shape, one.dtype))

        def as_before(name: str, tree: Any) -> Any:
            leaves, structure = jax.tree.flatten(tree)
            arrays = [found[f"{name}-{place:04d}"] for place in range(len(leaves))]
            return jax.tree.unflatten(structure, map(_keyed, arrays, leaves))

        return {name: as_before(name, tree) for name, tree in wanted.items()}


def write(
    folder: Path, number: int, trees: Mapping[str, Any], about: Mapping[str, Any], *, writes: bool
) -> None:
    """Write a checkpoint, which is one once all of it is there.

    Args:
        folder: Of all checkpoints of the run; made if need be.
        number: Rounds done.
        trees: Pytrees of arrays by name.
        about: What else is to be known, as JSON can say it.
        writes: Whether this process writes what is there once; of several all call this.

    Raises:
        Exception: Whatever keeps it from being written; checkpoints before it stay as they are.
    """
    arrays = folder / f"round-{number}"
    if writes:
        folder.mkdir(exist_ok=True)
        _remove(folder, number)
    leaves = {
        f"{name}-{place:04d}": _plain(leaf)
        for name, tree in trees.items()
        for place, leaf in enumerate(jax.tree.leaves(tree))
    }
    try:
        write_arrays(arrays, {name: leaf for name, leaf in leaves.items() if leaf.size})
        if not writes:
            return
        said = {
            "form": FORM,
            "round": number,
            "about": about,
            "trees": {name: _declared(tree) for name, tree in trees.items()},
            "files": digests_of(arrays),
        }
        write_whole(folder / f"round-{number}.json", json.dumps(said, indent=1) + "\n")
    except BaseException:
        if writes:
            _remove(folder, number)
        raise


def prune(folder: Path, keep: int, last: int) -> None:
    """Remove all checkpoints but the newest so many, and what is left of half-written ones.

    Args:
        folder: Of all checkpoints of the run.
        keep: How many are kept.
        last: The round that was saved last: those of later ones were broken when the run went on.
    """
    numbers = [number for number in numbered(folder) if number <= last][:keep]
    for path in folder.glob("round-*"):
        stem = path.name.partition(".")[0]
        found = NAME.fullmatch(stem)
        if found and int(found[1]) not in numbers:
            _remove(folder, int(found[1]))


def numbered(folder: Path) -> list[int]:
    """The rounds that there are checkpoints of, whole or not, the newest first."""
    found = (NAME.fullmatch(path.stem) for path in folder.glob("round-*.json"))
    return sorted((int(name[1]) for name in found if name), reverse=True)


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and a sentence on each newer one that is not."""
    said: list[str] = []
    for number in numbered(folder):
        found, why = at(folder, number)
        if found is not None:
            return found, said
        said.append(
            f"The checkpoint after round {number} in {folder} is broken ({why}), so that one "
            "before it is used, if there is any."
        )
    return None, said


def at(folder: Path, number: int) -> tuple[Checkpoint | None, str]:
    """One of the checkpoints that there are, or why it is none."""
    try:
        return _whole(folder, number), ""
    except (OSError, *UNSAID) as error:
        if isinstance(error, OSError):
            return None, error.strerror or type(error).__name__
        known = isinstance(error, ValueError)
        return None, str(error) if known else "it does not say what belongs to it"


def said_last(folder: Path) -> Mapping[str, Any]:
    """What the newest checkpoint says of itself, be it whole or not; nothing where none does."""
    for number in numbered(folder):
        with suppress(OSError, *UNSAID):
            about = _said(folder, number)["about"]
            if isinstance(about, dict):
                return about
    return {}


def _whole(folder: Path, number: int) -> Checkpoint:
    """A checkpoint, whose files are those that were written.

    Raises:
        ValueError: What is wrong with it.
    """
    said = _said(folder, number)
    if not isinstance(said["about"], dict) or not isinstance(said["trees"], dict):
        raise TypeError
    arrays = folder / f"round-{number}"
    sizes = {name: size for name, (size, _) in said["files"].items()}
    if sizes != {name: file.stat().st_size for name, file in files_in(arrays).items()}:
        raise ValueError("files are missing, or not as long as they were")
    if {name: list(of) for name, of in said["files"].items()} != digests_of(arrays):
        raise ValueError("files are not what was written")
    return Checkpoint(number, arrays, said["about"], said["trees"])


def _said(folder: Path, number: int) -> Any:
    """What the JSON of a checkpoint holds."""
    path = folder / f"round-{number}.json"
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} is no file of a checkpoint")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{path.name} is damaged") from None
    if said["form"] != FORM or said["round"] != number:
        raise ValueError(f"{path.name} is of another form of checkpoints")
    return said


def _remove(folder: Path, number: int) -> None:
    """Remove a checkpoint, first what makes it one; what cannot be removed stays."""
    for name in (f"round-{number}.json", f"round-{number}.partial"):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)
    remove_arrays(folder / f"round-{number}")


def _declared(tree: Any) -> list[list]:
    """The path, shape and type of each leaf of a pytree, as JSON says them."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [[jax.tree_util.keystr(p), list(leaf.shape), str(leaf.dtype)] for p, leaf in leaves]


def _check_same(written: Any, wanted: Sequence[list], whose: str) -> None:
    if written == wanted:
        return
    pairs = zip(written, wanted, strict=False) if isinstance(written, list) else ()
    apart = next((pair for pair in pairs if pair[0] != pair[1]), None)
    what = f"{apart[0]} is there and {apart[1]} is needed" if apart else "other arrays are there"
    raise ValueError(f"{whose} is of another experiment: {what}.")


def _plain(leaf: Any) -> Any:
    """An array that can be written: of keys their numbers."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(leaf)
    return leaf


def _keyed(array: np.ndarray, like: Any) -> Any:
    """Keys of their numbers, where they were keys."""
    if not jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return array
    kind: list[Any] = []
    jax.eval_shape(lambda key: kind.append(jax.random.key_impl(key)), like)
    return jax.random.wrap_key_data(jnp.asarray(array), impl=kind[0])
