"""Every reader is given files that are damaged at random, the same ones each time."""

import gc
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SLOW = {"checkpoint": 40, "digests": 25, "figures": 5, "tfds": 60}
"""Examples of readers that take longer for one."""
READERS = (
    *("idx", "npz", "leaf", "tfds", "cifar10", "jpeg", "partition", "config", "flat", "run"),
    *("figures", "tables", "checkpoint", "digests", "cache"),
)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax's threads
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_told_in_a_sentence(name):
    import fuzz

    if name == "figures":
        pytest.importorskip("matplotlib")
    files = fuzz.whole_input(fuzz.READERS[name])
    assert fuzz.try_often(name, files, examples=SLOW.get(name, 120)) > 0
    gc.collect()  # what Orbax left of its failures ends within this test


def test_all_readers_are_tried():
    import fuzz

    assert set(READERS) == set(fuzz.READERS)


def test_what_is_neither_read_nor_told_is_a_bug():
    import fuzz

    def failing(error):
        def read(folder):
            raise error

        return fuzz.Reader("nothing", lambda folder: None, read)

    for error in (KeyError("x"), UnicodeError("x"), ValueError("no sentence")):
        with pytest.raises((type(error), fuzz.BrokenError)):
            fuzz.check(failing(error), {}, {})
    for work in (lambda: sum(range(10**7)), lambda: time.sleep(30)):  # at work, or waiting
        with pytest.raises(fuzz.BrokenError, match="more than"), fuzz.limited(seconds=0.05):
            work()
    with pytest.raises(MemoryError), fuzz.limited(memory=2**26):
        bytearray(2**28)
