"""How the leaves of one model are stored: one after another in a row, or each for itself."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool

from demjax.backend.narrow import narrowed, widened
from demjax.base import Params

PADDED_TO = 1024
"""What the columns of a row are a multiple of, so that they fill tiles: 8 × 128 of a TPU."""


class Flat(NamedTuple):
    """The form of one model in a row: its leaves one after another, and zeros at the end.

    Attributes:
        structure: The pytree of one model.
        shapes: Of its leaves.
        inside: Which of them are in the row, all of single precision; all others keep arrays of
            their own.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    inside: tuple[bool, ...]

    def columns(self) -> list[tuple[int, int | None]]:
        """How many columns each leaf has, and its first; ``None`` where it is not in the row."""
        found: list[tuple[int, int | None]] = []
        end = 0
        for shape, inside in zip(self.shapes, self.inside, strict=True):
            size = math.prod(shape)
            found.append((size, end if inside else None))
            end += size * inside
        return found

    def used(self) -> int:
        """How many columns of the row hold parameters."""
        return sum(size for size, start in self.columns() if start is not None)

    def flatten(
        self, leaves: list[Array], axes: int, dtype: DTypeLike = np.float32
    ) -> tuple[Array, ...]:
        """The row, and the leaves that are not in it, of leaves with so many axes before theirs.

        The row is rounded to numbers of a type that may be narrower.
        """
        lead = jnp.shape(leaves[0])[:axes]
        pairs = list(zip(leaves, self.columns(), strict=True))
        rows = [jnp.reshape(leaf, (*lead, -1)) for leaf, (_, start) in pairs if start is not None]
        rows.append(jnp.zeros((*lead, -self.used() % PADDED_TO), jnp.float32))
        others = (leaf for leaf, (_, start) in pairs if start is None)
        return self.rounded((jnp.concatenate(rows, axis=-1), *others), dtype)

    def rounded(
        self, arrays: tuple[Array, ...], dtype: DTypeLike, axes: int = 0
    ) -> tuple[Array, ...]:
        """The row rounded, and all else as it is; ``axes`` as of ``narrowed``."""
        return narrowed(arrays[0], dtype, axes=axes), *arrays[1:]

    def unflatten(self, arrays: tuple[Array, ...]) -> Params:
        """The pytree of leaves that ``flatten`` was given, but for rounding."""
        row, *others = arrays
        own = iter(others)
        leaves = [
            next(own)
            if start is None
            else widened(row[..., start : start + size]).reshape(*row.shape[:-1], *shape)
            for (size, start), shape in zip(self.columns(), self.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def dtype(self, arrays: tuple[Array, ...]) -> np.dtype:
        """What the row of a store is in."""
        return arrays[0].dtype

    def said_of(self, leaves: list[bool]) -> tuple[bool | Bool[np.ndarray, " C"], ...]:
        """For each array of a store what is said of its leaves: one truth value, or by column."""
        pairs = list(zip(self.columns(), leaves, strict=True))
        row = [(size, yes) for (size, start), yes in pairs if start is not None]
        own = (yes for (_, start), yes in pairs if start is None)
        if len({yes for _, yes in row}) < 2:
            return any(yes for _, yes in row), *own
        by_column = np.repeat([yes for _, yes in row], [size for size, _ in row])
        return np.pad(by_column, (0, -by_column.size % PADDED_TO)), *own


@dataclass(frozen=True)
class Leaves:
    """The form of one model whose leaves are arrays of their own, some of them in fewer bits.

    Attributes:
        structure: The pytree of one model.
        shapes: Of its leaves.
        inside: Which of them are rounded, all of single precision.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    inside: tuple[bool, ...]

    def flatten(self, leaves: list[Array], axes: int, dtype: DTypeLike = np.float32) -> Params:
        """The pytree of leaves, those inside rounded to numbers of a type that may be narrower."""
        return self.rounded(jax.tree.unflatten(self.structure, leaves), dtype)

    def rounded(self, arrays: Params, dtype: DTypeLike, axes: int = 0) -> Params:
        """The leaves inside rounded, and all others as they are; ``axes`` as of ``narrowed``."""
        pairs = zip(self.structure.flatten_up_to(arrays), self.inside, strict=True)
        leaves = [narrowed(leaf, dtype, axes=axes) if inside else leaf for leaf, inside in pairs]
        return jax.tree.unflatten(self.structure, leaves)

    def unflatten(self, arrays: Params) -> Params:
        """The pytree of leaves that ``flatten`` was given, but for rounding."""
        pairs = zip(self.structure.flatten_up_to(arrays), self.inside, strict=True)
        leaves = [widened(leaf) if inside else leaf for leaf, inside in pairs]
        return jax.tree.unflatten(self.structure, leaves)

    def dtype(self, arrays: Params) -> np.dtype:
        """What the leaves inside are in."""
        pairs = zip(self.structure.flatten_up_to(arrays), self.inside, strict=True)
        return next((leaf.dtype for leaf, inside in pairs if inside), np.dtype(np.float32))


def form_of(
    leaves: list[Array],
    structure: Any,
    axes: int,
    *,
    kept: Sequence[bool] = (),
    kind: type[Flat] | type[Leaves] = Flat,
) -> Flat | Leaves:
    """The form of models of such leaves, with so many axes before a model's.

    Args:
        leaves: Of one model, or of stacked ones.
        structure: The pytree of them.
        axes: Axes before a model's.
        kept: For each leaf whether it is kept as it is, whatever its type; by default none.
        kind: ``Flat`` or ``Leaves``.
    """
    shapes = tuple(tuple(jnp.shape(leaf)[axes:]) for leaf in leaves)
    single = [np.dtype(jnp.result_type(leaf)) == np.float32 for leaf in leaves]
    stay = kept or [False] * len(leaves)
    return kind(structure, shapes, tuple(x and not y for x, y in zip(single, stay, strict=True)))


def beside_parameters(model: Params) -> Params:
    """For each leaf whether it is in a collection beside ``params``, such as batch statistics."""
    if not isinstance(model, Mapping) or "params" not in model:
        return jax.tree.map(lambda _: False, model)
    return {
        name: jax.tree.map(lambda _, name=name: name != "params", part)
        for name, part in model.items()
    }
