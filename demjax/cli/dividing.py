"""The flag that says whether each of several devices has a part of the examples."""

import argparse
from contextlib import AbstractContextManager

from demjax.backend import policy

DIVIDE = {"auto": None, "yes": True, "no": False}


def add_flag(parser: argparse.ArgumentParser) -> None:
    """The flag of a run, and of a plan of one."""
    parser.add_argument(
        "--divide-examples",
        choices=tuple(DIVIDE),
        default="auto",
        help="whether each of several devices has a part of the examples in place of all of them "
        "[auto: where they are more than a tenth of its memory]",
    )


def as_asked(parsed: argparse.Namespace) -> AbstractContextManager[None]:
    """Where examples lie in parts, or whole, as the flag says."""
    return policy.dividing_examples(DIVIDE[parsed.divide_examples])
