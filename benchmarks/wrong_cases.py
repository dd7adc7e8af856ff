"""Inputs that are wrong, each in its own way, and what ``demjax`` must say: see wrong_inputs.py."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SMALL = "--model linear --algorithm fedavg --clients 4 --rounds 1 --epochs 1 --devices 1"
RUN = f"run {SMALL} --out out"
DEMLEARN = "run --model linear --clients 4 --rounds 1 --epochs 1 --devices 1 --out out"
"""What small runs are given; what is given again wins."""


class Case(NamedTuple):
    """Something wrong, and what must come of it.

    Attributes:
        name: What is wrong.
        command: Words of ``demjax``, in the case's own folder.
        says: A pattern that the sentence holds.
        make: Makes the input in the case's folder; gets the folder of a whole run, too.
        code: The exit code.
        writes: Whether it may write.
        environment: Variables that are set; ``None`` takes one away.
    """

    name: str
    command: str | Sequence[str]
    says: str
    make: Callable[[Path, Path], object] = lambda here, whole: None
    code: int = 2
    writes: bool = False
    environment: Mapping[str, str | None] = {}


def text(name: str, content: str | bytes) -> Callable[[Path, Path], object]:
    """Makes a file."""

    def make(here: Path, whole: Path) -> None:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def both(*makes: Callable[[Path, Path], object]) -> Callable[[Path, Path], object]:
    """Makes several things."""

    def make(here: Path, whole: Path) -> None:
        for one in makes:
            one(here, whole)

    return make


X, LABELS = np.random.default_rng(0).random((40, 8, 8, 1), np.float32), np.arange(40) % 4


def npz(**arrays: Any) -> Callable[[Path, Path], object]:
    """Makes the data ``mine.npz``, arrays in place of right ones; ``None`` leaves one out."""

    def make(here: Path, whole: Path) -> None:
        given = {"x": X, "y": LABELS} | arrays
        np.savez(here / "mine.npz", **{n: a for n, a in given.items() if a is not None})

    return make


NPZ = f"{RUN} --dataset npz --data-dir mine.npz --partition iid"


def member(name: str, content: bytes, declared: int = 0, packed: int = 0) -> Callable:
    """Makes ``mine.npz`` with a further member, whose size is declared otherwise."""

    def make(here: Path, whole: Path) -> None:
        npz()(here, whole)
        path = here / "mine.npz"
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        if declared:
            raw = bytearray(path.read_bytes())
            for place, sizes in ((raw.rfind(b"PK\1\2"), 20), (raw.rfind(b"PK\3\4"), 18)):
                raw[place + sizes + 4 : place + sizes + 8] = declared.to_bytes(4, "little")
            path.write_bytes(raw)

    return make


def header(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    """The header of an array, without any of it."""
    file = io.BytesIO()
    given = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, given)
    return file.getvalue()


def bomb(here: Path, whole: Path) -> None:
    """Zeros without end, packed."""
    zeros = header((400, 1000, 1000)) + bytes(400_000_000)
    with zipfile.ZipFile(here / "mine.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", zeros)
        archive.writestr("y.npy", header((400,)) + bytes(400))


def idx(shape: Sequence[int], content: bytes) -> bytes:
    """An IDX file."""
    sizes = b"".join(size.to_bytes(4, "big") for size in shape)
    return bytes([0, 0, 8, len(shape)]) + sizes + content


def mnist(**others: bytes) -> Callable[[Path, Path], object]:
    """Makes MNIST's four files in ``data``, some of them otherwise."""

    def make(here: Path, whole: Path) -> None:
        (here / "data").mkdir()
        for part, count in (("train", 12), ("t10k", 6)):
            images = idx((count, 28, 28), bytes(count * 784))
            labels = idx((count,), bytes(range(10)) + bytes(count - 10) if count > 9 else b"\1" * 6)
            for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
                content = others.get(f"{part}_{kind[:6]}", content)
                end = ".gz" if content[:2] == b"\x1f\x8b" else ""
                (here / "data" / f"{part}-{kind}-ubyte{end}").write_bytes(content)

    return make


MNIST = f"{RUN} --dataset mnist --data-dir data --partition iid --clients 2"


def gzip_bomb() -> bytes:
    """An IDX file of 400 MB of zeros, in 400 kB."""
    return gzip.compress(idx((510_204, 28, 28), bytes(510_204 * 784)), 6, mtime=0)


