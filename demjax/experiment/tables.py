"""The tables of a configuration: what every run has, beside the options of what it chooses.

Each is a dataclass that is only read for its signature, as every choice is: names, defaults, ranges
and help are written once.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from demjax.data.transforms.layout import Layout
from demjax.registry import (
    ALGORITHMS,
    ATTACKS,
    CONFLICTS,
    DATASETS,
    MEANS,
    METRICS,
    MODELS,
    NORMALIZATIONS,
    OPTIMIZERS,
    PARTITIONS,
    Option,
    Range,
    Slot,
    code_in,
    expand,
    slot_of,
)
from demjax.registry.choices import check_apart


@dataclass(frozen=True, kw_only=True)
class Run:
    """How long, from which seed, and what is measured when.

    Args:
        rounds: communication rounds
        seed: decides the split, the first model and all draws
        eval_every: rounds between two measurements
        measures: what is measured: client (C-SPE and C-GEN), group (G-SPE and G-GEN), global
        measures_every: rounds between two measurements of single ones, such as client=10,group=5
        extra: measures beside the score, of the same models and test data; also functions of
            your own as path/to/file.py:name
        measure_examples: test examples to measure, drawn once; by default all
        measure_clients: clients' models to measure, drawn once; by default all
    """

    rounds: Annotated[int, Range(1, 1_000_000)] = 100
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    eval_every: Annotated[int, Range(1)] = 1
    measures: tuple[Literal["client", "group", "global"], ...] = ("client", "group", "global")
    measures_every: tuple[str, ...] = ()
    extra: Annotated[tuple[str, ...], METRICS] = ()
    measure_examples: Annotated[int | None, Range(2)] = None
    measure_clients: Annotated[int | None, Range(2)] = None


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which examples there are, who has which of them, and how they are scaled.

    Args:
        dataset: data set
        data_dir: folder with the data set's files, for npz also the file
        layout: axes of the inputs of npz, leaf and files of your own: height, width and channels
            (hwc), channels first (chw) or none (hw); as_is leaves them, auto looks
        partition: who gets which examples; by default natural where the data have owners, else
            labels
        pool_tests: whether the data's own test part is pooled with the training part before the
            split; else only the training part is trained on
        validation: share of each client's training examples that is held out and measured in place
            of its test examples, which are then not used at all; by default none
        clients: number of clients; by default 50, or all owners or those of the file
        conflict: planted conflict of clients; by default none
        normalization: scale of the inputs; by default published for the published partition, else
            standardized
        store: images on the device: floats, scaled beforehand, or bytes, a quarter of the memory,
            scaled in each step
    """

    dataset: Annotated[str, DATASETS] = "digits"
    data_dir: str | None = None
    layout: Layout = "auto"
    partition: Annotated[str | None, PARTITIONS] = None
    pool_tests: bool = False
    validation: Annotated[float | None, Range(0.001, 0.999)] = None
    clients: Annotated[int | None, Range(1)] = None
    conflict: Annotated[str | None, CONFLICTS] = None
    normalization: Annotated[str | None, NORMALIZATIONS] = None
    store: Literal["bytes", "floats"] = "floats"


@dataclass(frozen=True, kw_only=True)
class Model:
    """What every client trains.

    Args:
        model: model, or a class of your own as path/to/file.py:Name
    """

    model: Annotated[str, MODELS] = "cnn"


@dataclass(frozen=True, kw_only=True)
class Training:
    """How clients train on their own, and who takes part.

    Args:
        optimizer: local optimizer
        epochs: local epochs in a round
        batch_size: examples in a batch
        batches_per_epoch: batches of an epoch at most, the first of its random order; by default
            all
        chunk: clients trained at once; by default chosen by the backend
        cohort: clients drawn to train in each round; by default all
        precision: of training and measuring: float32; tf32, products of 19 bits where the device
            has them; bf16, all but weights in 16 bits
        store_models: models of clients and groups between their turns: float32, or bf16, half of
            the memory, for training still in 32 bits
    """

    optimizer: Annotated[str, Slot(OPTIMIZERS)] = "sgd"
    epochs: Annotated[int, Range(1)] = 2
    batch_size: Annotated[int, Range(1)] = 10
    batches_per_epoch: Annotated[int | None, Range(1)] = None
    chunk: Annotated[int | None, Range(1)] = None
    cohort: Annotated[int | None, Range(1)] = None
    precision: Literal["bf16", "float32", "tf32"] = "float32"
    store_models: Literal["bf16", "float32"] = "float32"


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """The learning system.

    Args:
        algorithm: learning system, or a function of your own as path/to/file.py:name
    """

    algorithm: Annotated[str, ALGORITHMS] = "demlearn"


