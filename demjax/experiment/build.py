"""From an experiment's names to the data, the model and the algorithm that they stand for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Num

from demjax import data
from demjax.backend import policy
from demjax.backend.policy import storing_models
from demjax.backend.sharding import devices_at_work
from demjax.base import Algorithm, ClientData, Task
from demjax.clients.local_training import LocalTraining, local_training
from demjax.clients.participation import Who
from demjax.data.rows_in_files import Inputs, changed
from demjax.experiment.experiment import Experiment, settled
from demjax.experiment.faults import own_options, stragglers_of, under_faults, with_lied_labels
from demjax.experiment.load_data import check_range, load, partitioned, without_tests
from demjax.experiment.notes import notes, validation_note
from demjax.experiment.privacy import clients_private, examples_private, with_privacy
from demjax.experiment.validation import check_together
from demjax.hierarchy.private_mean import private_mean
from demjax.metrics import Measures, measure
from demjax.metrics.selection import TakeMeasures
from demjax.models.layers import selection_in_words
from demjax.registry import ALGORITHMS, MEANS, MODELS, NORMALIZATIONS, OPTIMIZERS, call
from demjax.tasks.classification import classification

COMPUTE: Mapping[str, Any] = {"bf16": jnp.bfloat16, "float32": jnp.float32, "tf32": jnp.float32}
PRODUCTS: Mapping[str, str] = {"bf16": "default", "float32": "float32", "tf32": "tensorfloat32"}
"""How a device multiplies matrices of single precision: a GPU would round them by default."""


class Run(NamedTuple):
    """What ``simulate`` and ``watch`` need of an experiment, and who has which examples.

    ``y`` are the labels that were partitioned, before any conflict; ``labels`` what they stand
    for; ``experiment`` is as the data settle it; ``notes`` are lines that a user wants to see, such
    as what became of a test part, or what names of layers stand for; ``true_clusters`` are the
    planted ones.
    """

    algorithm: Algorithm
    task: Task
    clients: ClientData
    take_measures: TakeMeasures[Measures]
    partition: data.Partition
    y: Int[np.ndarray, " T"]
    labels: tuple[str, ...]
    experiment: Experiment
    notes: tuple[str, ...] = ()
    true_clusters: Int[np.ndarray, " N"] | None = None


def build(experiment: Experiment) -> Run:
    """Load and partition the data, and make the model and the algorithm.

    Args:
        experiment: As ``resolve`` returns it.

    Returns:
        What ``simulate`` and ``watch`` need.

    Raises:
        ValueError: If the data are missing or damaged, or cannot be partitioned as asked.
    """
    asked, loaded = experiment, load(experiment)
    experiment = settled(experiment, owners=loaded.owner is not None)
    found = partitioned(experiment, loaded)
    about_data = notes(asked, experiment, loaded, found.partition)
    if experiment.validation is not None:
        found = without_tests(experiment, found)
        about_data.append(validation_note(found.partition))
    values, count = experiment.values, len(found.partition.train)
    if values["clients"] is None:
        check_together({**values, "clients": count}, experiment.given)
    found = with_lied_labels(values, found)
    dataset = found.dataset
    x, inputs = _inputs(experiment, dataset, found.held)
    parts = policy.divides_examples(x.nbytes, devices_at_work())
    clients = data.client_data(x, dataset.y, found.held, on_host=parts)
    model = call(MODELS.find(experiment.model), MODELS, values, classes=dataset.classes)
    task = classification(model, clients.x[0], compute=COMPUTE[experiment.precision], inputs=inputs)
    params = jax.eval_shape(task.init, jax.random.key(0))
    about_layers = [
        f"{name}: {selection_in_words(params, values[name])}"
        for name in ("average_layers", "feature_layers", "head_layers")
        if values.get(name)
    ]
    algorithm = algorithm_for(experiment, task, found.true_clusters, count)
    if values.get("leave_out_nonfinite") or values.get("example_clip") is not None:
        _try_a_round(algorithm, clients)
    take_measures = measure(
        task,
        clients,
        measures=experiment.measures,
        true_clusters=found.true_clusters,
        extra=experiment.extra,
        measure_examples=experiment.measure_examples,
        measure_clients=experiment.measure_clients,
        key=jax.random.key(experiment.seed),
    )
    labels = dataset.labels or tuple(map(str, range(dataset.classes)))
    partition, said = found.partition, (*about_data, *about_layers)
    return Run(
        algorithm,
        task,
        clients,
        take_measures,
        partition,
        found.y,
        labels,
        experiment,
        said,
        found.true_clusters,
    )


def algorithm_for(
    experiment: Experiment,
    task: Task,
    true_clusters: Int[np.ndarray, " N"] | None = None,
    clients: int | None = None,
) -> Algorithm:
    """The algorithm of an experiment, and the local training that it is made of.

    Args:
        experiment: As ``resolve`` returns it.
        task: What is learned.
        true_clusters: Of each client, for groups that are to be these.
        clients: Number of clients; by default as the experiment says.

    Raises:
        ValueError: If its options do not go together.
    """
    values = experiment.values
    local = local_of(experiment, task)
    choice = ALGORITHMS.find(experiment.algorithm)
    known: dict[str, Any] = {}
    if values.get("client_clip") is not None:
        known["average"] = private_mean(clients_private(values, task))
    elif values.get("mean") is not None:
        known["average"] = call(MEANS.find(values["mean"]), MEANS, own_options(values, "mean_"))
    if values.get("placement") == "true_clusters":
        known["client_groups"] = true_clusters

    def make(**parts: Any) -> Algorithm:
        made = call(choice, ALGORITHMS, values, **known, **parts)
        if not isinstance(made, Algorithm):
            raise ValueError(
                f"The algorithm {choice.name!r} made {type(made).__name__}; possible is "
                "demjax.base.Algorithm(init=…, round=…, models=…)."
            )
        return made

    count = experiment.clients if clients is None else clients

    def faulty(*, local: LocalTraining, cohort: Who) -> Algorithm:
        return under_faults(make, local, values, cohort, count)

    return with_privacy(faulty, local, values, experiment.cohort)


def local_of(experiment: Experiment, task: Task) -> LocalTraining:
    """How the clients of an experiment train on their own."""
    return local_training(
        task,
        call(OPTIMIZERS.find(experiment.optimizer), OPTIMIZERS, experiment.values),
        epochs=experiment.epochs,
        batch_size=experiment.batch_size,
        batches_per_epoch=experiment.batches_per_epoch,
        chunk=experiment.chunk,
        stragglers=stragglers_of(experiment.values),
        private=examples_private(experiment.values),
    )


def parameters(task: Task) -> int:
    """How many parameters one client's model has, from shapes alone."""
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def _try_a_round(algorithm: Algorithm, clients: ClientData) -> None:
    """Trace a round, which some algorithms refuse under what is injected into them."""
    key = jax.random.key(0)
    state = jax.eval_shape(algorithm.init, key, clients)
    jax.eval_shape(algorithm.round, key, state, clients)