def leaf(train: Any, test: Any = None) -> Callable[[Path, Path], object]:
    """Makes LEAF's folder of users, or of the text of a file."""

    def content(users: Any) -> str:
        if isinstance(users, str):
            return users
        counts = [len(one["y"]) for one in users.values()]
        return json.dumps({"users": [*users], "num_samples": counts, "user_data": users})

    parts = [text("data/train/all.json", content(train))]
    parts += [] if test is None else [text("data/test/all.json", content(test))]
    return both(*parts)


def user(count: int, value: Any = 0.5) -> dict[str, list]:
    """A user of LEAF."""
    return {"x": [[value, 1.0, 2.0]] * count, "y": [n % 2 for n in range(count)]}


LEAF = f"{RUN} --dataset leaf --data-dir data --clients 2"


def tfds(
    here: Path,
    whole: Path,
    *,
    form: str = "array_record",
    kind: str = "",
    record: bytes = b"x" * 99,
) -> None:
    """Makes a folder as TFDS prepares MNIST, with something wrong."""
    folder = here / "data" / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    splits = [
        {"filepathTemplate": template, "name": name, "numBytes": "99", "shardLengths": ["1"]}
        for name in ("train", "test")
    ]
    info = {"fileFormat": form, "name": "mnist", "splits": splits, "version": "3.0.1"}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    core = "tensorflow_datasets.core.features"
    features = {
        "image": {"pythonClassName": kind or f"{core}.image_feature.Image", "image": {}},
        "label": {"pythonClassName": f"{core}.class_label_feature.ClassLabel"},
    }
    said = {"featuresDict": {"features": features}}
    said["pythonClassName"] = f"{core}.features_dict.FeaturesDict"
    (folder / "features.json").write_text(json.dumps(said))
    for name in ("train", "test"):
        (folder / f"mnist-{name}.array_record-00000-of-00001").write_bytes(record)
    (here / "evil_module.py").write_text("open('it ran', 'w').close()\n")


def partition(**others: Any) -> Callable[[Path, Path], object]:
    """Makes the partition of the whole run, with something wrong."""

    def make(here: Path, whole: Path) -> None:
        with np.load(whole / "partition.npz") as arrays:
            np.savez(here / "p.npz", **dict(arrays) | others)

    return make


PARTITION = f"{RUN} --partition file --partition-file p.npz"


def copied(*changes: Callable[[Path], object]) -> Callable[[Path, Path], object]:
    """Makes a copy of the whole run as ``run``, and does something to it."""

    def make(here: Path, whole: Path) -> None:
        shutil.copytree(whole, here / "run")
        for change in changes:
            change(here / "run")

    return make


