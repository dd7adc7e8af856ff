"""How a command ends: its exit codes, and the one sentence that tells why."""

import sys

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; the run itself failed; wrong arguments or data; stopped by hand."""


def say(sentence: str, code: int) -> int:
    """Tell the user one sentence, and pass the exit code on."""
    print(f"demjax: {sentence}", file=sys.stderr)
    return code


def first_line(error: Exception) -> str:
    """What an error says first; its trace is of no use to a user."""
    return next(iter(str(error).splitlines()), "no reason was given.")
