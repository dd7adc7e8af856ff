"""What a run shows of itself; how it ends is tested through the command line."""

import signal

import pytest

from demjax.runs.writer import first_line, table, whole

ROW = {"round": 3, "c_spe": 0.5, "c_gen": 0.25, "global": 1.0}


def test_the_table_is_aligned_and_says_how_a_run_ended_unless_it_is_done():
    header, first, second = table([("a", ROW, "done"), ("longer", ROW, "diverged")]).splitlines()
    assert header.split() == ["run", "rounds", "C-SPE", "C-GEN", "Global"]
    assert first.split() == ["a", "3", "0.5000", "0.2500", "1.0000"]
    assert second.split() == ["longer", "3", "0.5000", "0.2500", "1.0000", "diverged"]
    assert first.index("0.5000") == second.index("0.5000")
    assert first.rstrip() == first


def test_an_error_without_words_still_gives_a_line():
    assert first_line(ValueError()) == "no reason was given."
    assert first_line(ValueError("first\nsecond")) == "first"


@pytest.fixture
def heard():
    """Ctrl-C is heard, which a shell turns off for what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_waits_until_a_measurement_is_written():
    steps = []

    def write():
        with whole():
            signal.raise_signal(signal.SIGINT)
            steps.append("written")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert steps == ["written"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)  # all is as it was
    with whole():
        steps.append("undisturbed")
    with pytest.raises(OSError, match="disk"), whole():
        raise OSError("disk")
