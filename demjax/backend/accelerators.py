"""Accelerators that programs can be compiled for without having one, and what they can do.

Memory, operations and bandwidth are the makers' figures for one device: NVIDIA's data sheets of the
H100 SXM, H200 and A100 80 GB SXM, Google Cloud's pages of TPU v5e, v5p and v6e. Operations are
those of products in single precision, as demjax has XLA make them: without TF32, and on a TPU as
six passes of its 16 bit units.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from demjax.backend.policy import Platform
from demjax.registry import check_whole, nearest

GIB = 2**30


class Accelerator(NamedTuple):
    """What is known of a device.

    Attributes:
        platform: What choices are made for.
        memory: Bytes of one device that programs may use.
        operations: Of products in single precision, a second.
        bandwidth: Bytes of memory that are read or written in a second.
        generation: What names its slices, for a TPU: ``"v5e"``.
        kind: The type of its smallest slice that XLA is told.
        target: What XLA is told of a GPU.
    """

    platform: Platform
    memory: int
    operations: float
    bandwidth: float
    generation: str = ""
    kind: str = ""
    target: str = ""


def _gpu(name: str, cores: int, clock: float, cache: int, memory: int, bandwidth: float) -> str:
    major = 8 if "A100" in name else 9
    shared = 233472 if major == 9 else 167936
    return f"""
gpu_device_info {{ threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: {shared} threads_per_core_limit: 2048 core_count: {cores}
  fpus_per_core: {64 if major == 8 else 128} block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
  block_dim_limit_z: 65535 memory_bandwidth: {int(bandwidth)} l2_cache_size: {cache}
  clock_rate_ghz: {clock} device_memory_size: {memory}
  shared_memory_per_block_optin: {shared - 1024}
  cuda_compute_capability {{ major: {major} }} registers_per_core_limit: 65536
  registers_per_block_limit: 65536 }}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 8 }}
runtime_version {{ major: 12 minor: 9 patch: 0 }}
device_description_str: "{name}"
"""


_H100 = _gpu("NVIDIA H100 80GB HBM3", 132, 1.98, 52428800, 84978434048, 3.35232e12)
_H200 = _gpu("NVIDIA H200", 132, 1.98, 52428800, 150754820096, 4.8e12)
_A100 = _gpu("NVIDIA A100-SXM4-80GB", 108, 1.41, 41943040, 84987740160, 2.039e12)

ACCELERATORS: Mapping[str, Accelerator] = {
    "h100": Accelerator("gpu", 80 * 10**9, 67e12, 3.35e12, target=_H100),
    "h200": Accelerator("gpu", 141 * 10**9, 67e12, 4.8e12, target=_H200),
    "a100": Accelerator("gpu", 80 * 10**9, 19.5e12, 2.04e12, target=_A100),
    "tpu-v5e": Accelerator("tpu", int(15.75 * GIB), 197e12 / 6, 0.82e12, "v5e", "v5litepod-4"),
    "tpu-v5p": Accelerator("tpu", int(95.74 * GIB), 459e12 / 6, 2.77e12, "v5p", "v5p-8"),
    "tpu-v6e": Accelerator("tpu", int(31.25 * GIB), 918e12 / 6, 1.64e12, "v6e", "v6e-4"),
}
"""All accelerators by name."""

SLICES: Mapping[str, Mapping[int, str]] = {
    "v5e": {4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8"},
    "v6e": {4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8"},
    "v5p": {4: "2x2x1", 8: "2x2x2", 16: "2x2x4", 32: "2x4x4", 64: "4x4x4"},
}
"""The slices of TPUs by their number of devices."""


def accelerator(name: str) -> Accelerator:
    """What is known of an accelerator.

    Raises:
        ValueError: If there is none of this name.
    """
    if name not in ACCELERATORS:
        known = ["cpu", *ACCELERATORS]
        raise ValueError(f"The accelerator {name!r} is unknown; {nearest(name, known)}.")
    return ACCELERATORS[name]


def absent_devices(name: str, count: int) -> Sequence[Any]:
    """Devices that are not here, for programs to be compiled for.

    Args:
        name: One of ``ACCELERATORS``.
        count: How many, 1 to 64.

    Raises:
        ValueError: If the name is unknown, there are no so many, or what compiles for them is not
            installed.
    """
    known = accelerator(name)
    check_whole("A plan", "devices", count, 1)
    if count > 64:
        raise ValueError(f"A plan can be for 1 to 64 devices, but {count} were given.")
    package, extra = ("jax_cuda12_plugin", "plan-gpu") if known.target else ("libtpu", "plan-tpu")
    remedy = f"pip install 'demjax[{extra}]', which needs no {known.platform.upper()}"
    if find_spec(package) is None:
        raise ValueError(
            f"Programs for {name} cannot be compiled here, for {package} is not installed; "
            f"possible is {remedy}."
        )
    try:
        return _gpus(known, count) if known.target else _tpus(known, count)
    except NotImplementedError as error:  # of a plug-in of another JAX
        raise ValueError(
            f"Programs for {name} cannot be compiled here, for {package} does not fit JAX "
            f"{jax.__version__} ({error}); possible is {remedy}."
        ) from None


def _gpus(known: Accelerator, count: int) -> Sequence[Any]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # that there is no device is known
    described = partial(
        topologies.get_topology_desc,
        platform="cuda",
        target_config=known.target,
        topology=f"1x{count}x1",
    )
    try:
        return described().devices
    except NotImplementedError:  # unless JAX_PLATFORMS says cpu, JAX drops it where no driver is
        os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"
        import_module("jax_plugins.xla_cuda12").initialize()
        return described().devices


def _tpus(known: Accelerator, count: int) -> Sequence[Any]:
    slices = SLICES[known.generation]
    told = {
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_ACCELERATOR_TYPE": known.kind,
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_WORKER_ID": "0",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # nothing is run, so nobody is in the way
    }
    os.environ.update({name: value for name, value in told.items() if name not in os.environ})
    shape = slices[next(size for size in slices if size >= count)]
    found = topologies.get_topology_desc(
        platform="tpu", topology_name=f"{known.generation}:{shape}"
    )
    return found.devices[:count]
