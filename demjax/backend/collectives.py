"""What travels between devices, read from a compiled program."""

import math
import re

_KINDS = "all-gather|all-reduce|all-to-all|collective-broadcast|collective-permute|reduce-scatter"
_STEP = re.compile(rf"= (.*?) ({_KINDS})(?:-start)?\(")
_ARRAY = re.compile(r"(pred|bf16|[a-z]\d+)\[([\d,]*)\]")


def collectives(text: str) -> dict[str, list[int]]:
    """Bytes of what each step between devices makes, by the kind of step.

    A step inside of a loop is there once, for its text does not say how often it runs.

    Args:
        text: Of a compiled program, as its ``as_text`` has it.
    """
    found: dict[str, list[int]] = {}
    for shapes, kind in _STEP.findall(text):
        size = sum(_size(dtype, shape) for dtype, shape in _ARRAY.findall(shapes))
        found.setdefault(kind, []).append(size)
    return found


def _size(dtype: str, shape: str) -> int:
    bits = 8 if dtype == "pred" else int(re.sub(r"\D", "", dtype))
    return math.prod(int(n) for n in shape.split(",") if n) * bits // 8
