"""Every choice that a CPU, a GPU or a TPU makes differently, each a function of its own.

Nothing else asks which platform a program is for. It is JAX's default one, unless told: a program
can be compiled for a device that this machine does not have:

    with compiling_for("tpu"):
        exported = jax.export.export(jax.jit(function), platforms=["tpu"])(*arguments)

A choice holds for what is traced inside the context, in this thread. JAX counts the platform among
what a function was traced for, so that nothing traced for one is taken for another.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

Platform = Literal["cpu", "gpu", "tpu"]
PLATFORMS: tuple[Platform, ...] = get_args(Platform)

CPU_PARAMETERS_AVERAGED, ACCELERATOR_PARAMETERS_AVERAGED = 2**20, 2**25
"""Parameters of all client and group models together that are averaged and mixed at a time."""
CPU_PARAMETERS_COMPARED, ACCELERATOR_PARAMETERS_COMPARED = 2**20, 2**25
"""Parameters of all client models together that distances read at a time."""
CPU_ARRAY_BYTES, ACCELERATOR_ARRAY_BYTES = 2**23, 2**27
"""Bytes of the largest array made while models are scored: on a CPU its caches hold it."""
CPU_PARAMETERS_SCORED = 2**15
"""Parameters that all models which a CPU scores side by side may have together."""

LARGE = 10
"""Examples are divided among devices that would be more than one in so many of a device's bytes."""

STORES: Mapping[str, Any] = {"bf16": jnp.bfloat16, "float32": jnp.float32}
"""Numbers that stacked models may be stored in, by name."""

_told, _told_bytes = jax.make_user_context(None), jax.make_user_context(None)
_told_to_divide, _told_store = jax.make_user_context(None), jax.make_user_context("float32")


def compiling_for(platform: Platform, memory: int | None = None) -> AbstractContextManager[None]:
    """Choose for a platform, in this context and thread, whatever devices there are.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        memory: Bytes of the device's memory; by default what devices here have, or 16 GB.

    Raises:
        ValueError: If there is no such platform.
    """
    if platform not in PLATFORMS:
        raise ValueError(
            f"The platform {platform!r} is unknown; possible are {', '.join(PLATFORMS)}."
        )
    return _telling(platform, memory)


@contextmanager
def _telling(platform: Platform, memory: int | None) -> Iterator[None]:
    with _told(platform), _told_bytes(memory):
        yield


def storing_models(numbers: str) -> AbstractContextManager[None]:
    """Choose, in this context and thread, in which numbers models of many clients are stored.

        with demjax.storing_models("bf16"):
            history = demjax.simulate(...)

    In 16 bits twice as many fit. They are widened whenever they are read, so that all is computed
    in single precision, and rounded whenever they are written, without a bias: after local
    training and mixing, and where clients are given a server's model. A single model, such as a
    server's, stays as it is, and so do collections beside ``params``, such as batch statistics.

    Args:
        numbers: ``"float32"``, the default, or ``"bf16"``.

    Raises:
        ValueError: If it is another word.
    """
    if numbers not in STORES:
        raise ValueError(
            f"Models can be stored in {' or '.join(STORES)}, but {numbers!r} was given."
        )
    return _told_store(numbers)


def platform() -> Platform:
    """The platform that choices are for: the one told, else JAX's default one.

    An accelerator of another kind is treated as a GPU.
    """
    named = _told.value or jax.default_backend()
    return named if named in PLATFORMS else "gpu"


def _on_cpu() -> bool:
    return platform() == "cpu"


def device_bytes() -> int:
    """Bytes of memory of the device: those told, else what it says, else 16 GB."""
    if _told_bytes.value is not None:
        return _told_bytes.value
    stats = jax.local_devices()[0].memory_stats() if _told.value is None else None
    return (stats or {}).get("bytes_limit", 16 * 10**9)


