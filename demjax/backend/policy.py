"""Every choice that a CPU, a GPU or a TPU makes differently, each a function of its own.

Nothing else asks which platform a program is for. It is JAX's default one, unless told: a program
can be compiled for a device that this machine does not have:

    with compiling_for("tpu"):
        exported = jax.export.export(jax.jit(function), platforms=["tpu"])(*arguments)

A choice holds for what is traced inside the context, in this thread. JAX counts the platform among
what a function was traced for, so that nothing traced for one is taken for another.
"""

from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

import jax

Platform = Literal["cpu", "gpu", "tpu"]
PLATFORMS: tuple[Platform, ...] = get_args(Platform)

CPU_PARAMETERS_AVERAGED = 2**20
"""Parameters of all client and group models together that a CPU averages and mixes at a time."""
CPU_ARRAY_BYTES, ACCELERATOR_ARRAY_BYTES = 2**23, 2**27
"""Bytes of the largest array made while models are scored: on a CPU its caches hold it."""
CPU_PARAMETERS_SCORED = 2**15
"""Parameters that all models which a CPU scores side by side may have together."""

_told = jax.make_user_context(None)


def compiling_for(platform: Platform) -> AbstractContextManager[None]:
    """Choose for a platform, in this context and thread, whatever devices there are.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.

    Raises:
        ValueError: If there is no such platform.
    """
    if platform not in PLATFORMS:
        raise ValueError(
            f"The platform {platform!r} is unknown; possible are {', '.join(PLATFORMS)}."
        )
    return _told(platform)


def platform() -> Platform:
    """The platform that choices are for: the one told, else JAX's default one.

    An accelerator of another kind is treated as a GPU.
    """
    named = _told.value or jax.default_backend()
    return named if named in PLATFORMS else "gpu"


def _on_cpu() -> bool:
    return platform() == "cpu"


def clients_trained_at_once(clients: int) -> int:
    """Clients trained side by side: one on a CPU, where caches are small, else up to 256.

    On a CPU more would also turn convolutions into grouped ones, which are slow there.
    """
    return 1 if _on_cpu() else min(clients, 256)


def parameters_averaged_at_once(models: int) -> int | None:
    """Parameters of so many models averaged and mixed at a time; ``None``, all.

    On a CPU so few that caches hold what is made on the way, which costs more than the sums.
    """
    return max(512, CPU_PARAMETERS_AVERAGED // models) if _on_cpu() else None


def convolution_form() -> Literal["tiles", "product"]:
    """The fastest form of a convolution: by tiles on a CPU, where one model is computed at a time.

    Elsewhere matrix products, which batch over many models at once.
    """
    return "tiles" if _on_cpu() else "product"


def models_scored_at_once(parameters: int, *, convolved: bool) -> int:
    """How many models of so many parameters are scored side by side, at least 1.

    On a CPU a single one, but up to 4 where they are so small that their products are faster in a
    batch, and nothing is convolved: convolutions side by side are slow there. Elsewhere 16.
    """
    if not _on_cpu():
        return 16
    return 1 if convolved else max(1, min(4, CPU_PARAMETERS_SCORED // max(parameters, 1)))


def largest_scoring_array() -> int:
    """Bytes of the largest array that is made while models are scored."""
    return CPU_ARRAY_BYTES if _on_cpu() else ACCELERATOR_ARRAY_BYTES


def fewest_mutual_pairs(count: int) -> int | None:
    """Fewest mutual pairs among so many clusters worth a pass over all; ``None``: never.

    On a CPU the nearest-neighbour chain is faster at every size; elsewhere each of its steps costs
    a launch.
    """
    return None if _on_cpu() else max(2, count // 512)


def experiments_at_once(count: int) -> int:
    """How many of a sweep's experiments a device runs side by side.

    On a CPU one, in the memory of one; elsewhere all, for a single one does not fill a device.
    """
    return 1 if _on_cpu() else count


def compiler_options(devices: int) -> dict[str, Any] | None:
    """How programs for so many devices are compiled; ``None``, as XLA likes.

    Several devices of a CPU have a core each, so that a step on one of them runs on one thread.
    """
    return {"xla_cpu_multi_thread_eigen": False} if devices > 1 and _on_cpu() else None


def devices_share_memory() -> bool:
    """Whether all devices have one memory, as those of a CPU do."""
    return _on_cpu()


def devices_are_cores() -> bool:
    """Whether devices are cores of one processor, so that more of them than cores gain nothing."""
    return _on_cpu()
