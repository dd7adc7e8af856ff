"""``demjax plan``: what a run would need on an accelerator that need not be here."""

import argparse
import json
from collections.abc import Sequence

from demjax.backend import memory
from demjax.backend.accelerators import ACCELERATORS, accelerator
from demjax.cli import dividing
from demjax.cli.parsing import Commands, help_of, read_given, take_options
from demjax.experiment import build
from demjax.experiment.experiment import resolve, with_defaults
from demjax.experiment.tables import all_options
from demjax.registry import ALGORITHMS
from demjax.simulation.plan import Plan, plan


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    parser = commands.add_parser(
        "plan",
        help=summary,
        add_help=False,
        usage="demjax plan --accelerator NAME [--devices N] [OPTION VALUE …]",
        description="Compile a round for a device that need not be here, and say what it needs. "
        "Takes the options of demjax run.",
    )
    names = ", ".join(("cpu", *ACCELERATORS))
    parser.add_argument("--accelerator", metavar="NAME", help=f"device: {names}")
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="how many of it [1]")
    dividing.add_flag(parser)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument(
        "--no-largest",
        action="store_true",
        help="do not find how many clients would fit, which takes some more compilations",
    )
    take_options(parser, _plan)


def _plan(parsed: argparse.Namespace, words: Sequence[str]) -> str:
    given = read_given(parsed, words)
    if parsed.help:
        return help_of(parsed.parser, all_options(with_defaults(given.options)))
    if parsed.accelerator is None:
        raise ValueError(
            f"The option --accelerator is needed: possible are {', '.join(('cpu', *ACCELERATORS))}."
        )
    if parsed.accelerator != "cpu":
        accelerator(parsed.accelerator)  # told before data are read
    if parsed.devices < 1:
        raise ValueError(f"--devices can be 1 or more, but {parsed.devices} was given.")
    experiment = resolve(given.options)
    built = build.build(experiment)
    with build.as_asked(built.experiment), dividing.as_asked(parsed):
        found = plan(
            built.algorithm,
            built.clients,
            accelerator=parsed.accelerator,
            devices=parsed.devices,
            largest=not parsed.no_largest,
            batch_size=built.experiment.batch_size,
            pooled="pooled" in ALGORITHMS.find(built.experiment.algorithm).facts,
        )
    return json.dumps(found._asdict(), indent=2) if parsed.json else in_words(found)


def in_words(found: Plan) -> str:
    """A plan as a reader wants it."""
    size = memory.gigabytes
    several = f"{found.devices} × " if found.devices > 1 else ""
    each = " each" if found.devices > 1 else ""
    lines = [
        f"{found.clients:,} clients on {several}{found.accelerator}: "
        f"{'fits' if found.fits else 'does not fit'}, {size(found.needs_bytes)} of "
        f"{size(found.device_bytes)}{each}",
        f"models     {size(found.models_bytes)}",
        f"data       {size(found.data_bytes)}",
        f"arguments  {size(found.arguments_bytes)}: models, what algorithms keep, and data",
    ]
    if found.temp_bytes is not None:
        share = found.temp_bytes / max(found.models_bytes, 1)
        lines.append(f"beside     {size(found.temp_bytes)}, {share:.2f} of the models")
    lines.append(
        f"a round    {found.operations:.3g} operations of products, "
        f"{size(found.moved_bytes)} moved by them"
    )
    if found.roofline_seconds is not None:
        lines.append(
            f"roofline   {found.roofline_seconds:.3g} s a round, "
            "if each product reads and writes memory"
        )
    for kind, moved in sorted(found.between_bytes.items()):
        lines.append(f"between    {size(moved)} in {kind}, each step counted once")
    if found.largest_clients is not None:
        lines.append(f"largest    about {found.largest_clients:,} clients would fit")
        if not found.fits:
            lines.append(
                f"possible   --clients {found.largest_clients}, more --devices, or a smaller model"
            )
    return "\n".join(lines)
