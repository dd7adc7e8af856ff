"""How a command ends: its exit codes, and the one sentence that tells why."""

import sys
from typing import NamedTuple

DONE, FAILED, WRONG, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
"""Exit codes: done; the run itself failed; wrong arguments or data; stopped by hand; by SIGTERM."""


class Ending(NamedTuple):
    """How a run ended: its status, the exit code, and what to say of it, if anything."""

    status: str = "done"
    code: int = DONE
    sentence: str = ""


LONGEST = 2000
"""Letters of a sentence that are shown; of a longer one the middle is left out."""


def say(sentence: str, code: int) -> int:
    """Tell the user one sentence, and pass the exit code on."""
    if len(sentence) > LONGEST:  # it says what was given, which can be anything
        sentence = f"{sentence[: LONGEST // 2]} … {sentence[-LONGEST // 2 :]}"
    print(f"demjax: {sentence}", file=sys.stderr)
    return code


def first_line(error: Exception) -> str:
    """What an error says first; its trace is of no use to a user."""
    return next(iter(str(error).splitlines()), "no reason was given.")
