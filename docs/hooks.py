"""Lets pages show what is written elsewhere: choices, options, measured results, notebooks.

A page says ``<!-- registry: algorithms -->`` for a table of what can be chosen by name,
``<!-- options: training -->`` for one of what every run takes, and ``<!-- modules: algorithms -->``
for the documentation of each module that registers something. So no page lists them by hand.
Where a line is nothing but a link ``[Table](…)`` to a measured result, that stands in its place;
each notebook is a page.
"""

import base64
import json
import re
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import demjax  # noqa: F401 (registers everything)
from demjax.experiment.tables import TABLES
from demjax.registry import REQUIRED, Choice, Option, Registry, kinds, options_of
from demjax.registry.choices import slot_of

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TABLE = re.compile(r"^\[Table\]\(\.\./benchmarks/results/(.*\.md)\)$", re.M)
FLAG = re.compile(r"(<[^>]*>)|(?<![\w-])(--[a-z][\w-]*)")
MARKER = re.compile(r"^<!-- (registry|options|modules): (\w+) -->$", re.M)

REGISTRIES = {
    name.lower(): found for name, found in vars(kinds).items() if isinstance(found, Registry)
}
"""Every kind of choice, by what a page calls it."""

FACTS = {"datasets": ("examples", "shape", "classes", "licence")}
"""What else is known of choices, that their table has a column of."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in tables and results; point to images and notebooks where the site has them."""
    markdown = MARKER.sub(lambda found: MAKERS[found[1]](found[2]), markdown)
    markdown = TABLE.sub(lambda found: result(found[1], markdown[: found.start()]), markdown)
    markdown = re.sub(r"\]\(\.\./(notebooks/\w+)\.ipynb\)", r"](\1.md)", markdown)
    return markdown.replace("](../benchmarks/results/", "](results/")


def on_page_content(html: str, **_: Any) -> str:
    """Keep flags, ``--like-this``, in one piece, which browsers break at their hyphens."""
    return FLAG.sub(lambda found: found[1] or f'<span class="flag">{found[2]}</span>', html)


def on_files(files: Any, config: Any) -> Any:
    """Add the committed figures to the site, under ``results/``, and the notebooks."""
    from mkdocs.structure.files import File

    for path in NOTEBOOKS:
        page, images = notebook(path)
        for name, content in {f"{path.stem}.md": page, **images}.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    for path in sorted([*RESULTS.rglob("*.svg"), *RESULTS.rglob("*.png")]):
        place = f"results/{path.relative_to(RESULTS).as_posix()}"
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def result(name: str, above: str) -> str:
    """A measured result without its title, its headings below the last one above it."""
    text = (RESULTS / name).read_text("utf-8")
    text = re.sub(r"\A# .*\n", "", text)
    level = len(re.findall(r"^(##+) ", above, re.M)[-1])
    return re.sub(r"^#(#+ )", "#" * level + r"\1", text, flags=re.M)


def notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as a page in Markdown, and what its cells drew, by file name."""
    parts: list[str] = []
    images: dict[str, bytes] = {}
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(re.sub(r"^\[!\[Open in Colab.*$", f"*{path.name}*", source, flags=re.M))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            if "text" in output:
                parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
            if drawn := output.get("data", {}).get("image/png"):
                name = f"{path.stem}_{len(images) + 1}.png"
                images[name] = base64.b64decode(drawn)
                parts.append(f"![Drawn by the cell above]({name})")
    return "\n\n".join(parts), images


def choices_table(name: str) -> str:
    """All choices of a kind as a table; algorithms by family, with their papers."""
    registry = REGISTRIES[name]
    flag = "--" + registry.kind.replace(" ", "")
    if name != "algorithms":
        facts = FACTS.get(name, ())
        head = (f"`{flag}`", "what it is", *facts, "options [default]")
        return table(head, [choice_row(registry, choice, facts) for choice in registry.choices()])
    parts = []
    for family, members in groupby(by_family(registry), key=lambda one: one.facts["family"]):
        members = list(members)
        about = sys.modules[members[0].facts["module"].rpartition(".")[0]].__doc__ or ""
        parts.append(f"**{family.capitalize()}.** {about.strip().splitlines()[0]}")
        rows = []
        for one in members:
            called, what, options = choice_row(registry, one, ())
            rows.append((called, one.label, what, one.facts["paper"], options))
        parts.append(
            table((f"`{flag}`", "label", "what it is", "paper", "options [default]"), rows)
        )
    return "\n\n".join(parts)


def options_table(name: str) -> str:
    """What every run takes of one table of its configuration: each option, its help, default."""
    rows = [
        (f"`{one.flag}`", escaped(one.help), default_of(one)) for one in options_of(TABLES[name])
    ]
    return table(("option", "what it is", "default"), rows)


def modules(name: str) -> str:
    """A line for each module that registers something of a kind, for mkdocstrings to fill in."""
    found = dict.fromkeys(one.facts["module"] for one in by_family(REGISTRIES[name]))
    return "\n\n".join(f"::: {module}" for module in found)


MAKERS = {"registry": choices_table, "options": options_table, "modules": modules}


def by_family(registry: Registry) -> list[Choice]:
    """Choices by family, in each as they were registered."""
    return sorted(registry.choices(), key=lambda one: one.facts.get("family", ""))


def choice_row(registry: Registry, choice: Choice, facts: tuple[str, ...]) -> tuple[str, ...]:
    """A choice's name, what it is, what else is known, and its own options with their defaults."""
    options = [
        f"`{one.flag}`" + (f" [{shown}]" if (shown := default_of(one)) else "")
        for one in options_of(choice.make, registry.given)
    ]
    known = (choice.facts.get(fact, "") for fact in facts)
    return f"`{choice.name}`", escaped(choice.summary), *known, ", ".join(options)


def default_of(option: Option) -> str:
    """An option's default as it would be typed; nothing where that is not a word."""
    slot, default = slot_of(option), option.default
    if default is REQUIRED:
        return "needed"
    if default in (None, ()) or (slot is None and callable(default)):
        return ""
    if isinstance(default, tuple | list):
        return ",".join(map(str, default))
    return str(default).lower() if isinstance(default, bool) else str(default)


def escaped(text: str) -> str:
    """Words for a cell of a table."""
    return text.replace("``", "`").replace("|", "\\|")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; a column that is empty in all rows is left out."""
    kept = [place for place in range(len(head)) if any(row[place] for row in rows)]
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line[place] for place in kept) + " |" for line in lines)
