"""Every reader is given files that are damaged at random, and must say so in a sentence.

    python benchmarks/fuzz.py --reader idx --minutes 10          # one reader
    python benchmarks/fuzz.py --minutes 2                        # all, one after another
    python benchmarks/fuzz.py --report                           # the table of what OUT holds

Each example begins with a small whole input, of which one file or two are damaged by what
``tests/support/damage.py`` draws: bits, numbers in headers, parts that are cut, doubled or put in,
deep nesting, other values in JSON and TOML, other types and shapes of arrays. The reader then must
return, or raise ``ValueError`` with one whole sentence that names a file, which the command line
shows with exit code 2. It has 5 seconds of the processor, and less
memory than ``MEMORY`` beside what the process has already. Whatever else comes of it is a bug:
Hypothesis makes the example as small as it can, its files are kept in FOLDER, and the search goes
on for others.
"""

import argparse
import gzip
import io
import json
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_readers import READERS, Reader, whole_input
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from machine import RESULTS, empty_result, keep

import damage  # isort: skip (fuzz_readers says where)

SECONDS, WAITING = 5, 20
MEMORY = 2**29
"""Bytes that a reader of files of some kilobytes may take beside what it has."""
OFTEN = 200
"""Examples of one search."""


def _json_of_toml(content: bytes) -> bytes:
    import tomllib

    return json.dumps(tomllib.loads(content.decode())).encode()


def _toml_of_json(content: bytes) -> bytes:
    import tomli_w

    try:
        return tomli_w.dumps(_without_none(json.loads(content))).encode("utf-8", "surrogatepass")
    except (TypeError, AttributeError, ValueError, RecursionError):
        return content


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_none(one) for one in value if one is not None]
    return value


@st.composite
def damaged_file(draw: Callable, name: str, content: bytes) -> bytes:
    """A file that is damaged by its bytes, or, where its form is known, by what it says."""
    ways = ["bytes"]
    if name.endswith((".json", ".zarray", "_METADATA")):
        ways += ["json", "json"]
    if name.endswith(".toml"):
        ways += ["toml", "toml"]
    if name.endswith(".npz"):
        ways += ["members", "arrays", "arrays"]
    if name.endswith(".gz"):
        ways += ["gzip"]
    way = draw(st.sampled_from(ways))
    if way == "json":
        return draw(damage.json_like(content))
    if way == "toml":
        return _toml_of_json(draw(damage.json_like(_json_of_toml(content))))
    if way == "members":
        return draw(damage.members_like(content))
    if way == "arrays":
        with np.load(io.BytesIO(content)) as arrays:
            return draw(damage.arrays_like(dict(arrays)))
    if way == "gzip":
        return gzip.compress(draw(damage.damaged(gzip.decompress(content))), mtime=0)
    return draw(damage.damaged(content))


@st.composite
def damaged_input(draw: Callable, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files that are damaged, one or two."""
    names = draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2, unique=True))
    return {name: draw(damaged_file(name, files[name])) for name in names}


class BrokenError(Exception):
    """A reader did something else than it must."""


@contextmanager
def limited(seconds: float = SECONDS, memory: int = MEMORY) -> Iterator[None]:
    """No more than so many seconds at work, ``WAITING`` times as many in all, and on Linux memory.

    Args:
        seconds: Of the processor, so that a machine that is busy otherwise changes nothing.
        memory: Bytes beside those that the process has.
    """

    def late(*_: object) -> None:
        raise BrokenError(f"It takes more than {seconds} seconds.")

    handler = signal.signal(signal.SIGALRM, late)
    before, statm = resource.getrlimit(resource.RLIMIT_AS), Path("/proc/self/statm")
    if statm.exists():
        present = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (present + memory, before[1]))
    start = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, WAITING * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)
    if time.process_time() - start > seconds:
        late()


def _check_sentence(said: str, folder: str, kind: str) -> None:
    first = said.partition("\n")[0]
    if first != said or not first.endswith(".") or folder not in first:
        raise BrokenError(f"{kind} is no sentence that names a file: {said[:300]!r}")


def check(reader: Reader, files: Mapping[str, bytes], damaged: Mapping[str, bytes]) -> None:
    """Let a reader read a damaged input.

    Raises:
        BrokenError: It took too long, or what it raised is no sentence.
        Exception: What it must not raise.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place, content in {**files, **damaged}.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(content)
        reader.mend(folder)
        try:
            with limited():
                reader.read(folder)
        except ValueError as error:
            if type(error) is not ValueError and not type(error).__module__.startswith("demjax"):
                raise
            _check_sentence(str(error), name if reader.names else "", type(error).__name__)


def try_often(
    name: str,
    files: Mapping[str, bytes],
    *,
    examples: int,
    known: set[str] | None = None,
    number: int | None = None,
) -> int:
    """Try a reader with so many examples; how many there were.

    Args:
        name: One of ``READERS``.
        files: Its whole input.
        examples: How many.
        known: Bugs that are passed over, as ``signature`` says them.
        number: What decides the examples; ``None`` for the same each time.

    Raises:
        Exception: A bug, with the smallest example of it.
    """
    reader, tried = READERS[name], 0

    def trial(damaged: dict[str, bytes]) -> None:
        nonlocal tried
        tried += 1
        try:
            check(reader, files, damaged)
        except Exception as error:
            if signature(error) in (known or ()):
                return
            error.damaged = damaged  # type: ignore[attr-defined]
            raise

    options = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=number is None,
        phases=[Phase.generate, *([Phase.shrink] if known is not None else [])],
        suppress_health_check=list(HealthCheck),
    )
    searching = options(given(damaged_input(files))(trial))
    (searching if number is None else seed(number)(searching))()
    return tried


