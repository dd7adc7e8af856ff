"""Runs commands in processes of their own, several at once, each on its own core."""

import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from machine import LARGE_PAGES


def run_each(
    commands: Sequence[Sequence[str]],
    *,
    jobs: int,
    folder: Path | None = None,
    after: Callable[[int], object] | None = None,
) -> int:
    """Run every command, ``jobs`` at a time.

    With one job a command has all cores. More need Linux: each command then has a core, and XLA is
    told not to make threads for others.

    Args:
        commands: The commands, in the order in which they start.
        jobs: How many run at once; at most as many as there are cores.
        folder: Where they run; by default here.
        after: What is done as soon as a command succeeded, with its place among the commands.

    Returns:
        How many failed.
    """
    cores: Queue[int] = Queue()
    for core in sorted(os.sched_getaffinity(0))[:jobs] if jobs > 1 else range(jobs):
        cores.put(core)

    def start(place: int) -> int:
        core, surroundings = cores.get(), {**LARGE_PAGES, **os.environ}
        command = commands[place]
        try:
            if jobs > 1:
                flags = surroundings.get("XLA_FLAGS", "")
                surroundings["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false"
                command = ["taskset", "-c", str(core), *command]
            code = subprocess.run(command, env=surroundings, cwd=folder).returncode
            if after is not None and code == 0:
                after(place)
            return code
        finally:
            cores.put(core)

    with ThreadPoolExecutor(jobs) as pool:
        return sum(code != 0 for code in pool.map(start, range(len(commands))))
