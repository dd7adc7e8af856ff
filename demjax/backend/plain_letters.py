"""Plain letters for outputs that cannot show others, as Windows code pages and some logs.

``"α = 0.5 … 3×3"`` is ``"alpha = 0.5 ... 3x3"`` there; what can be shown stays as it is.
"""

import codecs
import unicodedata
from typing import TextIO

PLAIN = "demjax.plain"
"""The name of the way to handle what an output cannot show, for ``errors=`` of streams."""

_SIGNS = {
    "×": "x",
    "·": "*",
    "–": "-",
    "−": "-",
    "⁻": "-",
    "─": "-",
    "—": "-",
    "…": "...",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "±": "+-",
    "√": "sqrt",
    "∈": "in",
    "∂": "d",
    "‖": "||",
    "⌊": "floor(",
    "⌋": ")",
    "½": "1/2",
    "█": "#",
    "└": "`",
    "├": "|",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}


def plain(letter: str) -> str:
    """A letter in ASCII: its name where it is Greek, a like sign, a question mark for others."""
    if letter in _SIGNS:
        return _SIGNS[letter]
    decomposed = unicodedata.normalize("NFKD", letter)
    bare = decomposed.encode("ascii", "ignore").decode()
    if bare:
        return bare  # é as e, ² as 2
    words = unicodedata.name(decomposed[0], "").split()  # GREEK SMALL LETTER ALPHA
    if words[:1] == ["GREEK"] and "LETTER" in words:
        name = words[words.index("LETTER") + 1].replace("LAMDA", "LAMBDA")
        return name.lower() if "SMALL" in words else name.capitalize()
    if "BLOCK" in words:
        return "#"  # the bar of progress
    return "" if unicodedata.combining(letter) else "?"


def _handle(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


codecs.register_error(PLAIN, _handle)


def in_letters_of(text: str, stream: TextIO) -> str:
    """A text in letters that a stream can show."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, PLAIN).decode(encoding)
