"""What fuzz.py tries: every reader, and a small whole input for it, which the tests share."""

import gzip
import io
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))


class Reader(NamedTuple):
    """A reader and a whole input for it.

    Attributes:
        what: What it reads, in words.
        write: Writes a small whole input into an empty folder.
        read: Reads it.
        mend: What else must be right again once files are damaged, such as their digests.
        names: Whether what it says always names a file, and not an option of a config.
    """

    what: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    mend: Callable[[Path], object] = lambda folder: None
    names: bool = True


def _load(name: str, **options: Any) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        from demjax import data

        for by_rows in (False, True):
            found = data.load(name, data_dir=folder, cache_dir="", by_rows=by_rows, **options)
            data.iid(found.y, clients=2, seed=0)
            np.asarray(found.x)

    return read


def _write_idx(folder: Path) -> None:
    import idx_files

    idx_files.write_all(folder)
    for path in sorted(folder.glob("t10k*")):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


def _write_npz(folder: Path) -> None:
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (12, 4, 4, 1), dtype=np.uint8)
    y, owner = np.arange(12) % 3, np.arange(12) // 4
    np.savez_compressed(folder / "mine.npz", x=x, y=y, owner=owner, train_count=9, classes=3)


def _write_leaf(folder: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        (folder / part).mkdir()
        users = {
            name: {"x": [[0.5, n, 1e-3] for n in range(count)], "y": [n % 2 for n in range(count)]}
            for name in ("anna", "b", "ç")
        }
        content = {"users": [*users], "num_samples": [count] * 3, "user_data": users}
        (folder / part / "all.json").write_text(json.dumps(content))


def _write_tfds(folder: Path) -> None:
    import prepared_files

    prepared_files.write_prepared(folder, "mnist", version="3.0.1", classes=10, counts=(3, 2))


def _write_cifar10(folder: Path) -> None:
    draw = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        rows = draw.integers(0, 10, (2, 3073), dtype=np.uint8)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())


def _write_jpeg(folder: Path) -> None:
    from PIL import Image

    for name in ("train", "test"):
        files = []
        for number in range(3):
            file = io.BytesIO()
            Image.new("RGB", (32, 32), (number, 9, 200)).save(file, "JPEG")
            files.append(file.getvalue())
        np.savez(
            folder / f"{name}.npz",
            jpeg=np.frombuffer(b"".join(files), np.uint8),
            offset=np.cumsum([0, *map(len, files)]),
            label=np.arange(3),
        )


Y = np.arange(12) % 3
"""The labels that the partition is of."""


def _write_partition(folder: Path) -> None:
    from demjax import data

    data.save_partition(data.iid(Y, clients=3, seed=0), folder / "partition.npz", y=Y)


def _read_partition(folder: Path) -> None:
    from demjax import data

    data.load_partition(folder / "partition.npz", y=Y)
    found = data.load_partition(folder / "partition.npz")
    for part in (*found.train, *found.test):
        assert len(part) <= len(Y) * 1000


def _write_config(folder: Path) -> None:
    from demjax.experiment import resolve
    from demjax.experiment.config import to_toml

    made = resolve({"attack": "gaussian", "attackers": 0.1, "extra": ("loss",), "mean": "median"})
    (folder / "config.toml").write_text(to_toml(made))


def _read_config(folder: Path) -> None:
    from demjax.experiment import resolve
    from demjax.experiment.config import read_options, read_toml

    read_options(folder / "config.toml")
    resolve(read_toml(folder / "config.toml"))


def _write_flat(folder: Path) -> None:
    words = 'algorithm = "demlearn"\nlevels = 3\nmix = 0.6\nkinds = 2\nconflict = "rotated"\n'
    words += 'dataset = "digits"\nmeasures = ["client", "global"]\nclients = 50\nsoft = 0.5\n'
    (folder / "config.toml").write_text(words)


def _write_run(folder: Path) -> None:
    import drawn_folders

    drawn_folders.made_run(folder / "run", clients=6, cut=(3, 2))


def _all(*readings: Callable[[], object]) -> None:
    """Read in all of these ways, also where one of them ends in a sentence, which is then told."""
    told = []
    for reading in readings:
        try:
            reading()
        except ValueError as error:
            told.append(error)
    if told:
        raise told[0]


def _read_run(folder: Path) -> None:
    from demjax.plots.record import read as record
    from demjax.report.folder import read
    from demjax.report.page import page
    from demjax.runs.comparison import compare
    from demjax.runs.reuse import by_options
    from demjax.runs.scores import scores_of

    out = folder / "run"
    by_options(folder)
    _all(
        lambda: compare([out]),
        lambda: page([read(out), read(out)]),
        lambda: record(out),
        lambda: scores_of(out, "c_spe"),
    )


