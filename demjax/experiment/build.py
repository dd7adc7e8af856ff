"""From an experiment's names to the data, the model and the algorithm that they stand for."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int, Num

from demjax import algorithms, clustering, data, hierarchy, models
from demjax.base import Algorithm, ClientData, Task
from demjax.clients.local_training import LocalTraining, local_training
from demjax.experiment.defaults import DEFAULTS
from demjax.experiment.experiment import Experiment
from demjax.experiment.load_data import check_range, deal, load
from demjax.metrics import Measures, measure
from demjax.tasks.classification import classification

METRICS: Mapping[str, clustering.Metric] = {
    "correlation": clustering.correlation,
    "cosine": clustering.cosine,
    "euclidean": clustering.euclidean,
    "sqeuclidean": clustering.sqeuclidean,
}
FEATURES: Mapping[str, Callable[..., clustering.Features]] = {
    "gradients": clustering.gradients,
    "updates": clustering.updates,
    "weights": clustering.weights,
}
STARTS: Mapping[str, Callable] = {
    "own": hierarchy.from_own,
    "parent": hierarchy.from_parent,
    "root": hierarchy.from_root,
}
MODELS: Mapping[str, Callable] = {
    "cifar_cnn": models.CifarCNN,
    "cnn": models.CNN,
    "linear": models.Linear,
    "mlp": models.MLP,
}
ALGORITHMS: Mapping[str, Callable[..., Algorithm]] = {
    "demlearn": algorithms.demlearn,
    "fedavg": algorithms.fedavg,
    "fedprox": algorithms.fedprox,
    "local_only": algorithms.local_only,
}


COMPUTE: Mapping[str, Any] = {
    "bf16": jnp.bfloat16,
    "float32": jnp.float32,
    "tf32": jnp.float32,
}
PRODUCTS: Mapping[str, str] = {
    "bf16": "default",
    "float32": "float32",
    "tf32": "tensorfloat32",
}
"""How a device multiplies matrices of single precision: a GPU would round them by default."""


class Run(NamedTuple):
    """What ``simulate`` and ``watch`` need of an experiment, and who has which examples.

    ``y`` are the labels that were dealt, before any conflict.
    """

    algorithm: Algorithm
    task: Task
    clients: ClientData
    take_measures: Callable[..., Measures]
    partition: data.Partition
    y: Int[np.ndarray, " T"]


def build(experiment: Experiment) -> Run:
    """Load and deal out the data, and make the algorithm.

    Args:
        experiment: As ``resolve`` returns it.

    Returns:
        What ``simulate`` and ``watch`` need.

    Raises:
        ValueError: If the data are missing or damaged, or cannot be dealt as asked.
    """
    dataset = load(experiment)
    dealt = deal(experiment, dataset)
    dataset = dealt.dataset
    x, inputs = _inputs(experiment, dataset, dealt.partition)
    clients = data.client_data(x, dataset.y, dealt.partition)
    rate = {} if experiment.dropout is None else {"dropout_rate": experiment.dropout}
    task = classification(
        MODELS[experiment.model](classes=dataset.classes, **rate),
        clients.x[0],
        compute=COMPUTE[experiment.precision],
        inputs=inputs,
    )
    local = local_training(
        task,
        optax.sgd(experiment.lr),
        epochs=experiment.epochs,
        batch_size=experiment.batch_size,
        chunk=experiment.chunk,
    )
    params = jax.eval_shape(task.init, run_key(experiment))
    for names in (experiment.average_layers, experiment.feature_layers):
        clustering.chosen_layers(params, names or ())
    take_measures = measure(task, clients, kinds=dealt.kinds)
    return Run(
        _algorithm(experiment, local), task, clients, take_measures, dealt.partition, dealt.y
    )


def run_key(experiment: Experiment) -> jax.Array:
    """The key of all of a run's randomness but the split."""
    return jax.random.key(experiment.seed)


