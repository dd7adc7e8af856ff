"""Examples that are there twice: in both parts of the data, or in two files alike."""

import filecmp
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Num, UInt64

from demjax.data.dataset import Dataset
from demjax.data.rows_in_files import Inputs

_AT_ONCE = 4096


def in_both_parts(dataset: Dataset) -> int:
    """How many examples of the data's own test part are in the training part, too.

    Two examples are the same where inputs and labels are.
    """
    x, count = dataset.x, dataset.train_count
    code = _codes(x)
    common = np.intersect1d(code[:count], code[count:])
    alike = np.flatnonzero(np.isin(code, common)) if len(common) else common
    found = [(x[row].tobytes(), int(dataset.y[row])) for row in alike]
    train = int(np.searchsorted(alike, count))
    known = set(found[:train])
    return sum(one in known for one in found[train:])


def same_files(files: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Pairs of files that hold the same, empty ones left out."""
    sizes: dict[int, list[Path]] = {}
    for file in files:
        sizes.setdefault(file.stat().st_size, []).append(file)
    return [
        (one, other)
        for size, alike in sizes.items()
        for one, other in combinations(alike, 2)
        if size and filecmp.cmp(one, other, shallow=False)  # ends where they first differ
    ]


def _codes(x: Num[Inputs, " T *shape"]) -> UInt64[np.ndarray, " T"]:
    """The same number for the same inputs, and nearly always another for others."""
    width = x.nbytes // len(x)
    word = next(size for size in (8, 4, 2, 1) if width % size == 0)
    factors = np.random.default_rng(0).integers(2**64, size=width // word, dtype=np.uint64)
    code = np.empty(len(x), np.uint64)
    for start in range(0, len(x), _AT_ONCE):
        some = np.ascontiguousarray(x[start : start + _AT_ONCE])
        rows = some.reshape(len(some), -1).view(f"u{word}")
        code[start : start + len(rows)] = rows.astype(np.uint64, copy=False) @ factors
    return code
