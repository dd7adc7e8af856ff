"""What wrong inputs get: one sentence, exit code 2, no trace, and nothing written.

    python benchmarks/wrong_inputs.py                       # all of them, two at once
    python benchmarks/wrong_inputs.py --only npz resume     # those whose names hold a word
    python benchmarks/wrong_inputs.py --report              # the table of what OUT holds

Every case of ``wrong_cases.py`` is a command of its own, given something wrong: flags, configs,
data, partitions, checkpoints, run folders, surroundings. It must end with the exit code that is
expected, 2 unless said, and as its last line say a sentence that begins with ``demjax:``, ends with
a full stop and holds the words that are expected; leave no trace; change no file of the folder that
it works in; and take less than ``SECONDS`` and ``MEMORY``. Beside them stand a few that look wrong
and are not, which must end with 0.
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from machine import RESULTS, empty_result, keep
from wrong_cases import CASES, SMALL, Case

SECONDS, MEMORY = 120, 1500
"""Seconds and MB that a case may take; Python with JAX alone takes about 400 MB."""
WHOLE = "--algorithm demlearn --levels 1 --rounds 2 --checkpoint-every 1 --out run"
"""What the run is given that is damaged."""
SHOWN = 240
"""Letters of a sentence that the table shows."""


def demjax(words: Sequence[str], here: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run a command in a folder; how it ended, what it said, what it took."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as shown:
        process = subprocess.Popen(
            [sys.executable, "-m", "demjax", *words],
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=shown,
            stderr=said,
        )
        late = threading.Timer(SECONDS, process.kill)
        late.start()
        _, status, used = os.wait4(process.pid, 0)
        late.cancel()
        process.returncode = code = os.waitstatus_to_exitcode(status)
        said.seek(0)
        lines = said.read().decode(errors="replace").replace("\r", "\n").splitlines()
    megabytes = used.ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10)
    seconds = round(time.monotonic() - start, 2)
    return {"code": code, "lines": lines, "seconds": seconds, "mb": megabytes}


def contents(here: Path) -> dict[str, str]:
    """All that is in a folder, links and empty folders too, by what it holds."""
    found = {}
    for path in sorted(here.rglob("*")):
        name = path.relative_to(here).as_posix()
        if path.is_symlink():
            found[name] = f"a link to {path.readlink()}"
        elif path.is_dir():
            found[name] = "a folder"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def wrong(case: Case, found: dict[str, Any]) -> list[str]:
    """What is not as it must be."""
    last = found["says"]
    said = [line for line in found["lines"] if line.startswith("demjax: ")]
    faults = []
    if found["code"] != case.code:
        faults.append(f"exit code {found['code']}")
    if found["trace"]:
        faults.append("a trace")
    if case.says or case.code:
        if not last.startswith("demjax: ") or not last.endswith(".") or len(said) != 1:
            faults.append("not one sentence")
        if not re.search(case.says, last):
            faults.append(f"does not say {case.says!r}")
    if found["written"] and not case.writes:
        faults.append(f"wrote {', '.join(found['written'][:3])}")
    if found["seconds"] > SECONDS or found["mb"] > MEMORY:
        faults.append("takes too much")
    return faults


def tried(case: Case, folder: Path, whole: Path) -> dict[str, Any]:
    """One case, in a folder of its own."""
    here = folder / re.sub(r"\W+", "-", case.name)
    here.mkdir()
    case.make(here, whole)
    before = contents(here)
    kept = {n: v for n, v in os.environ.items() if n not in ("JAX_PLATFORMS", "XLA_FLAGS")}
    kept |= {"DEMJAX_CACHE": "", "JAX_PLATFORMS": "cpu"}
    given = {n: v for n, v in (kept | dict(case.environment)).items() if v is not None}
    words = case.command.split() if isinstance(case.command, str) else case.command
    try:
        found = demjax(words, here, given)
        after = contents(here)
    finally:
        if (here / "read-only").exists() and not os.geteuid():
            subprocess.run(["umount", str(here / "read-only")], check=True)
    found["trace"] = any("Traceback" in line for line in found["lines"])
    found["says"] = found["lines"][-1] if found["lines"] else ""
    found["written"] = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    # Machines differ by where a folder lies, and nobody wants to read of it.
    found["says"] = re.sub(re.escape(f"{here.resolve()}/") + "?", "", found["says"])
    asked = {name: value or "" for name, value in case.environment.items()}
    command = " ".join(
        [*(f"{n}={v}" for n, v in asked.items()), "demjax", *map(shlex.quote, words)]
    )
    faults = wrong(case, found)
    lines = found.pop("lines")
    if faults:
        print(f"{case.name}: {'; '.join(faults)}", *lines[-6:], sep="\n    ", flush=True)
    return {"name": case.name, "command": command, "expected": case.code, **found, "wrong": faults}


def all_of(cases: Sequence[Case], at_once: int) -> list[dict[str, Any]]:
    """All cases, so many at once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = ["run", *SMALL.split(), *WHOLE.split()]
        whole = demjax(words, folder, {**os.environ, "DEMJAX_CACHE": "", "JAX_PLATFORMS": "cpu"})
        assert whole["code"] == 0, whole["lines"]
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda case: tried(case, folder, folder / "run"), cases))


def shortened(words: str) -> str:
    """What a cell of a table can show."""
    words = words if len(words) <= SHOWN else f"{words[: SHOWN - 60]} … {words[-60:]}"
    words = words.encode(errors="backslashreplace").decode()
    return words.replace("|", "\\|").replace("`", "'")


def table(result: dict[str, Any]) -> str:
    """What came of it, as Markdown."""
    cases = result["cases"]
    bad = [one for one in cases if one["wrong"]]
    machine, versions = result["machine"], result["versions"]
    lines = [
        f"{len(cases)} cases, {len(bad)} not as expected; "
        f"{sum(one['trace'] for one in cases)} with a trace. "
        f"{machine['cpu']}, {machine['cores']} cores; Python {versions['python']}, JAX "
        f"{versions['jax']}. MB is the most that a process had, and no less than what the one that "
        "starts it has, of which it begins as a copy. Two ran at once, and other work beside them.",
        "",
        "| what is wrong | command | code | says | s | MB | wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in cases:
        says = shortened(one["says"].removeprefix("demjax: ")) if one["code"] else ""
        lines.append(
            f"| {shortened(one['name'])} | `{shortened(one['command'])}` | {one['code']} | {says} "
            f"| {one['seconds']:.1f} | {one['mb']} | {shortened('; '.join(one['wrong']))} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Do what the flags say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="WORD", help="cases whose names hold one")
    parser.add_argument("--first", type=int, default=0, help="the first case [0]")
    parser.add_argument("--at-once", type=int, default=2, help="how many run at once [2]")
    parser.add_argument("--out", type=Path, default=RESULTS / "wrong_inputs.md")
    parser.add_argument("--report", action="store_true", help="only write the table anew")
    asked = parser.parse_args()
    kept = asked.out.with_suffix(".json")
    if not asked.report:
        words = asked.only or [""]
        cases = [case for case in CASES[asked.first :] if any(word in case.name for word in words)]
        found = all_of(cases, asked.at_once)  # first: what JAX takes here would count as theirs
        result = {**empty_result("wrong inputs", 1), "cases": found}
        del result["points"]
        keep(result, kept)
    result = json.loads(kept.read_text())
    asked.out.write_text(table(result))
    bad = [one["name"] for one in result["cases"] if one["wrong"]]
    print(f"{len(result['cases'])} cases, {len(bad)} not as expected: {', '.join(bad) or 'none'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
