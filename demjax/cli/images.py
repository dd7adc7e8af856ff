"""Images that commands write beside what they say."""

from pathlib import Path
from typing import Any

from demjax.cli.plot import check_matplotlib
from demjax.plots.style import in_silence
from demjax.runs.new_files import check_new_file, whole_file

IMAGES = (".pdf", ".png", ".svg")


def check_image(path: Path | None) -> None:
    """Refuse an image that is there or cannot be made, before anything is computed.

    Args:
        path: The new file; ``None`` where none is wanted.

    Raises:
        ValueError: If it is there, its name ends otherwise, or Matplotlib is missing.
    """
    if path is None:
        return
    check_new_file(path)
    if path.suffix not in IMAGES:
        raise ValueError(
            f"The image {path} cannot be made; its name can end in {', '.join(IMAGES)}."
        )
    check_matplotlib()


def save_image(figure: Any, path: Path) -> None:
    """Write a figure to a new file, whole or not at all."""
    with in_silence(), whole_file(path) as partial:
        figure.savefig(partial, dpi=150)
