"""LEAF's folders of JSON files, whose natural clients are the users that made the examples."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Num

from demjax.data.classes import checked_classes, without_gaps
from demjax.data.dataset import Dataset, checked_inputs, files_in, within
from demjax.data.sources.leaf_json import array, parsed
from demjax.registry import DATASETS

_FEMNIST_PIXELS, _FEMNIST_CLASSES = 784, 62
_LEAST_SIDE = 8


class _Piece(NamedTuple):
    """Examples of one user in one file."""

    user: str
    x: Num[np.ndarray, " T D"]
    y: Int[np.ndarray, " T"]


@DATASETS.register(
    examples="any",
    shape="any",
    classes="any",
    licence="its own",
    source="leaf.cmu.edu",
    files=lambda data_dir: _all_files(data_dir),
    slow=True,
    natural=True,
)
def leaf(*, data_dir: str | Path) -> Dataset:
    """Read a data set of numbers in LEAF's format.

    Each file is ``{"users": [name, …], "num_samples": [count, …], "user_data": {name: {"x":
    [[number, …], …], "y": [label, …]}, …}}``. A user may have a single example, one label, no
    test examples, or parts in several files. Users without any example are left out. Files are
    read one after another, a second or so for 10 MB; ``load`` keeps the result.

    Args:
        data_dir: A folder with files in ``train`` and ``test``, or not split, in ``all_data`` or
            by themselves. The folder may also be in it, named ``data``, ``leaf`` or ``leaf/data``.

    Returns:
        The data set: training examples of all users in the order of their names, then test
        examples likewise. Inputs of a square number of pixels, 8×8 or larger, become images
        ``[T, H, H, 1]``, in uint8 where they are whole 255ths; others stay float32 ``[T, D]``.
        Labels are those that occur, but 62 for images of 28×28 with one above 9 (FEMNIST, of
        which a sample may lack some letters). ``owner`` counts users.

    Raises:
        ValueError: A file is missing or damaged, leads out of the folder, or holds text.

    Source: Caldas et al., LEAF: A Benchmark for Federated Settings, arXiv 1812.01097.
    """
    root = Path(data_dir)
    parts = leaf_files(root)
    if parts is None:
        raise ValueError(
            f"{root} holds no JSON files of LEAF, which are looked for in its subfolders train and "
            "test, in all_data, and in the folder itself; likewise in data, leaf and leaf/data."
        )
    pieces = [
        sorted((piece for file in files for piece in _pieces(file)), key=lambda piece: piece.user)
        for files in parts
    ]
    every = [piece for part in pieces for piece in part]
    if not pieces[0]:
        raise ValueError(f"The files in {parts[0][0].parent} hold no example of any user.")
    widths = {piece.x.shape[1]: piece.user for piece in every}
    if len(widths) > 1:
        (one, a), (other, b) = list(widths.items())[:2]
        raise ValueError(
            f"The inputs of the user {a!r} in {root} are {one} numbers long and those of {b!r} "
            f"{other}, but all must have one length."
        )
    number = {user: owner for owner, user in enumerate(sorted({piece.user for piece in every}))}
    owner = np.repeat(
        np.array([number[piece.user] for piece in every], np.int32), [len(p.y) for p in every]
    )
    y = np.concatenate([piece.y for piece in every])
    train_count = sum(len(piece.y) for piece in pieces[0])
    del pieces
    x = _joined(every)
    if math.prod(x.shape[1:]) == _FEMNIST_PIXELS and 10 <= y.max() < _FEMNIST_CLASSES:
        return Dataset(x, y, _FEMNIST_CLASSES, train_count, name="leaf", owner=owner)
    y, labels = without_gaps(y, root)
    return Dataset(x, y, int(y.max()) + 1, train_count, "leaf", owner, labels)


def _all_files(root: Path) -> Sequence[Path] | None:
    parts = leaf_files(root)
    return None if parts is None else [file for part in parts for file in part]


def leaf_files(root: Path) -> Sequence[Sequence[Path]] | None:
    """The files of the training part, and of the test part where there is one; else ``None``.

    Raises:
        ValueError: A file leads out of the folder, or there are test files only.
    """
    roots = [root / folder for folder in ("", "data", "leaf", "leaf/data")]
    for folder in roots:
        train, test = _json_files(root, folder / "train"), _json_files(root, folder / "test")
        if train:
            return (train, test)
        if test:
            raise ValueError(f"{folder} holds files in test, but none in train.")
    for folder in (*(folder / "all_data" for folder in roots), root, root / "leaf"):
        if files := _json_files(root, folder):
            return (files,)
    return None


def _json_files(root: Path, folder: Path) -> list[Path]:
    return [within(root, path) for path in files_in(folder, "*.json")]


def _pieces(path: Path) -> Iterator[_Piece]:
    """The examples of each user in a file, users without any left out."""
    content = parsed(path)
    users, counts = content.get("users"), content.get("num_samples")
    data = content.get("user_data")
    if (
        not (isinstance(users, list) and isinstance(counts, list) and isinstance(data, dict))
        or not all(isinstance(user, str) for user in users)
        or len(users) != len(counts)
    ):
        raise ValueError(
            f"{path} must hold a list of users, each once, their num_samples, as many, and their "
            "user_data by name, as LEAF writes them."
        )
    if twice := [user for user, times in Counter(users).items() if times > 1]:
        raise ValueError(f"{path} lists the user {twice[0]!r} twice, but possible is each once.")
    if set(users) != set(data):
        odd = min(set(users) ^ set(data))
        raise ValueError(f"{path} names the user {odd!r} in only one of users and user_data.")
    for user, count in zip(users, counts, strict=True):
        piece = _piece(path, user, data.pop(user))
        if count != len(piece.y):
            raise ValueError(
                f"{path} holds {len(piece.y)} examples of the user {user!r}, "
                f"but its num_samples says {count}."
            )
        if len(piece.y):
            yield piece


def _piece(path: Path, user: str, examples: Any) -> _Piece:
    where = f"the user {user!r} in {path}"
    if not isinstance(examples, dict) or not {"x", "y"} <= examples.keys():
        raise ValueError(f"The examples of {where} are not given as x and y.")
    x, y = (array(examples[name], name, where) for name in ("x", "y"))
    if len(x) != len(y):
        raise ValueError(f"There are {len(x)} inputs and {len(y)} labels of {where}.")
    if not len(y):
        return _Piece(user, np.zeros((0, 0), np.float32), np.zeros(0, np.int32))
    if x.ndim != 2:
        raise ValueError(
            f"The inputs of {where} have the shape {x.shape}, but a flat list of numbers for each "
            "example is expected."
        )
    labels = checked_classes(y, f"The data of {where}")
    return _Piece(user, _compact(checked_inputs(x, f"The data of {where}")), labels)


def _side(width: int) -> int | None:
    """The height of images of so many pixels, ``None`` where they are none."""
    side = math.isqrt(width)
    return side if side * side == width and side >= _LEAST_SIDE else None


def _compact(x: Num[np.ndarray, " T D"]) -> Num[np.ndarray, " T D"]:
    """Images of whole 255ths as bytes, a quarter of the memory; all else as float32."""
    x = x.astype(np.float32)
    if _side(x.shape[1]) is None or x.min() < 0 or x.max() > 1:
        return x
    scaled = x * 255
    whole = np.rint(scaled)
    return whole.astype(np.uint8) if np.abs(scaled - whole).max() < 1e-3 else x


def _joined(pieces: list[_Piece]) -> Num[np.ndarray, " T *shape"]:
    """All inputs, each piece let go as soon as it is copied."""
    exact = all(piece.x.dtype == np.uint8 for piece in pieces)
    width = pieces[0].x.shape[1]
    x = np.empty((sum(len(p.y) for p in pieces), width), np.uint8 if exact else np.float32)
    start = 0
    pieces.reverse()
    while pieces:
        part = pieces.pop().x
        end = start + len(part)
        x[start:end] = part if exact or part.dtype != np.uint8 else part / np.float32(255)
        start = end
    side = _side(width)
    return x if side is None else x.reshape(-1, side, side, 1)
