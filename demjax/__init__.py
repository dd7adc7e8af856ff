"""demjax: democratized and federated learning of thousands of clients, vectorized in JAX."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0.dev0"

if TYPE_CHECKING:
    from demjax.interface import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """What is asked for, read only then: help and wrong words in a shell wait for no JAX."""
    if name == "__all__":
        return __dir__()
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.isidentifier() and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    interface = import_module(f"{__name__}.interface")
    if name not in interface.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(interface, name)  # so that it is looked for once
    return globals()[name]


def __dir__() -> list[str]:
    """What a user needs, without the modules that hold it."""
    return sorted([*import_module(f"{__name__}.interface").__all__, "__version__"])
