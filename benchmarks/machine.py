"""What the benchmarks tell of the machine they ran on, and how they write down what they found."""

import json
import os
import platform
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Memory from Linux's C library, 2.35 or newer, in pages of 2 MB; set before a program starts."""


def cpu_model() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def take_devices(asked: int | None) -> int:
    """How many devices to use: as asked, else one for each core of a CPU, or one accelerator."""
    import jax

    import demjax

    demjax.use_cores(asked or os.cpu_count() or 1)
    return asked or (jax.local_device_count() if jax.default_backend() == "cpu" else 1)


def results_file(name: str) -> Path:
    """Where results are kept: ``name.json``, or off a CPU ``name_gpu.json``."""
    import jax

    return RESULTS / (f"{name}.json" if jax.default_backend() == "cpu" else f"{name}_gpu.json")


def empty_result(setting: str, devices: int) -> dict:
    """What a result begins with: setting, machine and versions, and no points yet."""
    import jax

    return {
        "setting": setting,
        "machine": {
            "device": jax.devices()[0].device_kind,
            "devices": devices,
            "cpu": cpu_model(),
            "cores": os.cpu_count(),
        },
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
        "points": [],
    }


def keep(result: dict, out: Path) -> None:
    """Write a result in place of the one before, at no time half."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partly = out.with_suffix(".partial")
    partly.write_text(json.dumps(result, indent=1) + "\n")
    partly.replace(out)
