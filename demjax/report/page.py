"""Makes a report: one HTML page that needs nothing else, not even a network."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template

from demjax import __version__
from demjax.report import tables
from demjax.report.encode import encode
from demjax.report.folder import Run
from demjax.report.lines import lines_of

SCRIPTS = ("draw.js", "curves.js", "layout.js", "tree.js", "members.js", "page.js")
"""The page's JavaScript, in the order in which it is read."""


def page(
    runs: Sequence[Run],
    *,
    figures: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
) -> str:
    """The report of runs: summary, curves, an interactive tree, figures and options.

    Args:
        runs: The runs, at least one; names that occur twice get a number.
        figures: Further figures by title, each as a ``data:`` address of an image.
        names: What to call each run in place of its folder; of equal names are one line.
        colors: The colour of each run.

    Returns:
        The page. It holds 4 digits of each number.

    Raises:
        ValueError: If there is no run, or names or colours are not one for each.
    """
    if not runs:
        raise ValueError("A report needs at least one run, but none was given.")
    lines = lines_of(runs, names, colors)
    if names is not None:
        runs = [run._replace(name=name) for run, name in zip(runs, names, strict=True)]
    runs = _named_apart(runs)
    title = ", ".join(run.name for run in runs)
    return Template(_part("page.html")).substitute(
        title=escape(title if len(runs) < 4 else f"{len(runs)} runs"),
        version=escape(__version__),
        style=_part("page.css"),
        notes=tables.notes(runs),
        summary=tables.summary(runs),
        figures=_figures(figures or {}),
        options=tables.options(runs),
        data=encode(runs, lines),
        script="\n".join(_part(name) for name in SCRIPTS),
    )


def _part(name: str) -> str:
    return resources.files("demjax.report").joinpath(name).read_text(encoding="utf-8")


def _named_apart(runs: Sequence[Run]) -> list[Run]:
    names = [run.name for run in runs]
    return [
        run._replace(name=f"{run.name} ({names[: place + 1].count(run.name)})")
        if names.count(run.name) > 1
        else run
        for place, run in enumerate(runs)
    ]


def _figures(figures: Mapping[str, str]) -> str:
    """Figures as images, so that neither their names nor their scripts meet the page's."""
    if not figures:
        return ""
    shown = "".join(
        f'<figure><img alt="{escape(title)}" src="{escape(image)}">'
        f"<figcaption>{escape(title)}</figcaption></figure>"
        for title, image in figures.items()
    )
    return (
        '<section aria-labelledby="figures"><h2 id="figures">Figures</h2>'
        f'<div class="figures">{shown}</div></section>'
    )
