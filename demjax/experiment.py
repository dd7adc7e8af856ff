"""One frozen dataclass that says everything about a run."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demjax import data, linkage


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
    data_dir: str | None = _option(
        None, "folder with the data set's files, for npz also the file", "Data"
    )
    synthetic_alpha: float = _option(
        1.0, "how much clients' models differ, α, for synthetic", "Data", 0.0, 1e3
    )
    synthetic_beta: float = _option(
        1.0, "how much clients' inputs differ, β, for synthetic", "Data", 0.0, 1e3
    )
    partition: str = _option("labels", "who gets which examples", "Data", choices="PARTITIONS")
    clients: int = _option(50, "number of clients", "Data", 1)
    labels_per_client: int = _option(2, "labels of each client, for labels", "Data", 1)
    dirichlet_alpha: float = _option(
        0.5, "evenness of labels over clients, for dirichlet", "Data", 1e-6, 1e6
    )
    test_fraction: float = _option(
        0.2, "share of each client's examples held back for tests", "Data", 0.01, 0.99
    )
    conflict: str = _option(
        "none", "planted conflict between kinds of clients", "Data", choices="CONFLICTS"
    )
    kinds: int = _option(4, "kinds of clients, for a conflict", "Data", 1)
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

    cohort: int | None = _option(
        None, "clients drawn to train in each round; by default all", "Training", 1
    )
    precision: str = _option(
        "float32",
        "of training and measuring: float32; tf32, products of 19 bits where the device has them; "
        "bf16, all but weights in 16 bits",
        "Training",
        choices="PRECISIONS",
    )

    levels: int | None = _option(None, "levels of groups under the root, K [3]", "DemLearn", 0, 20)
    mix: float | tuple[float, ...] | None = _option(
        None,
        "top-down mixing α, or one for clients and one for each level from the lowest, such as "
        "0.6,0.6,0.4,0.2 [demlearn 0.6; fedavg: given, the control]",
        "DemLearn",
        0.0,
        1.0,
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
        None, "server's rate; given, a server optimizer [1 with momentum]", "FedAvg", 0.0, 1e3
    )
    server_momentum: float | None = _option(
        None, "server momentum; given, a server optimizer [0]", "FedAvg", 0.0, 1.0
    )
    start: str | None = _option(
        None, "model that local training starts from [own]", "DemLearn", choices="STARTS"
    )
    weigh: str | tuple[str, ...] | None = _option(
        None,
        "what counts in group means, or one for each level from the lowest to the root [clients]",
        "DemLearn",
        choices="WEIGHINGS",
    )
    average_layers: tuple[str, ...] | None = _option(
        None, "layers that are averaged and mixed, such as Dense_0,Dense_1 [all]", "DemLearn"
    )
    features: str | None = _option(
        None, "what clients are grouped by [weights]", "Organization", choices="FEATURES"
    )
    feature_layers: tuple[str, ...] | None = _option(
        None, "layers that are looked at for it [all]", "Organization"
    )
    sketch: int | None = _option(
        None, "dimensions of a random projection of that; by default none", "Organization", 1
    )
    metric: str | None = _option(
        None, "distance between clients [euclidean]", "Organization", choices="METRICS"
    )
    linkage: str | None = _option(None, "linkage [average]", "Organization", choices="LINKAGES")
    linkage_backend: str | None = _option(
        None, "where linkage is computed [xla]", "Organization", choices="BACKENDS"
    )
    groups: tuple[int, ...] | None = _option(
        None, "cut into so many groups, a number for each level from the lowest", "Organization", 1
    )
    heights: tuple[float, ...] | None = _option(
        None, "cut at these distances, one for each level from the lowest", "Organization", 0.0, 1e9
    )
    slots: int | None = _option(None, "most groups on a level for heights [32]", "Organization", 1)
    min_size: int | None = _option(
        None, "fewest clients of a group; smaller ones join the nearest [1]", "Organization", 1
    )


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
        "start": "own",
        "weigh": "clients",
        "average_layers": None,
        "features": "weights",
        "feature_layers": None,
        "sketch": None,
        "metric": "euclidean",
        "linkage": "average",
        "linkage_backend": "xla",
        "groups": None,
        "heights": None,
        "slots": 32,
        "min_size": 1,
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
    "CONFLICTS": ("none", "relabelled", "rotated"),
    "PIXELS": ("published", "standardized", "unit"),
    "MODELS": ("cnn", "linear", "mlp"),
    "PRECISIONS": ("bf16", "float32", "tf32"),
    "METRICS": ("correlation", "cosine", "euclidean", "sqeuclidean"),
    "LINKAGES": linkage.METHODS,
    "BACKENDS": linkage.BACKENDS,
    "FEATURES": ("gradients", "updates", "weights"),
    "STARTS": ("own", "parent", "root"),
    "WEIGHINGS": ("clients", "examples"),
}


SPECIAL = frozenset(name for options in DEFAULTS.values() for name in options)
"""All options that only some algorithms use."""


def option_types(field: dataclasses.Field) -> tuple[type | None, type | None, bool]:
    """Type of an option's single value, that of the items of its list, and whether none is one."""
    kind: Any = field.type
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    lists = [typing.get_args(kind)[0] for kind in kinds if typing.get_origin(kind) is tuple]
    single = [k for k in kinds if k is not type(None) and typing.get_origin(k) is None]
    return next(iter(single), None), next(iter(lists), None), type(None) in kinds


def parse(field: dataclasses.Field, word: str) -> Any:
    """An option's value from a word of the command line, where commas part a list.

    Raises:
        ValueError: If the word is no such value.
    """
    one, many, _ = option_types(field)
    if many is not None and (one is None or "," in word):
        return tuple(many(part.strip()) for part in word.split(","))
    assert one is not None
    return one(word)
