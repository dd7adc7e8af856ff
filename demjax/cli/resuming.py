"""Flags of checkpoints, and a run that is resumed: as it was begun, but for its last round."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from demjax.cli.parsing import read_given
from demjax.experiment.config import read_toml
from demjax.experiment.experiment import Experiment, resolve
from demjax.runs import folder as run_folder
from demjax.runs.carry_out import KEEP
from demjax.runs.exits import DONE, FAILED
from demjax.runs.resume import asked_before, rounds_left_to
from demjax.runs.reuse import differences


def add_checkpoints(parser: argparse.ArgumentParser) -> None:
    """The flags that say when the state is saved."""
    parser.add_argument(
        "--checkpoint-every",
        type=int,
        metavar="N",
        help="save the state every N rounds and at the end [only where the run is stopped]",
    )
    parser.add_argument(
        "--keep", type=int, metavar="N", help=f"checkpoints to keep, the newest [{KEEP}]"
    )


def add_flags(run: argparse.ArgumentParser) -> None:
    """The flags that say when the state is saved, and which run goes on."""
    add_checkpoints(run)
    run.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="go on with the run in this folder from its newest checkpoint, also to more --rounds",
    )


def check_checkpoints(parsed: argparse.Namespace) -> None:
    """Refuse numbers out of range.

    Raises:
        ValueError: One sentence.
    """
    for flag in ("--checkpoint-every", "--keep"):
        value = getattr(parsed, flag[2:].replace("-", "_"))
        if value is not None and value < 1:
            raise ValueError(f"{flag} can be 1 or more, but {value} was given.")


def check_flags(parsed: argparse.Namespace) -> None:
    """Refuse numbers out of range, and flags that do not go together.

    Raises:
        ValueError: One sentence.
    """
    check_checkpoints(parsed)
    if parsed.resume is None:
        return
    for flag, value in (
        ("--out", parsed.out),
        ("--config", parsed.config),
        ("--preset", parsed.preset),
    ):
        if value is not None:
            raise ValueError(
                f"--resume goes on with a run as it was begun, so it takes no {flag}; possible is "
                f"demjax run --resume {parsed.resume} [--rounds N]."
            )


def as_begun(
    parsed: argparse.Namespace, words: Sequence[str]
) -> tuple[Experiment, tuple[str, int] | None]:
    """The run in a folder, with the rounds that are asked for.

    Returns:
        The run; and where nothing is left of it what to say, and the exit code.

    Raises:
        ValueError: If there is no run, or an option is given that it was not begun with.
    """
    out = parsed.resume
    if not (out / run_folder.CONFIG).is_file():
        raise ValueError(
            f"There is no run to resume in {out}: it holds no {run_folder.CONFIG}; possible is the "
            "folder that demjax run was given as --out."
        )
    begun = read_toml(out / run_folder.CONFIG)
    parsed.config = out / run_folder.CONFIG
    given = read_given(parsed, words)
    parsed.config = None
    resolved = resolve(given.options)
    different = differences(out, resolve({**given.options, "rounds": begun.get("rounds")}))
    if different:
        raise ValueError(
            f"The run in {out} goes on as it was begun, but {different}; possible is another "
            "--rounds, or a new run."
        )
    if parsed.devices is None and parsed.coordinator is None and not parsed.distributed:
        before = asked_before(out)
        if before.get("processes") == 1 and before.get("devices", 0) <= (os.cpu_count() or 1):
            parsed.devices = before.get("devices")
    done = rounds_left_to(out, resolved.rounds)
    if not done:
        return resolved, None
    return resolved, (done, FAILED if "diverged" in done else DONE)