def _read_figures(folder: Path) -> None:
    from matplotlib.figure import Figure

    from demjax.plots.figures import FIGURES
    from demjax.plots.record import read

    record = read(folder / "run")
    for draw in FIGURES.values():
        try:
            draw([record], Figure())
        except ValueError as error:
            assert str(error).endswith(".")  # noqa: PT017


def _write_tables(folder: Path) -> None:
    (folder / "tree.csv").write_text("client,edge,region\n0,west,a\n1,west,a\n2,east,b\n3,,b\n")
    (folder / "trace.csv").write_text("client,first,last\n0,1,5\n2,3,9\n2,12,20\n")


def _read_tables(folder: Path) -> None:
    from demjax.clients.dropouts import read_trace
    from demjax.hierarchy.given import given_tree

    _all(
        lambda: read_trace(str(folder / "trace.csv"), 4),
        lambda: given_tree("A tree", None, "order", str(folder / "tree.csv"), usual=(2,)),
    )


TREE = {
    "w": np.arange(12, dtype=np.float32).reshape(3, 4),
    "n": np.int32(7),
    "no": np.zeros((0, 2)),
}
"""The state that checkpoints are of."""


def _write_checkpoints(folder: Path) -> None:
    from demjax.runs.resume import write_asked
    from demjax.simulation.checkpoint import write

    about = {"identity": {}, "measured": 1, "every": 5}
    write(folder / "checkpoints", 5, {"state": TREE}, about, writes=True)
    write_asked(folder, every=5, keep=2)


def _read_checkpoints(folder: Path) -> None:
    from demjax.runs.resume import asked_before, checkpoint_of

    asked_before(folder)
    point, _ = checkpoint_of(folder, 9)
    if point is not None:
        found = point.read(state=TREE)["state"]
        assert found["w"].shape == (3, 4)
        assert found["w"].dtype == np.float32


def _write_digests(folder: Path) -> None:
    """As an attacker would: the digests are those of the damaged files."""
    from demjax.backend.file_digests import digests_of

    path = folder / "checkpoints" / "round-5.json"
    try:
        said = json.loads(path.read_text())
        said["files"] = digests_of(folder / "checkpoints" / "round-5")
        path.write_text(json.dumps(said))
    except (ValueError, TypeError, RecursionError):
        pass


def _write_cache(folder: Path) -> None:
    from demjax.data.dataset import Dataset
    from demjax.data.sources.cache import _keep

    x, y = np.zeros((6, 3), np.float32), np.arange(6, dtype=np.int32) % 2
    _keep(Dataset(x, y, 2, 4, "leaf", owner=y, labels=("a", "b")), folder / "entry")


def _read_cache(folder: Path) -> None:
    from demjax.data.sources.cache import _entry

    for by_rows in (False, True):
        found = _entry(folder / "entry", "leaf", by_rows=by_rows)
        np.asarray(found and found.x)


READERS: Mapping[str, Reader] = {
    "idx": Reader("MNIST's IDX files, two of them gzipped", _write_idx, _load("mnist")),
    "npz": Reader("one's own data as .npz", _write_npz, _load("npz")),
    "leaf": Reader("LEAF's JSON", _write_leaf, _load("leaf")),
    "tfds": Reader("a folder that TFDS prepared", _write_tfds, _load("mnist")),
    "cifar10": Reader("CIFAR-10's binary files", _write_cifar10, _load("cifar10")),
    "jpeg": Reader("CIFAR-10 as JPEG in .npz", _write_jpeg, _load("cifar10_jpeg")),
    "partition": Reader("a partition", _write_partition, _read_partition),
    "config": Reader("a TOML config", _write_config, _read_config, names=False),
    "flat": Reader("a TOML config of demjax 0.1", _write_flat, _read_config, names=False),
    "run": Reader("a run folder, for compare and report", _write_run, _read_run),
    "figures": Reader("a run folder, for plot", _write_run, _read_figures),
    "tables": Reader(
        "tables of groups and of who is there", _write_tables, _read_tables, names=False
    ),
    "checkpoint": Reader("a checkpoint", _write_checkpoints, _read_checkpoints),
    "digests": Reader(
        "a checkpoint, digests of what is damaged",
        _write_checkpoints,
        _read_checkpoints,
        _write_digests,
    ),
    "cache": Reader("an entry of the cache", _write_cache, _read_cache),
}


def whole_input(reader: Reader) -> dict[str, bytes]:
    """The files of the whole input, by their places, once it was seen that they can be read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reader.write(folder)
        reader.read(folder)
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
        return {name: path.read_bytes() for name, path in files.items() if path.is_file()}
