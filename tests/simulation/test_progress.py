"""What is shown of a run, under a clock and a stream of the test's own."""

import io
import time

import pytest

from demjax.simulation.history import Moment
from demjax.simulation.progress import Progress, pause
from demjax.simulation.progress_lines import Shown, bar, sentence


class Clock:
    """Seconds that go by when they are told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def clock():
    return Clock()


def lines(stream):
    return stream.getvalue().splitlines()


def drawn(stream):
    """What stands on the terminal's line, one drawing after another."""
    return [text.rstrip() for text in stream.getvalue().split("\r") if text.strip()]


def test_a_terminal_shows_what_compiles_and_since_when_then_rounds(clock):
    stream = Terminal()
    with Progress(10, stream=stream, clock=clock, every=None) as progress:
        progress.begin("tracing")
        clock.now += 1
        progress.draw()
        progress.begin("compiling round, measures")
        clock.now += 12
        progress.draw()
        progress.rename("compiling measures")
        clock.now += 3
        progress.draw()
        progress.done(0, {"C-SPE": 0.25})
        clock.now += 8
        progress.done(4)
        clock.now += 2
        progress.draw()
    tracing, compiling, less, running, last = drawn(stream)
    assert tracing == "tracing: 1 s"
    assert compiling == "compiling round, measures: 12 s"
    assert less == "compiling measures: 15 s"
    for words in ("40%", "4/10", "00:10<00:15", "2.50s/round", "C-SPE 0.250"):
        assert words in running
    assert last == running
    assert stream.getvalue().endswith("\n")


def test_the_line_moves_while_a_round_or_a_measurement_takes_long(clock):
    progress = Progress(10, stream=Terminal(), clock=clock, every=None)
    progress.done(0)
    clock.now += 65
    assert "0/10 [01:05<?" in bar(progress.shown, clock.now)
    progress.done(1)
    progress.begin("measuring after round 1")
    clock.now += 30
    assert bar(progress.shown, clock.now).startswith("measuring after round 1: 30 s:  10%")
    assert len(bar(progress.shown, clock.now, 40)) <= 40


def test_a_log_is_told_seldom(clock):
    stream = io.StringIO()
    progress = Progress(32, stream=stream, clock=clock, every=None)
    progress.done(0, {"Global": 0.5})
    for number in range(1, 33):  # a run of two seconds
        clock.now += 1 / 16
        progress.done(number, {"Global": 0.5 + number / 100})
        progress.draw()
    progress.close()
    assert lines(stream) == [
        "round 0/32  Global 0.5000",
        "round 16/32  16 rounds/s  about 1 s left  Global 0.6600",
        "round 32/32  16 rounds/s  about 0 s left  Global 0.8200",
    ]


def test_a_log_hears_of_long_silences(clock):
    stream = io.StringIO()
    progress = Progress(1000, stream=stream, clock=clock, every=None)
    progress.begin("compiling round")
    for _ in range(25):
        clock.now += 1
        progress.draw()
    assert lines(stream) == ["compiling round: 10 s", "compiling round: 20 s"]
    progress.done(0, {"C-GEN": 0.1})
    for _ in range(100):
        clock.now += 1
        progress.done(progress.shown.done + 2)
        progress.draw()
    told = lines(stream)[2:]
    assert len(told) == 11
    assert told[1] == "round 20/1000  2 rounds/s  about 8 min left  C-GEN 0.1000"


def test_lines_of_a_log_become_rarer_but_every_minute_may_tell_of_a_measurement():
    assert pause(0, measured=False) == 10
    assert pause(36_000, measured=False) == 600
    assert pause(0, measured=True) == 1
    assert pause(36_000, measured=True) == 60
    hours, now, told = 10, 0.0, 0
    while now < 3600 * hours:
        now += pause(now, measured=False)
        told += 1
    assert told < 150


def test_a_run_that_goes_on_counts_its_own_rounds_only():
    shown = Shown(100, done=60, first=50, begun=0.0)
    assert sentence(shown, 20.0) == "round 60/100  0.5 rounds/s  about 80 s left"
    assert sentence(shown._replace(done=50), 20.0) == "round 50/100"


def test_moments_are_passed_on_as_they_are(clock):
    progress = Progress(2, stream=io.StringIO(), clock=clock, every=None)
    moments = [Moment(number, None, None, None, 0.0, 0.0, 0.0) for number in range(3)]
    assert list(progress.follow(iter(moments))) == moments
    assert progress.shown.done == 2


def test_a_thread_draws_without_being_asked():
    stream = Terminal()
    with Progress(5, stream=stream, every=0.001) as progress:
        progress.begin("compiling round")
        while "compiling round" not in stream.getvalue():
            time.sleep(0)
    progress.close()
    assert not progress._thread.is_alive()


def test_noting_a_round_takes_less_than_a_hundredth_of_three_milliseconds():
    times = []
    with Progress(20_000, stream=Terminal()) as progress:
        for number in range(5_000):
            start = time.perf_counter()
            progress.done(number)
            times.append(time.perf_counter() - start)
    assert sorted(times)[len(times) // 2] < 30e-6
