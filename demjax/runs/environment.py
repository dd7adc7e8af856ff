"""What decides a run's numbers beside its options: device, versions, and JAX's own switches."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from demjax import __version__
from demjax.backend.cores import PATIENCE
from demjax.backend.sharding import devices_at_work
from demjax.runs.folder import METRICS, SUMMARY, read_summary

SWITCHES = (
    "jax_enable_x64",
    "jax_threefry_partitionable",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_random_seed_offset",
    "jax_default_dtype_bits",
    "jax_optimization_level",
)
"""Switches of JAX by which the same options may give other bits."""


def environment() -> dict[str, Any]:
    """The device a run is on, the settings that decide its bits, and the versions it runs with."""
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy")
    device = jax.devices()[0]
    return {
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
            "cores": os.cpu_count(),
        },
        "settings": settings(),
        "versions": {
            "python": platform.python_version(),
            "demjax": __version__,
            **{package: metadata.version(package) for package in packages},
        },
    }


def settings() -> dict[str, Any]:
    """Settings outside of a configuration that decide a run's bits, by name.

    JAX's switches as far as this version of it has them, the flags of XLA without those that
    demjax adds, the platform, and how many devices a run is spread over.
    """
    flags = os.environ.get("XLA_FLAGS", "").split()
    return {
        **{name: getattr(jax.config, name) for name in SWITCHES if hasattr(jax.config, name)},
        "xla_flags": " ".join(flag for flag in flags if not any(own in flag for own in PATIENCE)),
        "platform": jax.devices()[0].platform,
        "devices": devices_at_work(),
    }


def told_apart(config: Path) -> str:
    """How the settings now differ from those of the run whose configuration is run again.

    Args:
        config: A run's ``config.toml``, or any other file.

    Returns:
        A sentence; empty where nothing differs, or the file is not of a run.
    """
    folder = config.parent
    try:
        before = read_summary(folder).get("settings")
    except ValueError:
        before = None
    if not isinstance(before, dict):
        if not any((folder / name).exists() for name in (METRICS, SUMMARY)):
            return ""
        return f"{folder} does not say under which settings of JAX its run was; they may differ."
    now = settings()
    other = [
        f"{name} is {now[name]!r} and was {before[name]!r}"
        for name in now
        if name in before and now[name] != before[name]
    ]
    return f"Settings differ from those of {folder}: {'; '.join(other)}." if other else ""
