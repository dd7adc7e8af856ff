"""``demjax datasets``: which data sets there are, and which are here."""

import argparse
from pathlib import Path

from demjax import data
from demjax.cli.parsing import Commands
from demjax.registry import DATASETS, Choice

_HEAD = ("name", "here", "download", "examples", "shape", "classes", "licence", "source")


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    parser = commands.add_parser("datasets", help=summary)
    parser.set_defaults(command=_datasets)
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder to search")
    parser.add_argument("--fetch", metavar="NAME", help="download one to that folder")


def _datasets(parsed: argparse.Namespace) -> str:
    folder = parsed.data_dir
    return listing(folder) if parsed.fetch is None else fetch(parsed.fetch, folder)


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
    for entry in DATASETS.choices():
        known = entry.facts
        facts = (known[name] for name in ("examples", "shape", "classes", "licence", "source"))
        rows.append((entry.name, _here(entry, data_dir), known.get("download", "–"), *facts))
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
    entry = DATASETS[name]
    if name not in data.PREPARED:
        how = "is built in" if "files" not in entry.facts else "is not downloaded by demjax"
        raise ValueError(
            f"The data set {name!r} {how} ({entry.facts['source']}); those that can be fetched are "
            f"{', '.join(data.PREPARED)}."
        )
    found = data.find(name, data_dir)
    if found is not None:
        return f"{name} is already in {found.files[0].parent}."
    return f"{name} is now in {data.prepare(name, data_dir=data_dir)}."


def _here(entry: Choice, data_dir: Path | None) -> str:
    if "files" not in entry.facts:
        return "built in"
    try:
        found = None if data_dir is None else data.find(entry.name, data_dir)
    except ValueError:  # there may be files, but none that can be read
        found = None
    return "no" if found is None else "yes"
