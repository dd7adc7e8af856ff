"""Devices of a CPU, one for each core, which wait for one another as long as it takes."""

import os

import jax
import jaxlib

PATIENCE = {
    "xla_cpu_collective_call_warn_stuck_timeout_seconds": 3600,
    "xla_cpu_collective_call_terminate_timeout_seconds": 30 * 24 * 3600,
}
"""Seconds for which devices of a CPU wait for one another, as flags of XLA."""
KNOWN = (0, 9), (0, 13)
"""The versions of jaxlib, from and to below, that are known to know these flags."""


def use_cores(count: int) -> None:
    """Make so many devices of a CPU, which works only before anything is computed.

    Args:
        count: Devices, at least 1; more than there are cores gain nothing.

    Raises:
        ValueError: If the count is below 1, or something has been computed already.
    """
    if count < 1:
        raise ValueError(f"A CPU needs at least 1 device, but {count} was given.")
    try:
        jax.config.update("jax_num_cpu_devices", count)
        _wait_for_one_another()
    except RuntimeError as error:
        raise ValueError(
            f"A CPU can be made {count} devices only before anything is computed with JAX."
        ) from error


def _wait_for_one_another() -> None:
    """Let a device wait for one that has more to do: XLA would end the process after a minute.

    XLA reads its flags when it starts, and refuses to start at one that it does not know.
    """
    if KNOWN[0] <= jaxlib.version.__version_info__ < KNOWN[1]:
        given = os.environ.get("XLA_FLAGS", "")
        flags = [f"--{name}={seconds}" for name, seconds in PATIENCE.items() if name not in given]
        os.environ["XLA_FLAGS"] = " ".join([given, *flags]).strip()
