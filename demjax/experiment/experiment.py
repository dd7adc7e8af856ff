"""One frozen dataclass that says everything about a run."""

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any


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
    partition: str | None = _option(
        None,
        "who gets which examples; by default natural for leaf and synthetic data, else labels",
        "Data",
        choices="PARTITIONS",
    )
    clients: int = _option(50, "number of clients", "Data", 1)
    labels_per_client: int | None = _option(
        None, "labels of each client [labels, planted 2]", "Data", 1
    )
    label_sigma: float | None = _option(
        None,
        "log-normal spread σ of how much a client has of a label [labels 1; planted 0]",
        "Data",
        0.0,
        1e6,
    )
    dirichlet_alpha: float | None = _option(
        None, "evenness of labels over clients, or of sizes for quantity [0.5]", "Data", 1e-6, 1e6
    )
    min_examples: int | None = _option(
        None, "fewest examples of a client [dirichlet, quantity 2]", "Data", 2
    )
    partition_file: str | None = _option(
        None, "file of a partition, for file; demjax partition and every run write one", "Data"
    )
    test_fraction: float | None = _option(
        None,
        "share of a client's examples held back for tests, where data have none set apart [0.2]",
        "Data",
        0.01,
        0.99,
    )
    conflict: str = _option("none", "planted conflict of clients", "Data", choices="CONFLICTS")
    kinds: int | None = _option(None, "kinds of clients [conflicts, planted 4]", "Data", 1)
    noise: float | None = _option(
        None,
        "deviation of the noise of the last kind, in parts of the range of the inputs [noisy 0.5]",
        "Data",
        0.0,
        100.0,
    )
    pixels: str | None = _option(
        None,
        "scale of the inputs: standardized (all pixels by one mean and deviation), per_pixel (each "
        "by its own), both of the training examples; unit (0…1); centred (−1…1); published (as in "
        "the experiment published on the data set, tests included); by default published for the "
        "published partition, else standardized",
        "Data",
        choices="PIXELS",
    )
    store: str = _option(
        "floats",
        "pictures on the device: floats, scaled beforehand, or bytes, a quarter of the memory, "
        "scaled in each step",
        "Data",
        choices="STORES",
    )

    model: str = _option("cnn", "model", "Training", choices="MODELS")
    dropout: float | None = _option(
        None,
        "dropout of the model while it trains, where it has any [cnn 0.4, cifar_cnn 0.5]",
        "Training",
        0.0,
        0.99,
    )
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
