"""Rows on their way into a run's tables, which wait where they cannot be written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demjax.runs import folder as run_folder


@dataclass
class WaitingRows:
    """Rows in the order in which they are to be written.

    Attributes:
        waiting: A file and its rows each.
        failed: Why the last that were tried are not written; ``None`` where all are.
    """

    waiting: list[tuple[Path, list[Mapping[str, Any]]]] = field(default_factory=list)
    failed: OSError | None = None

    def add(self, path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take further rows of a file."""
        self.waiting.append((path, list(rows)))

    def write(self) -> bool:
        """Write what waits, in order, as far as it can be; whether that is all."""
        self.failed = None
        while self.waiting:
            path, rows = self.waiting[0]
            try:
                run_folder.append(path, rows)
            except OSError as error:
                self.failed = OSError(error.errno, error.strerror or str(error), str(path))
                return False
            del self.waiting[0]
        return True

    def sentence(self) -> str:
        """Why they are not all written."""
        if self.failed is None:
            return ""
        return f"{self.failed.filename} cannot be written: {self.failed.strerror}."
