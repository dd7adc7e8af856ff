"""Every output can show what it is given: in plain letters where it lacks others."""

import io
import unicodedata
from pathlib import Path

import pytest

import demjax
from demjax.backend.plain_letters import PLAIN, in_letters_of, plain
from demjax.simulation.progress import Progress


def stream(encoding, errors="strict"):
    return io.TextIOWrapper(io.BytesIO(), encoding, errors, write_through=True)


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ("α β γ τ η", "alpha beta gamma tau eta"),
        ("μ µ λ Σ", "mu mu lambda Sigma"),
        ("ά", "alpha"),
        ("3×3 – 1…", "3x3 - 1..."),
        ("a → b, x ≥ 0 ± 1", "a -> b, x >= 0 +- 1"),
        ("é ü x² x₂", "e u x2 x2"),
        ("█▏", "##"),
        ("中\udce9", "??"),
        ("plain", "plain"),
    ],
)
def test_letters_that_an_output_cannot_show_are_told_plainly(letters, words):
    assert letters.encode("ascii", PLAIN).decode() == words


def test_what_an_output_can_show_stays():
    text = "α é × – …"
    assert in_letters_of(text, stream("utf-8")) == text
    assert in_letters_of(text, stream("cp1252")) == "alpha é × – …"
    assert in_letters_of(text, stream("latin-1")) == "alpha é × - ..."
    assert in_letters_of(text, stream("cp437")) == "α é x - ..."
    assert in_letters_of(text, io.StringIO()) == text


def test_every_letter_of_the_package_has_a_plain_form():
    letters = {
        letter
        for path in Path(demjax.__file__).parent.rglob("*.py")
        if path.name != "plain_letters.py"
        for letter in path.read_text(encoding="utf-8")
        if ord(letter) > 127 and not unicodedata.combining(letter)
    }
    unknown = {letter for letter in letters if not plain(letter) or "?" in plain(letter)}
    assert unknown <= set("⋆∇∪⟨⟩")  # only in equations of docstrings


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_where_there_are_only_plain_letters(terminal):
    ascii_only = stream("ascii")
    progress = Progress(3, stream=ascii_only, terminal=terminal, every=None)
    progress.say("μ = 0.1")
    progress.done(1, {"C-SPE": 0.5})
    progress.draw()
    progress.close()
    shown = ascii_only.buffer.getvalue().decode("ascii")
    assert "mu = 0.1\n" in shown
    assert "1/3" in shown


class Full(io.StringIO):
    """A log on a disk that is full."""

    def write(self, text):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_log_that_cannot_be_written_stops_no_run(terminal):
    progress = Progress(3, stream=Full(), terminal=terminal, every=None)
    progress.say("compiling")
    progress.done(1, {"C-SPE": 0.5})
    progress.draw()
    progress.close()
