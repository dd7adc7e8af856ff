"""How much memory a run needs, known before it starts, and whether the device has it."""

from pathlib import Path

import jax

from demjax.backend import policy
from demjax.backend.sharding import devices_at_work


def planned(program: jax.stages.Compiled) -> int:
    """Bytes that a program needs: ``arguments + results − what results take over + work``.

    As the compiler planned it. The devices of a CPU share its memory, and are counted together.
    """
    plan = program.memory_analysis()
    assert plan is not None
    kept = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return (kept + plan.temp_size_in_bytes) * _sharing()


def whole(*arrays: jax.Array) -> int:
    """Bytes of arrays that every device has whole, counted as in ``planned``."""
    return sum(array.nbytes for array in arrays) * _sharing()


def _sharing() -> int:
    """How many devices share one memory."""
    return devices_at_work() if policy.devices_share_memory() else 1


def needed(*programs: jax.stages.Compiled) -> int:
    """Bytes that programs, run one after another, need on a device: the most that any needs."""
    return max(map(planned, programs))


def free() -> int | None:
    """Bytes that are free on the device, for a CPU in the machine; ``None`` where nobody tells."""
    device = jax.local_devices()[0]  # nobody tells of another process's
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return _of_machine("MemAvailable")


def present() -> int:
    """Bytes of memory of this machine; 16 GB where nobody tells."""
    return _of_machine("MemTotal") or 16 * 10**9


def _of_machine(name: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if name in line)
    except (OSError, StopIteration):
        return None


def check_fits(needs: int, present: int | None, *, clients: int, examples: int) -> None:
    """Refuse a run that cannot fit.

    Nearly all memory goes with the number of clients, but for the pooled examples.

    Args:
        needs: Bytes that the run needs.
        present: Bytes that are free, ``None`` if unknown.
        clients: Number of clients.
        examples: Bytes of the examples, which do not grow with clients.

    Raises:
        ValueError: One sentence with the largest number of clients that would fit.
    """
    if present is None or needs <= present:
        return
    each = max(1.0, (needs - examples) / clients)
    most = max(0, int((present - examples) / each))
    possible = f"about {most:,} clients would fit" if most else "not even one client would fit"
    raise ValueError(
        f"A run of {clients:,} clients needs {gigabytes(needs)} of memory, but "
        f"{gigabytes(present)} are free; {possible}."
    )


def gigabytes(size: float) -> str:
    """A number of bytes as a reader wants it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
