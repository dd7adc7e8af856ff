"""Data sets by name, and the cache between them and their files."""

import numpy as np
import pytest
from idx_files import write_all
from partitions_alike import failure
from prepared_files import write_prepared

from demjax import data
from demjax.data import find, load
from demjax.registry import DATASETS
from tests.data.sources.test_cifar10 import write_binary, write_jpeg
from tests.data.sources.test_leaf import GOOD, some, write

FROM_FILES = [choice.name for choice in DATASETS.choices() if "files" in choice.facts]


def write_everything(folder):
    """Every data set that needs files in one folder, in the subfolder of its name."""
    write_all(folder / "mnist")
    write_all(folder / "fashion_mnist")
    write_prepared(folder, "emnist/byclass", version="3.1.0", classes=62)
    write_prepared(folder, "emnist/balanced", version="3.1.0", classes=47)
    write_binary(folder / "cifar10")
    write_jpeg(folder / "cifar10-jpeg")
    write(folder / "leaf" / "a.json", GOOD)
    np.savez(folder / "mine.npz", x=np.zeros((3, 2)), y=[0, 1, 0])


def test_every_name_is_found_and_loaded_from_one_folder(tmp_path):
    assert len(set(DATASETS)) == 11
    write_everything(tmp_path)
    for entry in DATASETS.choices():
        filed = entry.name in FROM_FILES
        if filed:
            assert find(entry.name, tmp_path).files
        read = load(entry.name, data_dir=tmp_path if filed else None)
        assert read.name == entry.name
        assert len(read.x) == len(read.y) >= read.train_count >= 1
        assert 0 <= read.y.min() <= read.y.max() < read.classes
        assert entry.facts["classes"] in ("any", str(read.classes))
        natural = entry.name in ("leaf", "synthetic", "synthetic_iid")
        assert bool(entry.facts.get("natural")) == (read.owner is not None) == natural
        if natural:
            assert set(read.owner) == set(range(read.owner.max() + 1))


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("mnits", "mnist"), ("digit", "digits"), ("MNIST", "mnist"), ("", "")]
)
def test_an_unknown_name_is_answered_with_the_nearest_and_all(wrong, nearest):
    sentence = failure(lambda: load(wrong), repr(wrong), *DATASETS)
    assert not nearest or f"perhaps {nearest!r} was meant" in sentence


@pytest.mark.parametrize("name", FROM_FILES)
def test_without_a_folder_or_its_files_a_data_set_asks_for_them(tmp_path, name):
    failure(lambda: load(name), repr(name), "data_dir")
    for folder in (tmp_path, tmp_path / "nowhere"):
        failure(lambda folder=folder: load(name, data_dir=folder), folder)
    assert list(tmp_path.iterdir()) == []
    if name in data.PREPARED:
        failure(lambda: load(name, data_dir=tmp_path), f"demjax datasets --fetch {name}")


SLOW = ("emnist", "cifar10_jpeg", "leaf")


@pytest.mark.parametrize("name", SLOW)
def test_what_is_slow_to_read_is_kept_and_found_again(tmp_path, name, monkeypatch):
    folder, cache = tmp_path / "data", tmp_path / "cache"
    write_everything(folder)
    first = load(name, data_dir=folder, cache_dir=cache)
    (entry,) = cache.iterdir()
    times = {path: path.stat().st_mtime_ns for path in entry.iterdir()}
    monkeypatch.setenv("DEMJAX_CACHE", str(cache))
    again = load(name, data_dir=str(folder))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert {path: path.stat().st_mtime_ns for path in entry.iterdir()} == times
    assert not again.x.flags.writeable  # a map of the entry
    assert load(name, data_dir=folder, cache_dir="").x.flags.writeable


def test_what_is_quick_to_read_is_not_kept(tmp_path):
    write_everything(tmp_path)
    cache = tmp_path / "cache"
    for name in set(DATASETS) - set(SLOW) - {"emnist_balanced"}:
        load(name, data_dir=tmp_path, cache_dir=cache)
    assert not cache.exists()


def test_bad_data_are_refused_again_and_never_kept(tmp_path):
    folder, cache = tmp_path / "data", tmp_path / "cache"
    path = write(folder / "a.json", {"u": (some(2)[0], [0, -1])})
    for _ in range(2):
        failure(lambda: load("leaf", data_dir=folder, cache_dir=cache), path, "label -1")
    assert not cache.exists()
    write(path, GOOD)
    assert len(load("leaf", data_dir=folder, cache_dir=cache).y) == 3
    write(path, {"u": (some(2)[0], [0, -1])})  # the good entry is not for these
    failure(lambda: load("leaf", data_dir=folder, cache_dir=cache), path, "label -1")


@pytest.mark.parametrize("by_rows", [False, True])
def test_a_function_of_ones_own_is_told_whether_rows_are_read(by_rows, tmp_path):
    """It may ask for that, as for the folder; an argument of this name is no option of it."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        "def two(*, by_rows=None):\n"
        "    return np.full((4, 2), float(by_rows), np.float32), np.array([0, 1, 0, 1])\n"
    )
    found = load(f"{file}:two", by_rows=by_rows)
    assert np.asarray(found.x).tolist() == [[float(by_rows)] * 2] * 4
