"""``demjax partition``: who gets which examples of a data set, described and drawn."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from demjax import plots
from demjax.cli.images import check_image, save_image
from demjax.cli.parsing import Commands, help_of, read_given, take_options
from demjax.data import save_partition
from demjax.experiment.experiment import resolve, settled, with_defaults
from demjax.experiment.load_data import Partitioned, load, partitioned, without_tests
from demjax.experiment.notes import notes, validation_note
from demjax.experiment.tables import all_options
from demjax.plots.labels_by_client import label_counts, size
from demjax.runs.new_files import check_new_file, whole_file

TABLES = ("run", "data")
"""The tables that decide who has what."""

IDLE = set(all_options({}, ("run",))) - {"seed"}
"""Options of these tables that do not."""


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    parser = commands.add_parser(
        "partition",
        help=summary,
        add_help=False,
        usage="demjax partition [--out FILE] [--image FILE] [OPTION VALUE …]",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="new .npz file for it")
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="new .png, .svg or .pdf file of it"
    )
    take_options(parser, _partition)


def _partition(parsed: argparse.Namespace, words: Sequence[str]) -> str:
    given = read_given(parsed, words, tables=TABLES, without=IDLE).options
    options = all_options(with_defaults(given), TABLES)
    if parsed.help:
        shown = {name: option for name, option in options.items() if name not in IDLE}
        return help_of(parsed.parser, shown)
    mine = {name: value for name, value in given.items() if name in options}
    return show(mine, out=parsed.out, image=parsed.image)


def show(given: Mapping[str, Any], *, out: Path | None = None, image: Path | None = None) -> str:
    """Partition an experiment's data, write the partition and its image, and describe it.

    Args:
        given: Options of an experiment that decide who has what.
        out: New file for the partition; by default none.
        image: New file for the image, ``.png``, ``.svg`` or ``.pdf``; by default none.

    Returns:
        The description.

    Raises:
        ValueError: If the data cannot be partitioned as asked, or a file cannot be written.
    """
    asked = resolve(given, tables=TABLES)
    _check_new(out, image)
    dataset = load(asked)
    resolved = settled(asked, owners=dataset.owner is not None)
    found = partitioned(resolved, dataset)
    for note in notes(asked, resolved, dataset, found.partition):
        print(note, file=sys.stderr)
    if resolved.validation is not None:
        found = without_tests(resolved, found)
        print(validation_note(found.partition), file=sys.stderr)
    if out is not None:
        with whole_file(out) as partial:
            save_partition(found.partition, partial, y=found.y)
    if image is not None:
        _draw(found, image)
    return describe(found)


def describe(found: Partitioned) -> str:
    """Who has what in a few lines: clients, examples, and how these are spread."""
    train, test, names = label_counts(found.partition, found.y)
    count, both = len(train), train + test
    lines = [
        f"{found.dataset.name}: {count} clients have {both.sum()} of {len(found.y)} examples, "
        f"{test.sum()} of them for tests, and {(both.sum(axis=0) > 0).sum()} of {len(names)} labels"
    ]
    if found.true_clusters is not None:
        lines.append(f"planted clusters of clients: {len(np.unique(found.true_clusters))}")
    lines.append(f"{'of a client':<20}  least  median    most")
    rows = {
        "examples": both.sum(axis=1),
        "training examples": train.sum(axis=1),
        "test examples": test.sum(axis=1),
        "labels": (both > 0).sum(axis=1),
    }
    for name, values in rows.items():
        numbers = f"{values.min():>5}  {np.median(values):>6g}  {values.max():>6}"
        lines.append(f"{name:<20}  {numbers}")
    return "\n".join(lines)


def _check_new(out: Path | None, image: Path | None) -> None:
    """Refuse files that are there or cannot be made, before anything is computed."""
    if out is not None and out == image:
        raise ValueError(f"--out and --image are both {out}; possible are two files.")
    if out is not None:
        check_new_file(out)
    check_image(image)


def _draw(found: Partitioned, path: Path) -> None:
    from matplotlib.figure import Figure

    count, labels = len(found.partition.train), len(np.unique(found.y))
    figure = Figure(figsize=size(count, labels), layout="constrained")
    plots.labels_by_client(found.partition, found.y, ax=figure.add_subplot())
    save_image(figure, path)
