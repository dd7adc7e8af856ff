"""Layers of a model by name, from the root of their paths: which leaves a name stands for."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import jax

from demjax.base import Params
from demjax.pytrees import as_pytree

Path = tuple[str, ...]


def layer_paths(params: Params) -> Params:
    """The path of each leaf as users name it, such as ``Dense_0/kernel``, as a pytree.

    A module that holds nothing but one other is its wrapper, and the other's name is left out:
    ``Dense_0/Dense_0/kernel`` is shown as ``Dense_0/kernel``. So is the collection ``params``.

    Args:
        params: One model, or stacked ones; shapes alone will do.
    """
    tree = as_pytree(params)
    shown = ["/".join(names[-1]) for names in _names(tree)]
    return jax.tree.unflatten(jax.tree.structure(tree), shown)


def chosen_layers(params: Params, names: Sequence[str]) -> Params:
    """For each leaf of a model whether its path begins with one of the names.

    A name is one or more whole parts of a path from its root: ``Dense_0``, ``Dense_0/kernel``; a
    ``*`` stands for any letters within a part, so that ``*/bias`` are all layers' biases. A
    collection before the layers, such as ``params`` or ``batch_stats``, may be left out, and so
    may a wrapped module, as in ``layer_paths``.

    Args:
        params: One model, or stacked ones; shapes alone will do.
        names: Layers; none at all choose every leaf.

    Returns:
        Plain truth values, as a pytree.

    Raises:
        ValueError: One sentence with the possible paths, if a name begins none of them, or if all
            of them together choose every leaf, which is what no names do.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    tree = as_pytree(params)
    paths = _names(tree)
    possible = ", ".join("/".join(of[-1]) for of in paths)
    for name in names:
        if not any(_begins(name, of) for of in paths):
            raise ValueError(
                f"The model has no layer {name!r}; possible are {possible}, or what they begin "
                "with, up to a slash."
            )
    chosen = [not names or any(_begins(name, of) for name in names) for of in paths]
    if names and all(chosen):
        raise ValueError(
            f"The layers {', '.join(names)} are all there are in the model; possible are some of "
            f"{possible}, or no layers named for all of them."
        )
    return jax.tree.unflatten(jax.tree.structure(tree), chosen)


def selection_in_words(params: Params, names: Sequence[str]) -> str:
    """What the names choose of a model: ``Dense_0 (2 of 4 arrays, 13,000 of 15,010 parameters)``.

    Args:
        params: One model; shapes alone will do.
        names: As in ``chosen_layers``, at least one.
    """
    leaves = jax.tree.leaves(as_pytree(params))
    chosen = jax.tree.leaves(chosen_layers(params, names))
    taken = [leaf.size for leaf, wanted in zip(leaves, chosen, strict=True) if wanted]
    return (
        f"{', '.join(names)} ({len(taken)} of {len(leaves)} arrays, {sum(taken):,} of "
        f"{sum(leaf.size for leaf in leaves):,} parameters)"
    )


def _names(tree: Params) -> list[tuple[Path, ...]]:
    """All paths that each leaf may be named by, from the whole one to the one that is shown."""
    whole = [tuple(map(_key, path)) for path, _ in jax.tree.leaves_with_path(tree)]
    inside: dict[Path, set[str]] = {}
    for path in whole:
        for depth in range(1, len(path)):
            inside.setdefault(path[:depth], set()).add(path[depth])
    modules = set(inside)

    def wrapped(path: Path, depth: int) -> bool:
        """Whether a part of a path names the only thing in the module above it, a module too."""
        return depth > first and path[: depth + 1] in modules and len(inside[path[:depth]]) == 1

    collections = any(path[0] == "params" for path in whole)
    first = 1 if collections else 0
    found: list[tuple[Path, ...]] = []
    for path in whole:
        short = tuple(part for depth, part in enumerate(path) if not wrapped(path, depth))
        shown = short[1:] if short[0] == "params" else short
        found.append((path, path[first:], short, short[first:], shown))
    return found


def _begins(name: str, paths: tuple[Path, ...]) -> bool:
    parts = name.split("/")
    return any(len(parts) <= len(path) and all(map(fnmatchcase, path, parts)) for path in paths)


def _key(key: Any) -> str:
    """What an entry of a path is called, without its brackets."""
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))
