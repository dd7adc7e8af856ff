"""Memory of the host that each of several processes takes, whose data are larger than its share.

    python benchmarks/host_memory.py                          # a few minutes, and 2 GB of a disk
    python benchmarks/host_memory.py --images 2000 --formats npz --processes 2

Made-up images of 128×128 bytes, in files of four formats, are divided among as many processes of a
device each, which train a linear model for a round, half of the clients' examples with each of two
labels. Told is the most that any process had resident, less what it has of a hundredth of the
images, which is Python, JAX and its programs; and whether what the run measured is the same, digit
for digit, as of as many processes that read all (``--before PYTHONPATH``, of a version that does),
or else in all formats.

Rows are written to OUT as they come, ``benchmarks/results/host_memory.json``, and ``.md`` beside
it; those that are there are not measured again.
"""

import argparse
import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np

SIDE, CLIENTS, POOL, AT_ONCE, TESTS = 128, 16, 997, 4096, 10
FORMATS = {
    "npz": "`.npz`, as `np.savez` writes it",
    "npz_packed": "`.npz`, packed (`savez_compressed`)",
    "idx": "IDX",
    "idx_packed": "IDX, gzipped",
}
RUN = "run --model linear --partition labels --algorithm fedavg --rounds 1 --batch-size 100"
RUN += f" --batches-per-epoch 1 --clients {CLIENTS} --normalization unit --store bytes"
RUN += " --devices 1 --divide-examples yes --no-compile-cache"


def images(count: int) -> Iterator[np.ndarray]:
    """Images of two bits a pixel, each another one, a few thousand at a time."""
    rng = np.random.default_rng(0)
    pool = rng.integers(4, size=(POOL, SIDE * SIDE), dtype=np.uint8) * 64
    for start in range(0, count, AT_ONCE):
        numbers = np.arange(start, min(start + AT_ONCE, count), dtype=np.uint32)
        some = pool[numbers % POOL]
        some[:, :4] = numbers[:, None].view(np.uint8)
        yield some


def labels(count: int) -> np.ndarray:
    """Labels of so many images."""
    return np.random.default_rng(1).integers(10, size=count).astype(np.uint8)


def made(folder: Path, format: str, count: int) -> Path:
    """Files of so many images in a format; the last tenth of them are tests."""
    folder.mkdir(parents=True)
    y, tests = labels(count), count // TESTS
    if format.startswith("npz"):
        how = zipfile.ZIP_DEFLATED if "packed" in format else zipfile.ZIP_STORED
        with zipfile.ZipFile(folder / "made.npz", "w", how, compresslevel=1) as archive:
            with archive.open("x.npy", "w", force_zip64=True) as file:
                shape = {"shape": (count, SIDE, SIDE), "descr": "|u1", "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, shape)
                for some in images(count):
                    file.write(some.tobytes())
            for name, array in (("y", y), ("train_count", np.array(count - tests))):
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, array)
        return folder
    ending, opened = "", partial(Path.open, mode="wb")
    if "packed" in format:
        ending, opened = ".gz", partial(gzip.open, mode="wb", compresslevel=1)
    parts = {"train": count - tests, "t10k": tests}
    every = (one for some in images(count) for one in some)
    begin = 0
    for part, size in parts.items():
        with opened(folder / f"{part}-images-idx3-ubyte{ending}") as file:
            file.write(bytes([0, 0, 8, 3]) + np.array([size, SIDE, SIDE], ">u4").tobytes())
            for _ in range(size):
                file.write(next(every).tobytes())
        with opened(folder / f"{part}-labels-idx1-ubyte{ending}") as file:
            file.write(bytes([0, 0, 8, 1]) + np.array([size], ">u4").tobytes())
            file.write(y[begin : begin + size].tobytes())
        begin += size
    return folder


def ran(data: Path, format: str, processes: int, path: str | None) -> tuple[int, str]:
    """The most bytes that any process of a run had resident, and what was measured."""
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    dataset = "npz" if format.startswith("npz") else "mnist"
    given = [*RUN.split(), "--dataset", dataset, "--data-dir", str(data.absolute())]
    env = {**os.environ, "JAX_PLATFORMS": "cpu"} | ({"PYTHONPATH": path} if path else {})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        begun = []
        for number in range(processes):
            more = ["--out", str(out)]
            if processes > 1:
                more += ["--coordinator", f"localhost:{port}", "--processes", str(processes)]
                more += ["--process-id", str(number)]
            words = [sys.executable, "-m", "demjax", *given, *more]
            quiet = subprocess.DEVNULL
            begun.append(subprocess.Popen(words, env=env, cwd=folder, stdout=quiet, stderr=quiet))
        most = 0
        for process in begun:
            _, code, used = os.wait4(process.pid, 0)
            if code:
                sys.exit(f"A run of {processes} processes on {format} failed.")
            most = max(most, used.ru_maxrss * 1024)
        rows = (out / "metrics.csv").read_text().splitlines()
    return most, json.dumps([row.split(",")[:4] for row in rows])


def report(result: dict) -> str:
    """The table in Markdown."""
    size, machine = result["bytes"], result["machine"]
    lines = [
        "# Memory of the host, of each of several processes",
        "",
        "| files | processes | its share, GB | resident beyond Python and JAX, GB | where each "
        "reads all, GB | the same results |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["points"]:
        before = f"{row['before'] / 1e9:.2f}" if "before" in row else "–"
        lines.append(
            f"| {FORMATS[row['format']]} | {row['processes']} | "
            f"{size / row['processes'] / 1e9:.2f} | {row['resident'] / 1e9:.2f} | {before} | "
            f"{'yes' if row['same'] else 'no'} |"
        )
    lines += [
        "",
        f"{result['images']:,} images, {size / 1e9:.2f} GB. {machine['cpu']}, {machine['cores']} "
        f"cores; Python {result['versions']['python']}, JAX {result['versions']['jax']}.",
    ]
    return "\n".join([*lines, ""])


def main() -> int:
    """Make the files, and measure each number of processes on them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--formats", nargs="+", choices=tuple(FORMATS), default=list(FORMATS))
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--before", help="PYTHONPATH of a version whose processes read all")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    from machine import RESULTS, empty_result, keep

    out = given.out or RESULTS / "host_memory.json"
    result = empty_result("a round of a linear model, made-up images", 1)
    result |= {"images": given.images, "bytes": given.images * SIDE**2}
    if out.exists():  # what was measured before stays
        result["points"] = json.loads(out.read_text())["points"]
    done = {(row["format"], row["processes"]) for row in result["points"]}
    known = {row["processes"]: row["told"] for row in reversed(result["points"])}
    least = cache(lambda *of: ran(*of)[0])
    with tempfile.TemporaryDirectory() as folder:
        few = made(Path(folder) / "few", "npz", max(given.images // 100, 40 * CLIENTS))
        for format in given.formats:
            left = [n for n in given.processes if (format, n) not in done]
            large = made(Path(folder) / format, format, given.images) if left else few
            for processes in left:
                most, told = ran(large, format, processes, None)
                none = least(few, "npz", processes, None)
                row = {"format": format, "processes": processes, "told": told}
                row |= {"resident": most - none, "all": most}
                if given.before:
                    most, before = ran(large, format, processes, given.before)
                    none = least(few, "npz", processes, given.before)
                    row |= {"before": most - none, "all_before": most}
                    known[processes] = before
                row["same"] = told == known.setdefault(processes, told)
                result["points"].append(row)
                print(json.dumps(row), flush=True)
                keep(result, out)
                out.with_suffix(".md").write_text(report(result))
            shutil.rmtree(Path(folder) / format, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
