"""All data sets by name: where they come from, whether they are here, and how they are read."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from demjax.data.dataset import Dataset, as_dataset, files_in
from demjax.data.sources import cifar10, digits, leaf, mnist, npz, synthetic  # noqa: F401
from demjax.data.sources.cache import cached, default_folder
from demjax.data.sources.tfds import PREPARED, prepare, prepared, prepared_folder
from demjax.data.transforms.layout import Layout, images
from demjax.registry import DATASETS, Choice, accepts, call


class Found(NamedTuple):
    """Files that a data set can be read from.

    Attributes:
        files: All that decide what is read.
        read: Reads them.
        slow: Whether that takes so long that the result is kept.
        shuffled: Whether examples are in another order than in the original files.
    """

    files: Sequence[Path]
    read: Callable[[], Dataset]
    slow: bool
    shuffled: bool = False


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    seed: int = 0,
    clients: int = 30,
    layout: Layout = "auto",
    download: bool = False,
    cache_dir: str | Path | None = None,
    by_rows: bool = False,
    **options: Any,
) -> Dataset:
    """Read a data set by its name.

    What is parsed or decoded, so slow to read, is kept as plain arrays and found again by the
    contents of its files.

    Args:
        name: One of ``DATASETS``, or a function of a file of your own: ``path/to/file.py:name``.
        data_dir: The folder of its files, for ``npz`` the file; not looked at where none is needed.
        seed: Decides the draws of synthetic data.
        clients: Number of clients of synthetic data.
        layout: Axes of its inputs, of ``images``; by default those of images are looked for.
        download: Whether to download it where it is not found, as ``prepare`` does.
        cache_dir: Where results are kept; by default the user's cache folder, or
            ``$DEMJAX_CACHE``; empty, nothing is kept.
        by_rows: Whether inputs stay in their files, ``RowsInFiles``, where these are such that rows
            can be read: IDX, ``.npz`` and CIFAR-10's binary files, and what the cache keeps.
        **options: What else it takes, such as ``synthetic_alpha``.

    Returns:
        The data set, not normalised.

    Raises:
        ValueError: The name is unknown, the folder is needed and not given, its files are missing
            or damaged, or cannot be downloaded.
    """
    choice = DATASETS.find(name)
    if "files" not in choice.facts:
        given = {"clients": clients, "seed": seed, "data_dir": data_dir, "by_rows": by_rows}
        made = call(choice, DATASETS, options, **given)
        found = as_dataset(made, name)
    else:
        kept = default_folder() if cache_dir is None else Path(cache_dir) if cache_dir else None
        found = _from_files(name, choice, data_dir, download=download, folder=kept, by_rows=by_rows)
    return found._replace(x=images(found.x, layout, whose=repr(name)))


def _from_files(
    name: str,
    choice: Choice,
    data_dir: str | Path | None,
    *,
    download: bool,
    folder: Path | None,
    by_rows: bool,
) -> Dataset:
    if data_dir is None:
        raise ValueError(
            f"The data set {name!r} is read from files, so say in which folder they are with "
            "data_dir, or --data-dir (none is needed for 'digits')."
        )
    root = Path(data_dir)
    found = find(name, root, by_rows=by_rows)
    if found is None and download and name in PREPARED:
        prepare(name, data_dir=root)
        found = find(name, root, by_rows=by_rows)
    if found is None:
        return choice.make(data_dir=root)  # which says what is missing
    if not found.slow:
        return found.read()
    return cached(
        found.read, name=name, root=root, files=found.files, folder=folder, by_rows=by_rows
    )


def find(name: str, data_dir: str | Path, *, by_rows: bool = False) -> Found | None:
    """Look for the files of a data set, without reading them.

    Args:
        name: One of ``DATASETS`` that is read from files.
        data_dir: The folder, for ``npz`` also the file itself.
        by_rows: Whether their inputs are to stay there, where they can.

    Returns:
        The files, or ``None`` where they are not all there.

    Raises:
        ValueError: The folder cannot be searched, or holds what must not be read.
    """
    data_dir, choice = Path(data_dir), DATASETS[name]
    files = choice.facts["files"](data_dir)
    if files is not None:
        slow = choice.facts.get("slow", False)
        stay = {"by_rows": True} if by_rows and accepts(choice.make, "by_rows") else {}
        return Found(files, partial(choice.make, data_dir=data_dir, **stay), slow)
    folder = prepared_folder(name, data_dir) if name in PREPARED else None
    if folder is None:
        return None
    files = files_in(folder, "*")
    return Found(files, partial(prepared, name, data_dir=data_dir), True, shuffled=True)
