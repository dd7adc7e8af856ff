"""Lets pages show what ``benchmarks/results`` holds, without a second copy in the repository."""

import re
from pathlib import Path

from mkdocs.structure.files import File, Files

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"


def on_page_markdown(markdown: str, **_) -> str:
    """Point pictures to where the site has them, and leave out links to what it shows in place."""
    markdown = re.sub(r"\[Table\]\(\.\./benchmarks/results/[^)]*\.md\)\n", "", markdown)
    return markdown.replace("](../benchmarks/results/", "](results/")


def on_files(files: Files, config) -> Files:
    """Add the committed figures to the site, under ``results/``."""
    for path in sorted([*RESULTS.rglob("*.svg"), *RESULTS.rglob("*.png")]):
        place = f"results/{path.relative_to(RESULTS).as_posix()}"
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files