def signature(error: BaseException) -> str:
    """The kind of an error and where in demjax it came from, or what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        one for one in frames if "/demjax/" in one.filename and "site-packages" not in one.filename
    ]
    place = f"{own[-1].filename.rpartition('/demjax/')[2]}:{own[-1].lineno}" if own else ""
    said = str(error).split(": ", 1)[-1][:60] if isinstance(error, BrokenError) and not own else ""
    return f"{type(error).__name__} {place} {said}".strip()


def search(name: str, minutes: float, folder: Path) -> dict[str, Any]:
    """Try a reader for so many minutes; what was found."""
    start, tried, known, number = time.monotonic(), 0, set(), 0
    bugs: list[dict[str, str]] = []
    files, seed_of_now = whole_input(READERS[name]), int(time.time())
    while time.monotonic() - start < 60 * minutes:
        number += 1
        try:
            tried += try_often(
                name, files, examples=OFTEN, known=known, number=seed_of_now + number
            )
        except BaseExceptionGroup as group:
            several = group.exceptions
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            several = (error,)
        else:
            several = ()
        for error in several:
            tried += 1
            said = signature(error)
            known.add(said)
            place = folder / name / f"{len(bugs):02d}"
            for path, content in getattr(error, "damaged", {}).items():
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                (place / path).write_bytes(content)
            says = re.sub(rf"{tempfile.gettempdir()}/\w+/", "", str(error))[:300]
            files_of = place.relative_to(folder).as_posix()
            bugs.append({"bug": said, "says": says, "files": files_of})
            print(f"{name}: {said}: {str(error)[:300]!r} ({place})", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    seconds = round(time.monotonic() - start, 1)
    return {"examples": tried, "seconds": seconds, "peak_mb": peak, "bugs": bugs}


def table(result: dict) -> str:
    """What was tried, as Markdown."""
    lines = ["| reader | of | examples | minutes | bugs left |", "|---|---|---|---|---|"]
    for name, found in result["readers"].items():
        lines.append(
            f"| {name} | {READERS[name].what} | {found['examples']:,} | "
            f"{found['seconds'] / 60:.1f} | {len(found['bugs'])} |"
        )
    machine, versions = result["machine"], result["versions"]
    lines += [
        "",
        f"{machine['cpu']}, {machine['cores']} cores; Python {versions['python']}, Hypothesis "
        f"{versions['hypothesis']}, NumPy {versions['numpy']}, JAX {versions['jax']}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Do what the flags say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reader", nargs="+", choices=[*READERS], help="which [all]")
    parser.add_argument("--minutes", type=float, default=10, help="of each reader [10]")
    parser.add_argument("--folder", type=Path, default=Path("runs/fuzz"), help="where bugs are put")
    parser.add_argument("--out", type=Path, default=RESULTS / "fuzz.json")
    parser.add_argument("--report", action="store_true", help="only write the table anew")
    asked = parser.parse_args()
    if not asked.report:
        import hypothesis

        warnings.simplefilter("ignore")

        result = empty_result("fuzz", 1)
        result["versions"] |= {"hypothesis": hypothesis.__version__, "numpy": np.__version__}
        result["readers"] = {}
        if asked.out.exists():
            result["readers"] = json.loads(asked.out.read_text())["readers"]
        del result["points"]
        shutil.rmtree(asked.folder, ignore_errors=True)
        for name in asked.reader or READERS:
            result["readers"][name] = search(name, asked.minutes, asked.folder)
            keep(result, asked.out)
    result = json.loads(asked.out.read_text())
    result["readers"] = {n: result["readers"][n] for n in READERS if n in result["readers"]}
    text = table(result)
    asked.out.with_suffix(".md").write_text(text)
    print(text)
    return 1 if any(found["bugs"] for found in result["readers"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
