"""``demjax partition``: who gets which examples of a data set, described and drawn."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from demjax import plots
from demjax.cli.parsing import add_options, add_sources, read_given
from demjax.data import save_partition
from demjax.experiment.experiment import resolve, with_defaults
from demjax.experiment.load_data import Partitioned, load, partitioned
from demjax.experiment.tables import all_options
from demjax.plots.labels_by_client import label_counts, size
from demjax.plots.style import in_silence
from demjax.runs.new_files import check_new_file, whole_file

if TYPE_CHECKING:
    from demjax.cli.main import Commands

TABLES = ("run", "data")
"""The tables that decide who has what."""

TRAINING = ("rounds", "eval_every")
"""Options of these tables that do not."""

IMAGES = (".pdf", ".png", ".svg")


def add(commands: "Commands") -> None:
    """Add the command to the command line's."""
    parser = commands.add_parser(
        "partition",
        help="partition a data set over clients, and show who has what",
        allow_abbrev=False,
        add_help=False,
        usage="demjax partition [--out FILE] [--image FILE] [OPTION VALUE …]",
    )
    parser.set_defaults(command=_partition, takes_options=True, parser=parser)
    parser.add_argument("--help", "-h", action="store_true", help="show the options and exit")
    parser.add_argument("--out", type=Path, metavar="FILE", help="new .npz file for it")
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="new .png, .svg or .pdf file of it"
    )
    add_sources(parser)


def _partition(parsed: argparse.Namespace, words: Sequence[str]) -> str:
    given = read_given(parsed, words, tables=TABLES, without=TRAINING).options
    options = all_options(with_defaults(given), TABLES)
    if parsed.help:
        shown = {name: option for name, option in options.items() if name not in TRAINING}
        add_options(parsed.parser, shown)
        return parsed.parser.format_help().rstrip()
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
    resolved = resolve(given, tables=TABLES)
    _check_new(out, image)
    found = partitioned(resolved, load(resolved))
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
    for path in (out, image):
        if path is not None:
            check_new_file(path)
    if image is None:
        return
    if image.suffix not in IMAGES:
        raise ValueError(
            f"The image {image} cannot be made; its name can end in {', '.join(IMAGES)}."
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError(
            "An image needs matplotlib, which is not installed; possible is pip install "
            "'demjax[plots]', or no --image."
        ) from None


def _draw(found: Partitioned, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count, labels = len(found.partition.train), len(np.unique(found.y))
    figure = Figure(figsize=size(count, labels), layout="constrained")
    FigureCanvasAgg(figure)
    plots.labels_by_client(found.partition, found.y, ax=figure.add_subplot())
    with in_silence(), whole_file(path) as partial:
        figure.savefig(partial, dpi=150)
