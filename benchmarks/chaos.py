"""What is left of runs that are killed at random moments, and of a disk that fills up.

    python benchmarks/chaos.py                                  # 50 kills, 20 of compare, 10 disks
    python benchmarks/chaos.py --kills 5 --compare-kills 2 --disks 2 --folder runs/chaos
    python benchmarks/chaos.py --kills 0 --disks 0              # one kind, added to those in OUT
    python benchmarks/chaos.py --report                         # the table of what OUT holds

A small run of DemLearn on the built-in digits is started in a process group of its own, gets
SIGKILL at a moment that is drawn evenly from the time that the whole process takes, and is resumed,
until so many kills are done; then it is let go to its end. What it leaves is held against a run
that was never killed: every file but times, and every array of the last checkpoint, bit for bit.
A run that ends before its kill is held against it, too, and another one is begun. The same is done
to ``demjax compare``. For the disk, a run writes into a tmpfs that is too small, a different size
each time; it must end by itself with exit code 1 and no trace, and once there is room go on to the
same bits. Where no tmpfs can be mounted, a limit to the size of a file stands for it.

Rows that a kill costs are computed again by the resumed run; in the end none may be missing, or
there twice.
"""

import argparse
import csv
import filecmp
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import RESULTS, empty_result, keep

RUN = ["--model", "linear", "--clients", "8", "--epochs", "1", "--levels", "2", "--devices", "1"]
SAVED = ["--checkpoint-every", "5"]
COMPARED = ["--algorithms", "fedavg,demlearn", "--seeds", "0,1", *RUN[:-4], "--devices", "1"]
TIMES = ("seconds", "round_seconds", "round_seconds_std")


def demjax(*words: object, cache: Path, log: Path, **options: object) -> subprocess.Popen:
    """A command of demjax in a process group of its own."""
    command = [sys.executable, "-m", "demjax", *map(str, words)]
    with log.open("a") as said:
        return subprocess.Popen(
            command,
            env={**os.environ, "DEMJAX_CACHE": str(cache)},
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )


def rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a table, without times."""
    if not path.is_file():
        return []
    text = path.read_text()
    found = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    return [{k: v for k, v in row.items() if k not in TIMES} for row in found]


def apart(out: Path, whole: Path, *, saved: bool = True) -> list[str]:
    """What differs between a run's folder and that of one that was never killed.

    Args:
        out: The folder.
        whole: The other one.
        saved: Whether the last state could be saved.
    """
    found = []
    if rows(out / "metrics.csv") != rows(whole / "metrics.csv"):
        numbers = [row["round"] for row in rows(out / "metrics.csv")]
        twice = len(numbers) - len(set(numbers))
        found.append(f"metrics.csv ({len(numbers)} rows, {twice} of them twice)")
    for name in ("clients.csv", "dendrograms.csv", "labels.csv", "config.toml"):
        if (whole / name).exists() and not filecmp.cmp(out / name, whole / name, shallow=False):
            found.append(name)
    if not saved:
        return found
    last = max((whole / "checkpoints").glob("round-*.json"), key=lambda path: path.stat().st_mtime)
    if not (out / "checkpoints" / last.name).exists():
        return [*found, "no last checkpoint"]
    mine, theirs = (json.loads((o / "checkpoints" / last.name).read_text()) for o in (out, whole))
    arrays = {
        name: digest
        for name, digest in theirs["files"].items()
        if name.startswith(("state", "info"))
    }
    found += [name for name, digest in arrays.items() if mine["files"].get(name) != digest]
    return found if arrays else ["no arrays"]


def how_far(runs: list[Path]) -> tuple[int, int]:
    """How many rows runs have, and how many they have as of their last checkpoints."""
    there = kept = 0
    for run in runs:
        mine = len(rows(run / "metrics.csv"))
        saved = [int(path.stem[6:]) for path in run.glob("checkpoints/round-*.json")]
        there, kept = there + mine, kept + min(mine, max(saved) + 1 if saved else 0)
    return there, kept


def killed(process: subprocess.Popen, delay: float) -> bool:
    """Kill a process group after so many seconds; whether it was still at work."""
    try:
        process.wait(delay)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def kill_again_and_again(
    begin: Callable[[bool], subprocess.Popen],
    *,
    kills: int,
    seconds: float,
    draw: random.Random,
    differs: Callable[[], list[str]],
    clear: Callable[[], object],
    far: Callable[[], tuple[int, int]],
) -> dict:
    """Kill what is begun, begin it again, and so on; what is left of it in the end.

    Args:
        begin: Begins it, where it is to go on if that is true.
        kills: How often it is killed.
        seconds: The longest that it is left alone.
        draw: Where moments come from.
        differs: What differs from what was never killed, once it has ended.
        clear: Takes away what has ended.
        far: How many rows there are, and how many of them the last checkpoint has behind it.
    """
    clear()
    found: dict = {
        "kills": 0,
        "ended": 0,
        "failed": 0,
        "differences": [],
        "moments": [],
        "cost": [],
    }
    goes_on = False
    while found["kills"] < kills or goes_on:
        delay = draw.uniform(0, seconds) if found["kills"] < kills else 600.0
        process = begin(goes_on)
        if killed(process, delay):
            found["kills"] += 1
            found["moments"].append([round(delay, 2), far()[0]])
            found["cost"].append(far()[0] - far()[1])
            goes_on = True
            continue
        if process.returncode:
            found["failed"] += 1
        else:
            found["ended"] += 1
            found["differences"] += differs()
        goes_on = False
        clear()
    return found


def run_kills(folder: Path, kills: int, rounds: int, draw: random.Random) -> dict:
    """Kill and resume one run."""
    whole, out, log = folder / "whole", folder / "run", folder / "run.log"
    saved = [*SAVED, "--rounds", rounds]
    seconds = []
    for _ in range(2):  # the second finds its programs, as all others do
        shutil.rmtree(whole, ignore_errors=True)
        start = time.perf_counter()
        done = demjax("run", *RUN, *saved, "--out", whole, cache=folder / "cache", log=log)
        assert done.wait() == 0, log.read_text()
        seconds.append(time.perf_counter() - start)

    def begin(goes_on: bool) -> subprocess.Popen:
        begun = goes_on and (out / "config.toml").exists()
        words = ["--resume", out] if begun else [*RUN, *saved, "--out", out]
        return demjax("run", *words, cache=folder / "cache", log=log)

    return {
        "seconds": seconds[1],
        **kill_again_and_again(
            begin,
            kills=kills,
            seconds=seconds[1],
            draw=draw,
            differs=lambda: apart(out, whole),
            clear=lambda: shutil.rmtree(out, ignore_errors=True),
            far=lambda: how_far([out]),
        ),
    }


def compare_kills(folder: Path, kills: int, rounds: int, draw: random.Random) -> dict:
    """Kill a comparison, and give the same command again."""
    whole, out, log = folder / "whole-compare", folder / "compare", folder / "compare.log"
    words = ["compare", *COMPARED, *SAVED, "--rounds", rounds, "--out"]
    seconds = []
    for _ in range(2):
        shutil.rmtree(whole, ignore_errors=True)
        start = time.perf_counter()
        done = demjax(*words, whole, cache=folder / "cache", log=log)
        assert done.wait() == 0, log.read_text()
        seconds.append(time.perf_counter() - start)
    runs = [path.parent.relative_to(whole) for path in whole.rglob("config.toml")]

    def differs() -> list[str]:
        found = [f"{run}: {one}" for run in runs for one in apart(out / run, whole / run)]
        if rows(out / "comparison.csv") != rows(whole / "comparison.csv"):
            found.append("comparison.csv")
        return found

    return {
        "seconds": seconds[1],
        "runs": len(runs),
        **kill_again_and_again(
            lambda goes_on: demjax(*words, out, cache=folder / "cache", log=log),
            kills=kills,
            seconds=seconds[1],
            draw=draw,
            differs=differs,
            clear=lambda: shutil.rmtree(out, ignore_errors=True),
            far=lambda: how_far([out / run for run in runs]),
        ),
    }


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """A folder that is a disk of so many bytes, if one can be mounted, as a tmpfs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    there = shutil.which("mount") and not subprocess.run(words, capture_output=True).returncode
    try:
        yield bool(there)
    finally:
        if there:
            subprocess.run(["umount", str(folder)], check=True)


def full_disk(folder: Path, size: int, words: list, largest: int, room: int) -> dict:
    """Let a run fill a disk of so many bytes, then give it room and let it go on.

    Args:
        folder: Where all runs are.
        size: Bytes of the disk.
        words: Of the command, but for where it writes.
        largest: Bytes of the largest file, where a limit to them stands for a disk.
        room: Bytes that are enough.
    """
    disk, log = folder / "disk", folder / "disk.log"
    log.write_text("")

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))

    with small_disk(disk, size) as tmpfs:
        out = disk / "run"
        options = {} if tmpfs else {"preexec_fn": limited}
        command = [*words, "--out", out]
        code = demjax(*command, cache=folder / "cache", log=log, **options).wait()
        said, kept = log.read_text(), len(rows(out / "metrics.csv"))
        saved = sorted(int(path.stem[6:]) for path in out.glob("checkpoints/round-*.json"))
        if tmpfs:
            subprocess.run(["mount", "-o", f"remount,size={room}", str(disk)], check=True)
        if (out / "config.toml").exists():
            command = ["run", "--resume", out]
        summary = out / "summary.json"
        done = summary.exists() and json.loads(summary.read_text())["status"] == "done"
        again = demjax(*command, cache=folder / "cache", log=log).wait()
        return {
            "way": "a tmpfs" if tmpfs else "a limit to the size of a file",
            "bytes": size if tmpfs else largest,
            "code": code,
            "said": said.count("cannot be written"),
            "trace": "Traceback" in log.read_text(),
            "rows": kept,
            "saved": saved,
            "differences": [f"exit code {again}"]
            if again
            else apart(out, folder / "whole", saved=not done),
        }