@contextmanager
def as_asked(experiment: Experiment) -> Iterator[None]:
    """Where programs of an experiment are traced: how precise products are, and models stored."""
    precise = jax.default_matmul_precision(PRODUCTS[experiment.precision])
    with precise, storing_models(experiment.store_models):
        yield


def _inputs(
    experiment: Experiment, dataset: data.Dataset, partition: data.Partition
) -> tuple[Num[Inputs, " T *shape"], data.Normalization | None]:
    """Inputs as the device holds them, and what each step has still to do to them."""
    bytes_ = dataset.x.dtype == np.uint8
    if experiment.store == "bytes" and not bytes_:
        raise ValueError(
            f"The inputs of {experiment.dataset!r} are no bytes but {dataset.x.dtype}; possible is "
            "--store floats."
        )
    choice = NORMALIZATIONS.find(experiment.normalization)
    if choice.facts.get("scaled"):
        check_range(dataset.x, f"--normalization {choice.name}")
    normalization = call(
        choice,
        NORMALIZATIONS,
        experiment.values,
        x=dataset.x if choice.facts.get("by_rows") else np.asarray(dataset.x),
        rows=np.concatenate(partition.train),
        maximum=255.0 if bytes_ else 1.0,
        dataset=experiment.dataset,
    )
    if experiment.store == "bytes":
        return dataset.x, normalization
    return changed(dataset.x, normalization), None
