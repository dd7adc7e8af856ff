"""The environments of ``peers.py``, and its sides as processes whose memory is watched."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from machine import LARGE_PAGES

HERE = Path(__file__).parent


class LeftOutError(Exception):
    """Why a side cannot take part, in one sentence."""


def surroundings() -> dict[str, str]:
    """What every side finds around it: these scripts, and memory in large pages where it can be."""
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    return {**LARGE_PAGES, **os.environ, "PYTHONPATH": paths}


def environment(peer: str, folder: Path, python: str) -> Path:
    """Make the environment of a peer from its pinned requirements, unless it is there already.

    Args:
        peer: Whose it is.
        folder: Where environments are kept.
        python: The Python to make it with.

    Returns:
        The environment's Python.

    Raises:
        LeftOutError: If that Python is missing, or the installation fails.
    """
    base = shutil.which(python)
    if base is None:
        raise LeftOutError(
            f"{peer} is left out: there is no {python}, and --python {peer}=PATH names no other."
        )
    requirements = HERE / "peers" / f"requirements-{peer}.txt"
    home = folder.resolve() / peer
    mine, mark, wanted = home / "bin" / "python", home / "made-from", requirements.read_text()
    wanted += f"# {subprocess.run([base, '-V'], capture_output=True, text=True).stdout}"
    if mark.exists() and mark.read_text() == wanted:
        return mine
    print(f"Making the environment of {peer}, which may take minutes.", flush=True)
    for command in (
        [base, "-m", "venv", "--clear", str(home)],
        [str(mine), "-m", "pip", "install", "--quiet", "-r", str(requirements)],
    ):
        quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=quiet)
        if done.returncode:
            raise LeftOutError(f"{peer} cannot be installed: {last_error(done.stderr)}")
    mark.write_text(wanted)
    return mine


def last_error(text: str) -> str:
    """The last line that names an error, or else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|ERROR|Exception)\b.*:", line)]
    return (named or lines or ["it ended without a word."])[-1]


def tree_bytes(root: int) -> int:
    """Memory of a process and of all that it started, pages they share counted once.

    That is the sum of their proportional set sizes, where the system tells them, else 0.
    """
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue  # it has ended meanwhile
        children[parent].append(int(stat.parent.name))
    total, todo = 0, [root]
    while todo:
        process = todo.pop()
        todo += children[process]
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration, ValueError):
            continue
    return total


def run_side(command: list[str], limit: float, every: float = 1.0) -> dict:
    """Run a side, and watch the memory of all its processes.

    Args:
        command: What to run; ``--started`` is added.
        limit: Seconds after which it is ended.
        every: Seconds between two looks at the memory.

    Returns:
        What it told, with ``peak_memory_bytes``; or ``error``, one line.
    """
    settings = surroundings()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        started = time.time()
        process = subprocess.Popen(
            [*command, "--started", repr(started)],
            stdout=out,
            stderr=errors,
            env=settings,
            start_new_session=True,
        )
        peak = 0
        try:
            while process.poll() is None:
                if time.time() - started > limit:
                    return {"error": f"It had not ended after {limit:g} seconds."}
                peak = max(peak, tree_bytes(process.pid))
                try:
                    process.wait(every)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            end(process)
        out.seek(0)
        errors.seek(0)
        told = [line for line in out if line.startswith('{"startup_seconds"')]
        if process.returncode or not told:
            return {"error": last_error(errors.read())}
    result = json.loads(told[-1])
    result["peak_memory_bytes"] = max(peak, result["own_peak_bytes"])
    result["wall_seconds"] = time.time() - started
    return result


def end(process: subprocess.Popen) -> None:
    """End a side that is still running, with all of its processes."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
