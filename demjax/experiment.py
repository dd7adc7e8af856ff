"""One frozen dataclass that says everything about a run, and the checks of each option."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demjax import data, linkage

PUBLISHED_CLIENTS = 50


def _option(
    default: Any,
    text: str,
    group: str,
    low: float | None = None,
    high: float | None = None,
    choices: str | None = None,
) -> Any:
    """A field with what the command line and the checks need to know about it."""
    metadata = {"help": text, "group": group, "low": low, "high": high}
    metadata["choices"] = choices
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that decides a run's numbers; ``None`` means the algorithm's own default.

    The fields are the options of ``demjax run``, which explains each.
    """

    algorithm: str = _option("demlearn", "learning system", "What", choices="ALGORITHMS")
    rounds: int = _option(100, "communication rounds", "What", 1, 1_000_000)
    seed: int = _option(0, "decides the split, the first model and all draws", "What", 0, 2**31 - 1)
    eval_every: int = _option(1, "rounds between two measurements", "What", 1)

    dataset: str = _option("digits", "data set", "Data", choices="DATASETS")
    data_dir: str | None = _option(None, "folder with the data set's files", "Data")
    partition: str = _option("labels", "who gets which examples", "Data", choices="PARTITIONS")
    clients: int = _option(50, "number of clients", "Data", 1)
    labels_per_client: int = _option(2, "labels of each client, for labels", "Data", 1)
    dirichlet_alpha: float = _option(
        0.5, "evenness of labels over clients, for dirichlet", "Data", 1e-6, 1e6
    )
    test_fraction: float = _option(
        0.2, "share of each client's examples held back for tests", "Data", 0.01, 0.99
    )
    pixels: str | None = _option(
        None,
        "scale of the inputs: published (each pixel by its mean and deviation over the whole data "
        "set, tests too), standardized (all by one mean and deviation of the training examples) or "
        "unit (0…1); by default published for the published partition, else standardized",
        "Data",
        choices="PIXELS",
    )

    model: str = _option("cnn", "model", "Training", choices="MODELS")
    epochs: int = _option(2, "local epochs in a round", "Training", 1)
    batch_size: int = _option(10, "examples in a batch", "Training", 1)
    lr: float = _option(0.05, "learning rate of local SGD", "Training", 0.0, 1e3)
    chunk: int | None = _option(
        None, "clients trained at once; by default chosen by the backend", "Training", 1
    )

    levels: int | None = _option(None, "levels of groups under the root, K [3]", "DemLearn", 0, 20)
    mix: float | None = _option(
        None, "top-down mixing α [demlearn 0.6; fedavg: given, the control]", "DemLearn", 0.0, 1.0
    )
    prox: float | None = _option(
        None, "proximal term μ [demlearn 0.002, fedprox 0.5]", "DemLearn", 0.0, 1e6
    )
    period: int | None = _option(None, "rounds between two clusterings, τ [1]", "DemLearn", 1)
    soft: float | None = _option(
        None, "soft update γ while the tree is kept [1]", "DemLearn", 0.0, 1.0
    )
    amplification: float | None = _option(
        None, "factor on group means in the first rounds [1; published 1.15]", "DemLearn", 0.0, 10.0
    )
    amplified_rounds: int | None = _option(None, "how many rounds that lasts [5]", "DemLearn", 0)
    beta: float | None = _option(
        None, "first β of the earlier version of DemLearn, which it selects", "DemLearn", 0.0, 1.0
    )
    beta_decay: float | None = _option(None, "factor on β each round [0.7]", "DemLearn", 0.0, 1.0)
    beta_floor: float | None = _option(None, "least β [0.001]", "DemLearn", 0.0, 1.0)
    server_lr: float | None = _option(
        None,
        "server learning rate; given, a server optimizer [1 with momentum]",
        "FedAvg",
        0.0,
        1e3,
    )
    server_momentum: float | None = _option(
        None, "server momentum; given, a server optimizer [0]", "FedAvg", 0.0, 1.0
    )
    metric: str | None = _option(
        None, "distance between clients [euclidean]", "DemLearn", choices="METRICS"
    )
    linkage: str | None = _option(None, "linkage [average]", "DemLearn", choices="LINKAGES")


DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "demlearn": {
        "levels": 3,
        "mix": 0.6,
        "prox": 0.002,
        "period": 1,
        "soft": 1.0,
        "amplification": 1.0,
        "amplified_rounds": 5,
        "beta": None,
        "beta_decay": 0.7,
        "beta_floor": 0.001,
        "metric": "euclidean",
        "linkage": "average",
    },
    "fedavg": {"mix": None, "server_lr": None, "server_momentum": None},
    "fedprox": {"prox": 0.5},
    "local_only": {},
}
"""The options that only some algorithms use, and their defaults there."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "ALGORITHMS": tuple(DEFAULTS),
    "DATASETS": data.NAMES,
    "PARTITIONS": ("dirichlet", "iid", "labels", "published"),
    "PIXELS": ("published", "standardized", "unit"),
    "MODELS": ("cnn", "linear", "mlp"),
    "METRICS": ("cosine", "euclidean"),
    "LINKAGES": linkage.METHODS,
}


SPECIAL = frozenset(name for options in DEFAULTS.values() for name in options)
"""All options that only some algorithms use."""


def unused_options(experiment: Experiment) -> list[str]:
    """Options that were given, but mean nothing to the experiment's algorithm."""
    used = DEFAULTS.get(experiment.algorithm, {})
    return [
        field.name
        for field in dataclasses.fields(experiment)
        if field.name in SPECIAL - set(used) and getattr(experiment, field.name) is not None
    ]


def nearest(name: str, possible: Iterable[str]) -> str:
    """A half-sentence naming the nearest possible name, if one is near, and all of them."""
    possible = list(possible)
    close = difflib.get_close_matches(name.lower(), possible, n=1, cutoff=0.4)
    hint = f"perhaps {close[0]!r} was meant, and " if close else ""
    return f"{hint}possible are {', '.join(possible)}"


def resolve(experiment: Experiment) -> Experiment:
    """Check every option and fill in the algorithm's defaults, so that nothing is implied.

    Raises:
        ValueError: One sentence: what was given, and what is possible.
    """
    for field in dataclasses.fields(experiment):
        _check_option(field, getattr(experiment, field.name))
    defaults = DEFAULTS[experiment.algorithm]
    filled: dict[str, Any] = dict.fromkeys(SPECIAL - set(defaults))
    for name, default in defaults.items():
        given = getattr(experiment, name)
        filled[name] = default if given is None else given
    if experiment.data_dir is not None:
        filled["data_dir"] = str(Path(experiment.data_dir).absolute())
    if experiment.pixels is None:
        published = experiment.partition == "published"
        filled["pixels"] = "published" if published else "standardized"
    resolved = dataclasses.replace(experiment, **filled)
    levels = resolved.levels or 0
    if 2**levels > resolved.clients:
        raise ValueError(
            f"A tree of {levels} levels has up to {2**levels} lowest groups and needs as many "
            f"clients, but there are {resolved.clients}; possible levels are 0 to "
            f"{resolved.clients.bit_length() - 1}."
        )
    if resolved.partition == "published" and resolved.dataset != "mnist":
        raise ValueError(
            f"The published partition deals MNIST, but the data set is {resolved.dataset!r}; "
            "possible is --dataset mnist."
        )
    if resolved.partition == "published" and resolved.clients != PUBLISHED_CLIENTS:
        raise ValueError(
            f"The published partition has {PUBLISHED_CLIENTS} clients, but {resolved.clients} were "
            f"asked for; possible is --clients {PUBLISHED_CLIENTS}."
        )
    return resolved


def _check_option(field: dataclasses.Field, value: Any) -> None:
    flag = "--" + field.name.replace("_", "-")
    kinds = option_types(field)
    if value is None and type(None) in kinds:
        return
    wanted = next(kind for kind in kinds if kind is not type(None))
    right = isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
    if not right or isinstance(value, bool):
        raise ValueError(
            f"{flag} needs a value of type {wanted.__name__}, but {value!r} was given."
        )
    choices = field.metadata.get("choices")
    if choices is not None and value not in CHOICES[choices]:
        what = flag.removeprefix("--").replace("-", " ")
        raise ValueError(f"The {what} {value!r} is unknown; {nearest(value, CHOICES[choices])}.")
    low, high = field.metadata["low"], field.metadata["high"]
    if low is None:
        return
    # Whole numbers become 32 bits wide on the device.
    if not low <= value <= (2**31 - 1 if high is None else high):
        possible = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{flag} was given as {value}; possible is {possible}.")


def option_types(field: dataclasses.Field) -> tuple[type, ...]:
    """The types that an option may take."""
    kind: Any = field.type
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