def parameters(task: Task) -> int:
    """How many numbers one client's model holds, from shapes alone."""
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def products(experiment: Experiment) -> AbstractContextManager:
    """Where programs of an experiment are traced, so that products are as precise as asked."""
    return jax.default_matmul_precision(PRODUCTS[experiment.precision])


def _inputs(
    experiment: Experiment, dataset: data.Dataset, partition: data.Partition
) -> tuple[Num[np.ndarray, " T *shape"], data.Normalization | None]:
    """Inputs as the device holds them, and what each step has still to do to them."""
    whole = dataset.x.dtype == np.uint8
    if experiment.store == "bytes" and not whole:
        raise ValueError(
            f"The inputs of {experiment.dataset!r} are no bytes but {dataset.x.dtype}; possible is "
            "--store floats."
        )
    normalization = _normalization(experiment, dataset.x, np.concatenate(partition.train))
    if experiment.store == "bytes":
        return dataset.x, normalization
    return normalization(dataset.x), None


def _normalization(
    experiment: Experiment, x: Num[np.ndarray, " T *shape"], train: Int[np.ndarray, " S"]
) -> data.Normalization:
    maximum = 255.0 if x.dtype == np.uint8 else 1.0
    makers: Mapping[str, Callable[[], data.Normalization]] = {
        "centred": lambda: data.centred(maximum=maximum),
        "per_pixel": lambda: data.per_pixel(x, rows=train),
        "standardized": lambda: data.overall(x, rows=train, maximum=maximum),
        "unit": lambda: data.unit(maximum=maximum),
    }
    published: Mapping[str, Callable[[], data.Normalization]] = {
        "cifar10": makers["centred"],
        "cifar10_jpeg": makers["centred"],
        "fashion_mnist": lambda: data.overall(x, maximum=maximum),
        "leaf": makers["unit"],
    }
    if experiment.pixels in ("centred", "unit"):
        check_range(x, f"--pixels {experiment.pixels}")
    if experiment.pixels == "published":
        return published.get(experiment.dataset, lambda: data.per_pixel(x))()
    return makers[str(experiment.pixels)]()


def _organization(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of self-organization, and make of them its arguments."""
    layers, size = options.pop("feature_layers"), options.pop("sketch")
    select = clustering.layers(*layers) if layers else clustering.everything
    if size is not None:
        select = clustering.sketch(size, of=select)
    groups, heights, slots = (options.pop(name) for name in ("groups", "heights", "slots"))
    cut = None
    if groups is not None:
        cut = clustering.counts(groups, min_size=options["min_size"])
    if heights is not None:
        cut = clustering.heights(heights, slots=slots, min_size=options["min_size"])
    if cut is not None:
        del options["levels"], options["min_size"]
    return {
        "features": FEATURES[options.pop("features")](select),
        "metric": METRICS[options.pop("metric")],
        "method": options.pop("linkage"),
        "backend": options.pop("linkage_backend"),
        "cut": cut,
    }


def _algorithm(experiment: Experiment, local: LocalTraining) -> Algorithm:
    options = {name: getattr(experiment, name) for name in DEFAULTS[experiment.algorithm]}
    if experiment.algorithm == "demlearn":
        beta, decay, floor = (options.pop(name) for name in ("beta", "beta_decay", "beta_floor"))
        if beta is not None:
            options["beta"] = optax.exponential_decay(beta, 1, decay, end_value=floor)
        options["start"] = STARTS[options["start"]]
        weigh = options.pop("weigh")
        options["by_examples"] = (
            weigh == "examples" if isinstance(weigh, str) else [w == "examples" for w in weigh]
        )
        options["averaged"] = options.pop("average_layers") or ()
        options |= _organization(options)
    if experiment.algorithm == "fedavg":
        rate, momentum = options.pop("server_lr"), options.pop("server_momentum")
        if rate is not None or momentum is not None:
            rate = 1.0 if rate is None else rate
            options["server_optimizer"] = optax.sgd(rate, momentum=momentum)
    return ALGORITHMS[experiment.algorithm](local, cohort=experiment.cohort, **options)