def clients_trained_at_once(clients: int, model_bytes: int) -> int:
    """Clients trained side by side: one on a CPU, where caches are small, else up to 256.

    On a CPU more would also turn convolutions into grouped ones, which are slow there. Elsewhere
    training takes the memory of about 12 models for each: a twentieth of the device is for that,
    or, where all models are more than that, what a tenth of theirs is.

    Args:
        clients: Clients of one device.
        model_bytes: Of one model.
    """
    if _on_cpu():
        return 1
    share, models = device_bytes() // 20, clients * model_bytes
    budget = min(share, max(models // 10, share - models))
    fit = budget // max(12 * model_bytes, 1)
    return min(clients, 256, max(8, fit - fit % 8))


def stores_flat() -> bool:
    """Whether stacked models are one array ``[N, P]``; on a CPU they are leaves, as trained.

    An accelerator has the memory of as many models as it can hold, and little beside them.
    """
    return not _on_cpu()


def store_dtype() -> Any:
    """The numbers that parameters of stacked models are stored in."""
    return STORES[_told_store.value]


def writes_bits() -> bool:
    """Whether 16-bit floats are written as whole numbers of the same bits.

    XLA for a CPU converts all of an array of such floats, to write a part of it.
    """
    return _on_cpu()


def widest_gathered_row() -> float:
    """Numbers in a row from which on rows are copied one after another, not gathered at once.

    To gather long rows, a TPU first copies the whole array in parts of shorter ones.
    """
    return 2**14 if platform() == "tpu" else float("inf")


def parameters_averaged_at_once(models: int) -> int:
    """Parameters of so many models averaged and mixed at a time.

    On a CPU so few that caches hold what is made on the way, which costs more than the sums;
    elsewhere so few that it is little memory, and so many that each is worth a launch.
    """
    if _on_cpu():
        return max(512, CPU_PARAMETERS_AVERAGED // models)
    return max(1024, ACCELERATOR_PARAMETERS_AVERAGED // models)


def parameters_compared_at_once(models: int) -> int:
    """Parameters of so many models that distances read at a time, on any device."""
    return (CPU_PARAMETERS_COMPARED if _on_cpu() else ACCELERATOR_PARAMETERS_COMPARED) // models


def compares_one_by_one() -> bool:
    """Whether models are compared with a few others one by one, as in caches, not all at once."""
    return _on_cpu()


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


def columns_in_a_tile() -> int:
    """What numbers of columns worked on at a time are multiples of, where all of them are."""
    return 1 if _on_cpu() else 1024


def products_above_diagonal() -> bool:
    """Whether products of all pairs are written as one for each block of rows above the diagonal.

    That is half of the operations, and for a TPU takes four times as long to compile.
    """
    return _on_cpu()


def fewest_mutual_pairs(count: int) -> int | None:
    """Fewest mutual pairs among so many clusters worth a pass over all; ``None``: never.

    On a CPU the nearest-neighbour chain is faster at every size; elsewhere each of its steps costs
    a launch.
    """
    return None if _on_cpu() else max(2, count // 512)


def takes_matrices_one_by_one() -> bool:
    """Whether LAPACK is given one matrix at a time: a CPU's, where a batch may wait for ever."""
    return _on_cpu()


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


def dividing_examples(yes: bool | None) -> AbstractContextManager[None]:
    """Let several devices have the examples in parts, or whole; ``None``: where they are large."""
    return _told_to_divide(yes)


def divides_examples(size: int, devices: int) -> bool:
    """Whether each device has a part of the inputs of all examples, in place of all of them."""
    if devices == 1:
        return False
    if _told_to_divide.value is not None:
        return _told_to_divide.value
    return size > device_bytes() // (LARGE * (devices if devices_share_memory() else 1))


def devices_share_memory() -> bool:
    """Whether all devices have one memory, as those of a CPU do."""
    return _on_cpu()


def devices_are_cores() -> bool:
    """Whether devices are cores of one processor, so that more of them than cores gain nothing."""
    return _on_cpu()
