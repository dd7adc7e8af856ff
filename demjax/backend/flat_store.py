"""Models as rows of numbers: how the leaves of one model lie in a row, one after another."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from demjax.base import Params

PADDED_TO = 1024
"""What the columns of a row are a multiple of, so that they fill tiles: 8 × 128 of a TPU."""


class Flat(NamedTuple):
    """The form of one model in a row: its leaves one after another, and zeros at the end.

    Attributes:
        structure: The pytree of one model.
        shapes: Of its leaves.
        dtypes: Likewise; those in single precision are in the row, all others keep arrays of
            their own.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype, ...]

    def columns(self) -> list[tuple[int, int | None]]:
        """How many columns each leaf has, and its first; ``None`` where it is not in the row."""
        found: list[tuple[int, int | None]] = []
        end = 0
        for shape, dtype in zip(self.shapes, self.dtypes, strict=True):
            size, inside = math.prod(shape), dtype == np.float32
            found.append((size, end if inside else None))
            end += size * inside
        return found

    def used(self) -> int:
        """How many columns of the row hold parameters."""
        return sum(size for size, start in self.columns() if start is not None)

    def flatten(self, leaves: list[Array], axes: int) -> tuple[Array, ...]:
        """The row, and the leaves that are not in it, of leaves with so many axes before theirs."""
        lead = jnp.shape(leaves[0])[:axes]
        pairs = list(zip(leaves, self.columns(), strict=True))
        rows = [jnp.reshape(leaf, (*lead, -1)) for leaf, (_, start) in pairs if start is not None]
        rows.append(jnp.zeros((*lead, -self.used() % PADDED_TO), jnp.float32))
        return jnp.concatenate(rows, axis=-1), *(
            leaf for leaf, (_, start) in pairs if start is None
        )

    def unflatten(self, arrays: tuple[Array, ...]) -> Params:
        """The pytree of leaves that ``flatten`` was given."""
        row, *others = arrays
        own = iter(others)
        leaves = [
            next(own)
            if start is None
            else row[..., start : start + size].reshape(*row.shape[:-1], *shape)
            for (size, start), shape in zip(self.columns(), self.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def said_of(self, leaves: list[bool]) -> tuple[bool | Bool[np.ndarray, " C"], ...]:
        """For each array of a store what is said of its leaves: one truth value, or by column."""
        pairs = list(zip(self.columns(), leaves, strict=True))
        row = [(size, yes) for (size, start), yes in pairs if start is not None]
        own = (yes for (_, start), yes in pairs if start is None)
        if len({yes for _, yes in row}) < 2:
            return any(yes for _, yes in row), *own
        by_column = np.repeat([yes for _, yes in row], [size for size, _ in row])
        return np.pad(by_column, (0, -by_column.size % PADDED_TO)), *own


def form_of(leaves: list[Array], structure: Any, axes: int) -> Flat:
    """The form of models of such leaves, with so many axes before a model's."""
    shapes = tuple(tuple(jnp.shape(leaf)[axes:]) for leaf in leaves)
    return Flat(structure, shapes, tuple(np.dtype(jnp.result_type(leaf)) for leaf in leaves))
