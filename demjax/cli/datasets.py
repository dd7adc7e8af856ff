"""What ``demjax datasets`` shows and fetches."""

from pathlib import Path

from demjax import data
from demjax.experiment.validation import nearest

_HEAD = ("name", "here", "download", "examples", "shape", "classes", "licence", "source")


def listing(data_dir: Path | None) -> str:
    """All data sets as a table: whether each is here, and what it is.

    Args:
        data_dir: The folder that is searched, ``None`` for none.

    Raises:
        ValueError: There is no such folder.
    """
    if data_dir is not None and not data_dir.is_dir():
        raise ValueError(f"The data folder {data_dir} does not exist or is no folder.")
    rows = [_HEAD]
    for entry in data.CATALOGUE:
        facts = (entry.examples, entry.shape, entry.classes, entry.licence, entry.source)
        rows.append((entry.name, _here(entry, data_dir), entry.download or "–", *facts))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def fetch(name: str, data_dir: Path | None) -> str:
    """Download a data set and prepare it, and say where it is.

    Raises:
        ValueError: The data set cannot be fetched by us; the sentence says what to do instead.
    """
    if data_dir is None:
        raise ValueError(f"--fetch {name} needs --data-dir, the folder where the data are to be.")
    if name not in data.NAMES:
        raise ValueError(f"The data set {name!r} is unknown; {nearest(name, data.NAMES)}.")
    entry = next(entry for entry in data.CATALOGUE if entry.name == name)
    if name not in data.PREPARED:
        how = "is built in" if entry.built_in else f"is not downloaded by demjax ({entry.source})"
        raise ValueError(
            f"The data set {name!r} {how}; those that can be fetched are "
            f"{', '.join(data.PREPARED)}."
        )
    found = data.find(name, data_dir)
    if found is not None:
        return f"{name} is already in {found.files[0].parent}."
    return f"{name} is now in {data.prepare(name, data_dir=data_dir)}."


def _here(entry: data.Entry, data_dir: Path | None) -> str:
    if entry.built_in:
        return "built in"
    try:
        found = None if data_dir is None else data.find(entry.name, data_dir)
    except ValueError:  # there may be files, but none that can be read
        found = None
    return "no" if found is None else "yes"
