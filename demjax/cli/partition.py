"""Deals a data set and shows who has what: ``demjax partition``."""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from demjax import plots
from demjax.data import save_partition
from demjax.experiment.defaults import DEALING, SPECIAL
from demjax.experiment.experiment import Experiment
from demjax.experiment.load_data import Dealt, deal, load
from demjax.experiment.validation import resolve, unused_options
from demjax.plots.labels_by_client import label_counts, size

PICTURES = (".pdf", ".png", ".svg")


def options() -> list[dataclasses.Field]:
    """The options of an experiment that decide who has what."""
    fields = dataclasses.fields(Experiment)
    data = [field for field in fields if field.metadata["group"] == "Data"]
    seed = [field for field in fields if field.name == "seed"]
    return [field for field in data if field.name not in ("pixels", "store")] + seed


def show(asked: Experiment, *, out: Path | None = None, picture: Path | None = None) -> str:
    """Deal an experiment's data, write the partition and its picture, and describe it.

    Args:
        asked: The experiment, not yet resolved; what it trains plays no part.
        out: New file for the partition; by default none.
        picture: New file for the picture, ``.png``, ``.svg`` or ``.pdf``; by default none.

    Returns:
        The description.

    Raises:
        ValueError: If the data cannot be dealt as asked, or a file cannot be written.
    """
    nothing: dict[str, Any] = dict.fromkeys((*SPECIAL, "cohort"))
    asked = dataclasses.replace(
        asked, **nothing, algorithm="local_only", model="linear", dropout=None
    )
    resolved = resolve(asked)
    _check_new(out, picture)
    dealt = deal(resolved, load(resolved))
    for user, name in unused_options(asked):
        if name in DEALING:
            print(f"demjax: {user} has no use for --{name.replace('_', '-')}.", file=sys.stderr)
    try:
        if out is not None:
            save_partition(dealt.partition, out, y=dealt.y)
        if picture is not None:
            _draw(dealt, picture)
    except OSError as error:
        raise ValueError(
            f"{error.filename or out or picture} cannot be written: {error.strerror}."
        ) from None
    return describe(dealt)


def describe(dealt: Dealt) -> str:
    """Who has what in a few lines: clients, examples, and how these are spread."""
    train, test, names = label_counts(dealt.partition, dealt.y)
    count, both = len(train), train + test
    lines = [
        f"{dealt.dataset.name}: {count} clients have {both.sum()} of {len(dealt.y)} examples, "
        f"{test.sum()} of them for tests, and {(both.sum(axis=0) > 0).sum()} of {len(names)} labels"
    ]
    if dealt.kinds is not None:
        lines.append(f"planted kinds of clients: {len(np.unique(dealt.kinds))}")
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


def _check_new(out: Path | None, picture: Path | None) -> None:
    """Refuse files that are there or cannot be made, before anything is computed."""
    if out is not None and out == picture:
        raise ValueError(f"--out and --picture are both {out}; possible are two files.")
    for path in (out, picture):
        if path is None:
            continue
        if path.exists():
            raise ValueError(f"{path} exists and would be overwritten; possible is a new file.")
        folder = path.absolute().parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise ValueError(f"{path} cannot be written: {folder} is no folder to write into.")
    if picture is None:
        return
    if picture.suffix not in PICTURES:
        raise ValueError(
            f"The picture {picture} cannot be made; its name can end in {', '.join(PICTURES)}."
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError(
            "A picture needs matplotlib, which is not installed; possible is pip install "
            "'demjax[plots]', or no --picture."
        ) from None


def _draw(dealt: Dealt, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count, labels = len(dealt.partition.train), len(np.unique(dealt.y))
    figure = Figure(figsize=size(count, labels), layout="constrained")
    FigureCanvasAgg(figure)
    plots.labels_by_client(dealt.partition, dealt.y, ax=figure.add_subplot())
    figure.savefig(path, dpi=150)
