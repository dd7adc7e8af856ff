"""What travels between devices, read from a compiled program."""

import math
import re
from collections import Counter

_KINDS = "all-gather|all-reduce|all-to-all|collective-broadcast|collective-permute|reduce-scatter"
_STEP = re.compile(rf"= (.*?) ({_KINDS})(?:-start)?\(")
_ARRAY = re.compile(r"(pred|bf16|[a-z]\d+)\[([\d,]*)\]")


def collectives(text: str) -> dict[str, int]:
    """Bytes of the results of all steps between devices, by the kind of step.

    A step inside of a loop is counted once, for its text does not say how often it runs.

    Args:
        text: Of a compiled program, as its ``as_text`` has it.
    """
    found: Counter[str] = Counter()
    for shapes, kind in _STEP.findall(text):
        found[kind] += sum(_size(dtype, shape) for dtype, shape in _ARRAY.findall(shapes))
    return dict(found)


def largest(text: str, kind: str) -> int:
    """Numbers in the largest array that a kind of step between devices makes; 0 if there is none.

    Args:
        text: As in ``collectives``.
        kind: Such as ``"all-gather"``.
    """
    return max(
        (
            math.prod(int(n) for n in shape.split(",") if n)
            for shapes, own in _STEP.findall(text)
            if own == kind
            for _, shape in _ARRAY.findall(shapes)
        ),
        default=0,
    )


def _size(dtype: str, shape: str) -> int:
    bits = 8 if dtype == "pred" else int(re.sub(r"\D", "", dtype))
    return math.prod(int(n) for n in shape.split(",") if n) * bits // 8