def full_disks(folder: Path, disks: int, rounds: int) -> dict:
    """Let runs fill a disk at so many moments, then give them room and let them go on."""
    files = [path for path in (folder / "whole").rglob("*") if path.is_file()]
    used = sum(-(-path.stat().st_size // 4096) * 4096 for path in files)
    largest = max(path.stat().st_size for path in files)
    words = ["run", *RUN, *SAVED, "--rounds", rounds]
    shares = [(place + 1) / (disks + 1) for place in range(disks)]
    return {
        "filled": [
            full_disk(folder, int(used * share), words, int(largest * share), 8 * used)
            for share in shares
        ]
    }


def table(result: dict) -> str:
    """What came of it, as Markdown."""
    lines = ["| what | how often | ended | other bits, rows lost or twice | rows run again, most |"]
    lines += ["|---|---|---|---|---|"]
    for name, words in (("run", "SIGKILL of a run"), ("compare", "SIGKILL of a comparison")):
        one = result.get(name)
        if one:
            wrong = len(one["differences"]) + one["failed"]
            lines.append(
                f"| {words}, then resumed | {one['kills']} | {one['ended']} | {wrong} "
                f"| {max(one['cost'])} |"
            )
    filled = result.get("disk", {}).get("filled", ())
    if filled:
        wrong = sum(len(one["differences"]) + one["trace"] for one in filled)
        lines.append(
            f"| {filled[0]['way']} that is full, then resumed | {len(filled)} | {len(filled)} "
            f"| {wrong} | |"
        )
        lines += ["", "| bytes of the disk | exit code | rows then | checkpoints then | said |"]
        lines += ["|---|---|---|---|---|"]
        for one in filled:
            saved = ", ".join(map(str, one["saved"])) or "none"
            lines.append(
                f"| {one['bytes']:,} | {one['code']} | {one['rows']} | {saved} | {one['said']} |"
            )
    rounds, machine = result["rounds"], result["machine"]
    lines += [
        "",
        f"DemLearn, 8 clients on the built-in digits, {rounds} rounds, a checkpoint every 5; "
        f"{machine['cpu']}, {machine['cores']} cores.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Do what the flags say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="kills of one run [50]")
    parser.add_argument("--compare-kills", type=int, default=20, help="of a comparison [20]")
    parser.add_argument("--disks", type=int, default=10, help="disks that fill up [10]")
    parser.add_argument("--rounds", type=int, default=200, help="rounds of a run [200]")
    parser.add_argument("--seed", type=int, default=0, help="of the moments [0]")
    parser.add_argument("--folder", type=Path, default=Path("runs/chaos"), help="where runs are")
    parser.add_argument("--out", type=Path, default=RESULTS / "chaos.json")
    parser.add_argument("--report", action="store_true", help="only write the table anew")
    asked = parser.parse_args()
    if not asked.report:
        folder, draw = asked.folder.absolute(), random.Random(asked.seed)
        folder.mkdir(parents=True, exist_ok=True)
        before = json.loads(asked.out.read_text()) if asked.out.exists() else {}
        same = before.get("rounds") == asked.rounds
        result = {**(before if same else {}), **empty_result("chaos", 1), "rounds": asked.rounds}
        if asked.kills:
            result["run"] = run_kills(folder, asked.kills, asked.rounds, draw)
            keep(result, asked.out)
        if asked.disks:
            result["disk"] = full_disks(folder, asked.disks, asked.rounds)
            keep(result, asked.out)
        if asked.compare_kills:
            rounds = max(1, asked.rounds // 4)
            result["compare"] = compare_kills(folder, asked.compare_kills, rounds, draw)
        keep(result, asked.out)
    result = json.loads(asked.out.read_text())
    text = table(result)
    asked.out.with_suffix(".md").write_text(text)
    print(text)
    parts = [result[name] for name in ("run", "compare") if name in result]
    parts += result.get("disk", {}).get("filled", [])
    return 1 if any(one["differences"] or one.get("failed") for one in parts) else 0


if __name__ == "__main__":
    sys.exit(main())