def put(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Replaces a file of the run."""
    return lambda run: text(name, content)(run, run)


def without(*names: str) -> Callable[[Path], object]:
    """Takes files of the run away."""
    return lambda run: [(run / name).unlink() for name in names]


def added(name: str, content: str) -> Callable[[Path], object]:
    """Adds to a file of the run."""
    return lambda run: (run / name).write_text((run / name).read_text() + content)


def summary(**others: Any) -> Callable[[Path], object]:
    """Changes values of the run's summary."""

    def change(run: Path) -> None:
        said = json.loads((run / "summary.json").read_text())
        (run / "summary.json").write_text(json.dumps(said | others))

    return change


def linked(name: str, target: str) -> Callable[[Path], object]:
    """Puts a link in the place of a file of the run, to something beside the run."""

    def change(run: Path) -> None:
        place, elsewhere = run / name, run.parent / target
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        elsewhere.parent.mkdir(exist_ok=True)
        place.symlink_to(elsewhere)

    return change


def checkpoints(change: Callable[[Path], object], *, sums: bool = True) -> Callable[[Path], object]:
    """Changes each folder of a checkpoint's arrays; its digests are made right again."""

    def done(run: Path) -> None:
        for said_in in (run / "checkpoints").glob("round-*.json"):
            arrays = said_in.with_suffix("")
            change(arrays)
            said = json.loads(said_in.read_text())
            if sums:
                files = {
                    p.relative_to(arrays).as_posix(): p for p in arrays.rglob("*") if p.is_file()
                }
                said["files"] = {
                    name: [path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
                    for name, path in sorted(files.items())
                }
            said_in.write_text(json.dumps(said))

    return done


def declares(**others: Any) -> Callable[[Path], object]:
    """Lets arrays of a checkpoint declare something else."""

    def change(arrays: Path) -> None:
        for path in arrays.glob("state-*/.zarray"):
            path.write_text(json.dumps(json.loads(path.read_text()) | others))

    return change


def read_only(here: Path, whole: Path) -> None:
    """A folder that nobody may write into; of the system's administrator a file system."""
    (here / "read-only").mkdir()
    if os.geteuid():
        (here / "read-only").chmod(0o555)
    else:
        words = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(here / "read-only")]
        subprocess.run(words, check=True, capture_output=True)


def config(content: str) -> Callable[[Path, Path], object]:
    """Makes a config."""
    return text("c.toml", content)


CONFIG = "run --config c.toml --out out --devices 1"
DEEP = "[" * 100_000

CASES = (
    # flags
    Case("no command", "", "arguments are required: COMMAND"),
    Case("an unknown command", "rn", "invalid choice: 'rn'"),
    Case("an unknown flag", f"{RUN} --lerning-rate 0.1", "unknown"),
    Case("a flag spelled nearly right", f"{RUN} --epoch 1", "perhaps '--epochs'"),
    Case("a word too many", f"{RUN} more", "'more'"),
    Case("a flag without a value", f"{RUN} --lr", "--lr"),
    Case("no --out", f"run {SMALL}", "--out is needed"),
    Case("no rounds", f"{RUN} --rounds 0", "1 to"),
    Case("rounds in words", f"{RUN} --rounds ten", "'ten'"),
    Case("rounds that are no whole number", f"{RUN} --rounds 1.5", "1.5"),
    Case("a negative rate", f"{RUN} --lr -0.1", "-0.1"),
    Case("a rate that is no number", f"{RUN} --lr nan", "nan"),
    Case("a seed of 20 digits", f"{RUN} --seed {'9' * 20}", "--seed"),
    Case("a number of 5,000 digits", f"{RUN} --rounds {'9' * 5000}", "--rounds"),
    Case("an unknown algorithm", f"{RUN} --algorithm fedavgg", "fedavg"),
    Case("another algorithm's option", f"{RUN} --prox 0.1", "takes no --prox"),
    Case("an unknown data set", f"{RUN} --dataset minst", "mnist"),
    Case("an unknown preset", f"{RUN} --preset papers", "unknown"),
    Case("more clients than examples", f"{RUN} --clients 100000", "100000"),
    Case("a cohort larger than all", f"{RUN} --cohort 9", "9"),
    Case("more levels than clients allow", f"{DEMLEARN} --levels 50", "50"),
    Case("more attackers than all", f"{RUN} --attack gaussian --attackers 2", "2"),
    Case("an attack without attackers", f"{RUN} --attack gaussian", "nobody lies"),
    Case("an interval of nothing", f"{RUN} --measures-every client=0", "client=10"),
    Case("alpha of 0", f"{RUN} --partition dirichlet --dirichlet-alpha 0", "alpha"),
    Case("more devices than cores", f"{RUN} --devices 4096", "possible is 1 to"),
    Case("a checkpoint every 0 rounds", f"{RUN} --checkpoint-every 0", "1 or more"),
    Case("a process without a coordinator", f"{RUN} --processes 2", "--coordinator"),
    Case("a coordinator without a port", f"{RUN} --coordinator here", "free port"),
    Case("a word that is no text", ["compare", "caf\udce9"], "no text"),
    # where results go
    Case("--out is a file", RUN, "out is a file", text("out", "mine")),
    Case("--out below a file", f"{RUN} --out file/run", "is a file", text("file", "mine")),
    Case("--out holds other files", RUN, "already holds", text("out/mine", "")),
    Case(
        "--out is a link to nothing",
        f"{RUN} --out link",
        "does not exist",
        lambda h, w: (h / "link").symlink_to("nowhere"),
    ),
    Case("--out has 300 letters", f"{RUN} --out {'a' * 300}", "too long"),
    Case("--out has no name", f"{RUN} --out .", "no name"),
    Case("--out cannot be written", f"{RUN} --out read-only/run", "read-only", read_only),
    # configs
    Case("no such config", CONFIG, "No such file"),
    Case("a config that is a folder", CONFIG, "directory", text("c.toml/x", "")),
    Case("a config that is no TOML", CONFIG, "not valid TOML", config("rounds 3")),
    Case("a config in another encoding", CONFIG, "not UTF-8", text("c.toml", b"# \xe9")),
    Case("a config nested 100,000 deep", CONFIG, "nested too deep", config(f"rounds = {DEEP}")),
    Case("a config with 5,000 digits", CONFIG, "too long", config(f"[run]\nrounds = {'9' * 5000}")),
    Case("an unknown option", CONFIG, "'rouns'", config("[run]\nrouns = 3")),
    Case("an unknown table", CONFIG, "'runs'", config("[runs]\nround = 3")),
    Case("an option in another table", CONFIG, "belongs to 'run'", config("[data]\nrounds = 3")),
    Case("an option of another type", CONFIG, "rounds", config('[run]\nrounds = "3"')),
    Case("an option that is a table", CONFIG, "single value", config("[run]\nrounds = {a = 1}")),
    Case(
        "an algorithm that is a list",
        CONFIG,
        "algorithm",
        config('[algorithm]\nalgorithm = ["fedavg"]'),
    ),
    Case("a flat data set that is a list", CONFIG, "dataset", config('dataset = ["digits"]')),
    Case("a rate of infinity", CONFIG, "inf", config("[training]\nlr = inf")),
    Case(
        "a name of 100,000 letters",
        CONFIG,
        "unknown",
        config(f'[model]\nmodel = "{"x" * 100_000}"'),
    ),
    Case(
        "a Python file that is not there",
        CONFIG,
        "does not exist",
        config('[model]\nmodel = "no.py:Net"'),
    ),
    Case(
        "a Python file that is none",
        f"{RUN} --model net.py:Net",
        "cannot be imported",
        text("net.py", "class ("),
    ),
    Case(
        "a Python file without the name",
        f"{RUN} --model net.py:Net",
        "has no model 'Net'",
        text("net.py", "a = 1"),
    ),
    # MNIST and its like
    Case("no data folder given", f"{RUN} --dataset mnist", "--data-dir"),
    Case("no such data folder", MNIST, "does not exist"),
    Case("a file in place of the data folder", MNIST, "no folder", text("data", "")),
    Case("an empty data folder", MNIST, "does not hold", lambda h, w: (h / "data").mkdir()),
    Case(
        "images cut off", MNIST, "holds 99 bytes", mnist(train_images=idx((12, 28, 28), bytes(99)))
    ),
    Case(
        "a header of 10 GB, 1 kB of file",
        MNIST,
        "takes 1000000",
        mnist(train_images=idx((10**4, 1000, 1000), bytes(999))),
    ),
    Case(
        "a header cut off",
        MNIST,
        "within its header",
        mnist(train_images=idx((12, 28, 28), b"")[:9]),
    ),
    Case("400 MB of zeros in a gzip file", MNIST, "takes 399", mnist(train_images=gzip_bomb())),
    Case(
        "a gzip file cut off",
        MNIST,
        "damaged gzip",
        mnist(t10k_images=gzip.compress(idx((6, 28, 28), bytes(4704)))[:30]),
    ),
    Case("an empty file of labels", MNIST, "begins with", mnist(train_labels=b"")),
    Case(
        "labels in place of images", MNIST, "begins with", mnist(train_images=idx((12,), bytes(12)))
    ),
    Case("a label of 77", MNIST, "77", mnist(train_labels=idx((12,), bytes([77] * 12)))),
    Case(
        "labels of fewer images",
        MNIST,
        "one label for each",
        mnist(train_labels=idx((11,), bytes(11))),
    ),
    Case(
        "CIFAR-10 as pickles",
        f"{RUN} --dataset cifar10 --data-dir data",
        "pickles",
        text("data/cifar-10-batches-py/data_batch_1", b"\x80\2."),
    ),
    Case(
        "MNIST as .npz without an array",
        f"{RUN} --dataset cifar10_jpeg --data-dir .",
        "lacks the array",
        both(
            npz(),
            lambda h, w: [shutil.copy(h / "mine.npz", h / f"{n}.npz") for n in ("train", "test")],
        ),
    ),
    # .npz
    Case("an .npz file that is not there", NPZ, "does not exist"),
    Case("an .npz file that is text", NPZ, "no .npz file", text("mine.npz", "x,y\n1,2\n")),
    Case("an empty .npz file", NPZ, "no .npz file", text("mine.npz", b"")),
    Case("an .npz file without labels", NPZ, "lacks the array y", npz(y=None)),
    Case("pickled labels in an .npz file", NPZ, "pickled", npz(y=np.array([{}] * 40))),
    Case(
        "an .npz array of 2 GB in 1 kB",
        NPZ,
        "takes",
        member("owner.npy", header((2, 2**30)), 2**31 - 1),
    ),
    Case(
        "an .npz array whose header lies", NPZ, "takes", member("owner.npy", header((2**31, 2**31)))
    ),
    Case("400 MB of zeros in an .npz file", NPZ, "unpacks from", bomb),
    Case(
        "an .npz header of brackets",
        NPZ,
        "no array",
        member("owner.npy", b"\x93NUMPY\1\0\x10\0" + b"(((((((((((((((\n"),
    ),
    Case("an .npz member named ../x", NPZ, r"\.\./x", member("../x.npy", header((1,)) + b"1")),
    Case("two .npz members of one name", NPZ, "two arrays", member("y.npy", header((1,)) + b"1")),
    Case("inputs that are not a number", NPZ, "nan", npz(x=np.where(X > 0.9, np.nan, X))),
    Case("inputs beyond 32 bits", NPZ, "single precision", npz(x=X.astype(float) * 1e60)),
    Case("complex inputs", NPZ, "complex", npz(x=X.astype(np.complex64))),
    Case("labels of a half", NPZ, "0.5", npz(y=LABELS + 0.5)),
    Case("labels of -1", NPZ, "-1", npz(y=LABELS - 1)),
    Case("labels beyond the classes", NPZ, "label 3", npz(classes=3)),
    Case("a label of a million million", NPZ, "1000000000000", npz(y=LABELS * 10**12)),
    Case("fewer labels than inputs", NPZ, "not one for each", npz(y=LABELS[:-1])),
    Case("no inputs at all", NPZ, "at least one", npz(x=X[:0], y=LABELS[:0])),
    Case(
        "rows of numbers for a model of images",
        f"{NPZ} --model cnn",
        "takes images",
        npz(x=X[:, 0, :, 0]),
    ),
    Case("no training examples", NPZ, "train_count", npz(train_count=0)),
    Case(
        "owners of another number", f"{NPZ} --partition natural", "owner", npz(owner=np.arange(3))
    ),
    Case(
        "two .npz files in a folder",
        f"{RUN} --dataset npz --data-dir . --partition iid",
        "exactly one",
        both(npz(), lambda h, w: shutil.copy(h / "mine.npz", h / "two.npz")),
    ),
    Case(
        "an .npz file through a link out",
        f"{RUN} --dataset npz --data-dir data --partition iid",
        "leads out",
        both(
            npz(),
            lambda h, w: [(h / "data").mkdir(), (h / "data/a.npz").symlink_to(h / "mine.npz")],
        ),
    ),
    # LEAF
    Case("LEAF without files", LEAF, "no JSON", lambda h, w: (h / "data").mkdir()),
    Case("LEAF cut off", LEAF, "no whole JSON", leaf('{"users": ["a"')),
    Case("LEAF nested 100,000 deep", LEAF, "no whole JSON", leaf(DEEP)),
    Case(
        "LEAF of another encoding", LEAF, "no whole JSON", text("data/train/a.json", b'{"\xe9": 1}')
    ),
    Case("LEAF of a list", LEAF, "not an object", leaf("[1]")),
    Case("LEAF of text", LEAF, "text", leaf({"a": user(3, "to be"), "b": user(3)})),
    Case("LEAF of a huge number", LEAF, "64 bits", leaf({"a": user(3, 10**30), "b": user(3)})),
    Case("LEAF of null", LEAF, "null", leaf({"a": user(3, None), "b": user(3)})),
    Case(
        "LEAF with fewer samples than said",
        LEAF,
        "num_samples",
        leaf('{"users": ["a"], "num_samples": [9], "user_data": {"a": {"x": [[1]], "y": [1]}}}'),
    ),
    Case(
        "LEAF through a link out",
        LEAF,
        "leads out",
        both(
            text("all.json", "{}"),
            lambda h, w: [
                (h / "data/train").mkdir(parents=True),
                (h / "data/train/a.json").symlink_to(h / "all.json"),
            ],
        ),
    ),
    Case(
        "LEAF whose test users are others",
        LEAF,
        "pool-tests",
        leaf({"a": user(6), "b": user(5)}, {"c": user(4)}),
    ),
    # TFDS
    Case("TFDS in another format", MNIST, "tfrecord", partial(tfds, form="tfrecord")),
    Case("TFDS with records that are none", MNIST, "cannot be read", tfds),
    Case(
        "TFDS with code to import",
        MNIST,
        "evil_module.Feature",
        partial(tfds, kind="evil_module.Feature"),
    ),
    Case(
        "a data set that cannot be fetched", "datasets --fetch nothing --data-dir data", "nothing"
    ),
    # partitions
    Case("no such partition file", PARTITION, "does not exist"),
    Case("a partition that is text", PARTITION, "no .npz", text("p.npz", "client,example\n")),
    Case("a partition of other labels", f"{PARTITION} --dataset synthetic", "labels", partition()),
    Case(
        "a partition of other clients",
        f"{PARTITION} --clients 7",
        "possible is --clients 4",
        partition(),
    ),
    Case(
        "a partition that is data",
        PARTITION,
        "lacks the array format",
        both(npz(), lambda h, w: (h / "mine.npz").rename(h / "p.npz")),
    ),
    Case("a pickled partition", PARTITION, "pickled", partition(train=np.array([{}]))),
    Case(
        "a partition whose sizes wrap",
        PARTITION,
        "do not add up",
        partition(train_size=np.array([2**63 - 1, 2**63 - 1, 1, 1])),
    ),
    Case(
        "a partition whose sizes have no sign",
        PARTITION,
        "do not add up",
        partition(train_size=np.array([2**64 - 1] * 4, np.uint64)),
    ),
    Case(
        "a partition with an example outside",
        PARTITION,
        "add up|must be",
        partition(train=np.full(9, 10**9)),
    ),
    Case(
        "a partition of 2^63 examples", PARTITION, "damaged", partition(examples=np.uint64(2**63))
    ),
    Case(
        "a published partition of other data",
        f"{RUN} --partition published",
        "no published partition",
    ),
    Case(
        "a published partition of 7 clients",
        f"{RUN} --partition published --dataset mnist --data-dir data --clients 7",
        "50",
        mnist(),
    ),
    Case(
        "a published partition of other labels",
        f"{RUN} --partition published --dataset mnist --data-dir data --clients 50",
        "labels in file order",
        mnist(),
    ),
    Case(
        "a partition that would be overwritten",
        "partition --clients 4 --out p.npz",
        "overwritten",
        text("p.npz", ""),
    ),
    Case("an image of another kind", "partition --clients 4 --image p.jpg", "can end in"),
    Case(
        "partition and image in one file",
        "partition --clients 4 --out a.png --image a.png",
        "two files",
    ),
    # tables of groups and times
    Case("no such tree", f"{RUN} --algorithm fixed_tree --tree-file t.csv", "No such file"),
    Case(
        "a tree without a head",
        f"{RUN} --algorithm fixed_tree --tree-file t.csv",
        "client,edge",
        text("t.csv", "0,a\n1,a\n"),
    ),
    Case(
        "a tree of a client of 5,000 digits",
        f"{RUN} --algorithm fixed_tree --tree-file t.csv",
        "expected are",
        text("t.csv", f"client,edge\n{'9' * 5000},a\n"),
    ),
    Case(
        "a tree of other clients",
        f"{RUN} --algorithm fixed_tree --tree-file t.csv",
        "there are 4",
        text("t.csv", "client,edge\n0,a\n1,b\n"),
    ),
    Case(
        "a tree that does not nest",
        f"{RUN} --algorithm fixed_tree --tree-file t.csv",
        "nest",
        text("t.csv", "client,edge,area\n0,a,x\n1,a,y\n2,b,x\n3,b,x\n"),
    ),
    Case(
        "a trace of rounds backwards",
        f"{RUN} --trace-file t.csv",
        "line 2",
        text("t.csv", "client,first,last\n0,5,3\n"),
    ),
    Case(
        "a trace of 5,000 digits",
        f"{RUN} --trace-file t.csv",
        "line 2",
        text("t.csv", f"client,first,last\n0,1,{'9' * 5000}\n"),
    ),
    Case(
        "a trace that is no text",
        f"{RUN} --trace-file t.csv",
        "not a text",
        text("t.csv", b"\xff\xfe\0\0"),
    ),
    # resuming
    Case("nothing to resume", "run --resume run", "no run to resume"),
    Case("--resume with --out", "run --resume run --out out", "takes no --out", copied()),
    Case("--resume with another option", "run --resume run --lr 0.5", "lr is", copied()),
    Case(
        "--resume of a damaged config",
        "run --resume run",
        "not valid TOML",
        copied(put("config.toml", "rounds")),
    ),
    Case(
        "--resume of a damaged summary",
        "run --resume run --rounds 9",
        "damaged",
        copied(put("summary.json", DEEP)),
    ),
    Case(
        "--resume without checkpoints",
        "run --resume run --rounds 9",
        "kept no checkpoint",
        copied(lambda run: shutil.rmtree(run / "checkpoints")),
    ),
    Case(
        "--resume of checkpoints that are cut off",
        "run --resume run --rounds 9",
        "kept no checkpoint",
        copied(checkpoints(lambda arrays: (arrays / "_METADATA").write_text("{"), sums=False)),
    ),
    Case(
        "--resume of a checkpoint of lists",
        "run --resume run --rounds 9",
        "kept no checkpoint",
        copied(
            lambda run: [
                p.write_text(
                    json.dumps(
                        {
                            "form": 1,
                            "round": int(p.stem[6:]),
                            "about": {},
                            "trees": {},
                            "files": [1],
                        }
                    )
                )
                for p in (run / "checkpoints").glob("round-*.json")
            ]
        ),
    ),
    Case(
        "--resume of arrays that declare 10 GB",
        "run --resume run --rounds 9",
        "does not declare the shape",
        copied(checkpoints(declares(shape=[10**5, 10**5], chunks=[10**5, 10**5]))),
    ),
    Case(
        "--resume of numbers of 1 GB each",
        "run --resume run --rounds 9",
        "does not declare",
        copied(checkpoints(declares(dtype="|V1000000000"))),
    ),
    Case(
        "--resume of arrays that Orbax cannot read",
        "run --resume run --rounds 9",
        "not as it was written",
        copied(checkpoints(lambda arrays: (arrays / "_METADATA").write_text("[]"))),
    ),
    Case(
        "--resume of a run without its rows",
        "run --resume run --rounds 9",
        "lacks the row",
        copied(put("metrics.csv", "round,c_spe\n")),
    ),
    Case(
        "--resume through a link",
        "run --resume run --rounds 9",
        "is a link",
        copied(linked("metrics.csv", "elsewhere")),
    ),
    Case(
        "--resume of checkpoints elsewhere",
        "run --resume run --rounds 9",
        "is a link",
        copied(linked("checkpoints", "elsewhere")),
    ),
    Case(
        "--resume of a run with nothing left",
        "run --resume run",
        "done after 2 rounds",
        copied(),
        code=0,
    ),
    # run folders
    Case("no such run", "compare run", "no run"),
    Case("a folder without a run", "report run", "no run folder", text("run/mine", "")),
    Case("a run that is a file", "plot run", "no run", text("run", "")),
    Case(
        "measures that are words",
        "compare run",
        "no table of numbers",
        copied(put("metrics.csv", "round,c_spe\n1,high\n")),
    ),
    Case(
        "measures that are no text",
        "report run",
        "no text",
        copied(put("metrics.csv", b"\xff\xfe\0")),
    ),
    Case(
        "measures without rounds",
        "plot run",
        "no column 'round'",
        copied(put("metrics.csv", "a,b\n1,2\n")),
    ),
    Case(
        "measures of rounds backwards",
        "plot run",
        "count upwards",
        copied(put("metrics.csv", "round,c_spe\n2,1\n1,1\n")),
    ),
    Case(
        "a cell of 200,000 letters",
        "compare run",
        "no table of numbers",
        copied(put("metrics.csv", f"round,c_spe\n1,{'9' * 200_000}\n")),
    ),
    Case(
        "100,000 columns, 100,000 rows",
        "compare run",
        "row 1",
        copied(put("metrics.csv", "round," + "a," * 100_000 + "\n" + "1\n" * 100_000)),
    ),
    Case(
        "a client of a million million",
        "report run --no-figures",
        "damaged",
        copied(
            without("clients.csv"),
            put("labels.csv", "client,label,train,test\n1000000000000,0,1,1\n"),
        ),
    ),
    Case(
        "clients that are missing",
        "report run",
        "every client once",
        copied(put("clients.csv", "round,client,c_spe,c_gen\n1,0,1,1\n1,7,1,1\n")),
    ),
    Case(
        "a group of a half",
        "plot run",
        "groups",
        copied(
            lambda run: (run / "clients.csv").write_text(
                "round,client,c_spe,c_gen,group_l1\n0,0,1,1,0.5\n"
            )
        ),
    ),
    Case(
        "a summary that is no JSON", "compare run", "no summary", copied(put("summary.json", "{"))
    ),
    Case(
        "a summary nested 100,000 deep",
        "report run",
        "no summary",
        copied(put("summary.json", DEEP)),
    ),
    Case(
        "a summary of 5,000 digits",
        "plot run",
        "no summary",
        copied(put("summary.json", f'{{"final": {"9" * 5000}}}')),
    ),
    Case(
        "a summary of words for numbers",
        "compare run",
        "no summary",
        copied(summary(final={"round": "x"})),
    ),
    Case(
        "a summary whose score is a list", "compare run", "no summary", copied(summary(score=["a"]))
    ),
    Case(
        "options that are tables",
        "report run",
        "single value",
        copied(put("config.toml", "[run]\na = {b = 1}\n")),
    ),
    Case(
        "a run that names code, drawn",
        "plot run --only labels",
        "code is not run",
        copied(
            lambda run: text("evil.py", "open('it ran', 'w').close()\n")(run.parent, run),
            lambda run: (run / "config.toml").write_text(
                (run / "config.toml")
                .read_text()
                .replace('dataset = "digits"', 'dataset = "evil.py:mine"')
            ),
        ),
    ),
    Case(
        "plots that lie elsewhere by a link",
        "plot run",
        "link",
        copied(
            linked("plots", "elsewhere/below"), lambda run: (run.parent / "elsewhere/below").mkdir()
        ),
    ),
    Case(
        "a page that would be overwritten",
        "report run --out page.html",
        "overwritten",
        both(copied(), text("page.html", "")),
    ),
    Case(
        "a page in a folder that is not there",
        "report run --out no/page.html",
        "no folder",
        copied(),
    ),
    Case("an unknown figure", "plot run --only labls", "perhaps|labels", copied()),
    Case("an unknown format", "plot run --format jpg", "pdf", copied()),
    Case("a run named twice", "plot run run --out p", "named twice", copied()),
    Case("a colour that is none", "plot run --colors rde", "rde", copied()),
    Case("two names for a run", "plot run --names a b", "2 names", copied()),
    Case("nothing to compare", "compare", "Nothing was given"),
    Case("a comparison of an unknown system", "compare --algorithms fedavgg --out out", "fedavg"),
    Case("a comparison with no seed", "compare --algorithms fedavg --seeds , --out out", "seeds"),
    Case("a comparison without --out", "compare --algorithms fedavg", "--out"),
    Case(
        "a comparison of one system twice",
        "compare --algorithms fedavg,fedavg --out out --clients 4",
        "once is enough|same",
    ),
    Case("a grid that is none", "compare --algorithms fedavg --grid mix --out out", "grid"),
    Case(
        "a comparison into a file",
        "compare --algorithms fedavg --out out --clients 4",
        "file",
        text("out", ""),
    ),
    # groups, plans
    Case("groups of one client", "groups --clients 1", "1"),
    Case(
        "groups with an image that is there",
        "groups --clients 4 --image a.png",
        "overwritten",
        text("a.png", ""),
    ),
    Case(
        "a plan without a device",
        f"plan {SMALL.replace(' --devices 1', '')}",
        "--accelerator is needed",
    ),
    Case("a plan for an unknown device", f"plan {SMALL} --accelerator h1000", "h100"),
    Case("a plan for no device", f"plan {SMALL} --accelerator cpu --devices 0", "1 or more"),
    # surroundings
    Case(
        "an unknown platform",
        RUN,
        "JAX cannot start with JAX_PLATFORMS=nonsense",
        environment={"JAX_PLATFORMS": "nonsense"},
    ),
    Case("a switch of JAX that is none", RUN, "maybe", environment={"JAX_ENABLE_X64": "maybe"}),
    Case(
        "a cache that is a file",
        MNIST.replace("mnist", "leaf").replace("partition iid", "partition natural"),
        "",
        both(leaf({"a": user(6), "b": user(5)}), text("cache", "")),
        code=0,
        writes=True,
        environment={"DEMJAX_CACHE": "cache"},
    ),
    Case(
        "a cache that cannot be written",
        RUN,
        "",
        read_only,
        code=0,
        writes=True,
        environment={"DEMJAX_CACHE": "read-only/cache"},
    ),
    Case(
        "nobody's home",
        RUN,
        "",
        code=0,
        writes=True,
        environment={"HOME": None, "DEMJAX_CACHE": None, "XDG_CACHE_HOME": None},
    ),
)