@dataclass(frozen=True, kw_only=True)
class Aggregation:
    """How models are averaged, on every level of a hierarchy.

    Args:
        mean: robust mean in place of the algorithm's own
    """

    mean: Annotated[str | None, Slot(MEANS, prefix="mean_")] = None


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong: clients that are not there, are slow, break or lie.

    Args:
        dropout_rate: chance that a client drops out of a round
        trace_file: file with lines client,first,last: the rounds in which each client is there,
            the first round being 1; whoever has no line always is
        straggler_rate: chance that a client makes fewer local steps in a round
        straggler_least: least share of its steps that a straggler makes
        leave_out_nonfinite: whether a client whose update is not finite is left out of the round:
            of all means and of the clustering
        attack: what clients that lie send or train on; by default nobody lies
        attackers: share of the clients that lie, drawn once by the seed
        attacker_clients: numbers of clients that lie, beside those or alone
    """

    dropout_rate: Annotated[float, Range(0, 1)] = 0.0
    trace_file: str | None = None
    straggler_rate: Annotated[float, Range(0, 1)] = 0.0
    straggler_least: Annotated[float, Range(0, 1)] = 0.0
    leave_out_nonfinite: bool = False
    attack: Annotated[str | None, Slot(ATTACKS, prefix="attack_")] = None
    attackers: Annotated[float, Range(0, 1)] = 0.0
    attacker_clients: Annotated[tuple[int, ...], Range(0, 10**9)] = ()


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """What is clipped and noised, so that little can be learned of an example or of a client.

    Args:
        example_clip: longest gradient of an example in local training; by default examples are not
            protected
        example_noise: noise multiplier: the noise on a batch's sum of gradients has this many times
            the clip as its standard deviation
        client_clip: longest update of a client, in the means of all levels; by default clients are
            not protected
        client_noise: noise multiplier: the noise on a sum of updates has this many times the clip
            as its standard deviation
        delta: the chance that is allowed to fail, for which epsilon is told
    """

    example_clip: Annotated[float | None, Range(1e-6, 1e9)] = None
    example_noise: Annotated[float, Range(0, 1e6)] = 1.0
    client_clip: Annotated[float | None, Range(1e-6, 1e9)] = None
    client_noise: Annotated[float, Range(0, 1e6)] = 1.0
    delta: Annotated[float, Range(1e-15, 0.5)] = 1e-5


TABLES = {
    "run": Run,
    "data": Data,
    "model": Model,
    "training": Training,
    "algorithm": Algorithm,
    "aggregation": Aggregation,
    "faults": Faults,
    "privacy": Privacy,
}
"""The tables by name; what a choice takes can be in further ones, such as ``[clustering]``."""


def all_options(
    values: dict[str, Any], tables: tuple[str, ...] = tuple(TABLES)
) -> dict[str, Option]:
    """Every option of a run by name, under the choices that values make.

    Args:
        values: What is given; a choice that is left open has its default.
        tables: The tables that count.

    Raises:
        ValueError: If a choice is unknown.
    """
    found: dict[str, Option] = {}
    parts = [expand(TABLES[name], values, table=name) for name in tables]
    for here in parts:
        others = {name for part in parts if part is not here for name in part}
        for choice in here.values():
            slot = slot_of(choice)
            if slot is not None and code_in(choice.default):
                check_apart(choice.default, slot.options(choice.default, values), others)
        found |= {name: option for name, option in here.items() if name not in found}
    return found
