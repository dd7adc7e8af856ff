"""From an experiment's names to the data, the model and the algorithm that they stand for."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from demjax import algorithms, data, hierarchy, linkage, models
from demjax.base import Algorithm, ClientData, Task
from demjax.experiment import DEFAULTS, Experiment
from demjax.local import LocalTraining, local_training
from demjax.metrics import Measures, measure
from demjax.task import classification

METRICS: Mapping[str, linkage.Metric] = {
    "correlation": linkage.correlation,
    "cosine": linkage.cosine,
    "euclidean": linkage.euclidean,
    "sqeuclidean": linkage.sqeuclidean,
}
FEATURES: Mapping[str, Callable[..., linkage.Features]] = {
    "gradients": linkage.gradients,
    "updates": linkage.updates,
    "weights": linkage.weights,
}
STARTS: Mapping[str, Callable] = {
    "own": hierarchy.from_own,
    "parent": hierarchy.from_parent,
    "root": hierarchy.from_root,
}
MODELS: Mapping[str, Callable] = {
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
    """What ``simulate`` and ``watch`` need of an experiment."""

    algorithm: Algorithm
    task: Task
    clients: ClientData
    take_measures: Callable[..., Measures]


def build(experiment: Experiment) -> Run:
    """Load and deal out the data, and make the algorithm.

    Args:
        experiment: As ``resolve`` returns it.

    Returns:
        What ``simulate`` and ``watch`` need.

    Raises:
        ValueError: If the data are missing or damaged, or cannot be dealt as asked.
    """
    dataset = _loaded(experiment)
    partition = _partition(experiment, dataset.y)
    kinds = None
    if experiment.conflict != "none":
        dataset, kinds = _planted(experiment, dataset, partition)
    x = _scaled(experiment, dataset, partition)
    clients = data.client_data(x, dataset.y, partition)
    model = MODELS[experiment.model](classes=dataset.classes)
    task = classification(model, clients.x[0], compute=COMPUTE[experiment.precision])
    local = local_training(
        task,
        optax.sgd(experiment.lr),
        epochs=experiment.epochs,
        batch_size=experiment.batch_size,
        chunk=experiment.chunk,
    )
    params = jax.eval_shape(task.init, run_key(experiment))
    for names in (experiment.average_layers, experiment.feature_layers):
        linkage.chosen_layers(params, names or ())
    take_measures = measure(task, clients, kinds=kinds)
    return Run(_algorithm(experiment, local), task, clients, take_measures)


def run_key(experiment: Experiment) -> jax.Array:
    """The key of all of a run's randomness but the split."""
    return jax.random.key(experiment.seed)


def products(experiment: Experiment) -> AbstractContextManager:
    """Where programs of an experiment are traced, so that products are as precise as asked."""
    return jax.default_matmul_precision(PRODUCTS[experiment.precision])


def _loaded(experiment: Experiment) -> data.Dataset:
    folder = experiment.data_dir
    one_file = experiment.dataset == "npz"
    if folder is not None and not (Path(folder).is_dir() or (one_file and Path(folder).exists())):
        raise ValueError(f"The data folder {folder} does not exist or is no folder.")
    if experiment.partition == "published" and folder is not None:
        found = data.find(experiment.dataset, Path(folder))
        if found is not None and found.shuffled:
            raise ValueError(
                "The published partition deals MNIST in the order of its original files, but the "
                f"data in {folder} are prepared by TFDS, which shuffles them; possible is a folder "
                "with the four IDX files."
            )
    dataset = data.load(
        experiment.dataset,
        data_dir=folder,
        seed=experiment.seed,
        owners=experiment.clients,
        alpha=experiment.synthetic_alpha,
        beta=experiment.synthetic_beta,
    )
    if experiment.model == "cnn" and dataset.x.ndim != 4:
        raise ValueError(
            f"The model 'cnn' takes pictures, but an input of {experiment.dataset!r} has the shape "
            f"{dataset.x.shape[1:]}; possible are --model linear and --model mlp."
        )
    return dataset


def _scaled(
    experiment: Experiment, dataset: data.Dataset, partition: data.Partition
) -> Float[np.ndarray, " T *shape"]:
    if experiment.pixels == "published":
        return data.standardize_pixels(dataset.x)
    maximum = 255.0 if dataset.x.dtype == np.uint8 else 1.0
    unit = data.scale_to_unit(dataset.x, maximum=maximum)
    if experiment.pixels == "unit":
        return unit
    return data.standardize(unit, by=unit[np.concatenate(partition.train)])


def _planted(
    experiment: Experiment, dataset: data.Dataset, partition: data.Partition
) -> tuple[data.Dataset, Int[np.ndarray, " N"]]:
    kinds = experiment.kinds
    of = data.planted_kinds(experiment.clients, kinds)
    if experiment.conflict == "rotated":
        return dataset._replace(x=data.rotated(dataset.x, partition, kinds)), of
    y = data.relabelled(dataset.y, partition, kinds, dataset.classes)
    return dataset._replace(y=y), of


def _partition(experiment: Experiment, y: Any) -> data.Partition:
    common: dict[str, Any] = {
        "clients": experiment.clients,
        "seed": experiment.seed,
        "test_fraction": experiment.test_fraction,
    }
    if experiment.partition == "iid":
        return data.iid(y, **common)
    if experiment.partition == "labels":
        return data.labels(y, labels_per_client=experiment.labels_per_client, **common)
    if experiment.partition == "dirichlet":
        return data.dirichlet(y, alpha=experiment.dirichlet_alpha, **common)
    return data.published_mnist(y)


def _organization(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of self-organization, and make of them its arguments."""
    layers, size = options.pop("feature_layers"), options.pop("sketch")
    select = linkage.layers(*layers) if layers else linkage.everything
    if size is not None:
        select = linkage.sketch(size, of=select)
    groups, heights, slots = (options.pop(name) for name in ("groups", "heights", "slots"))
    cut = None
    if groups is not None:
        cut = linkage.counts(groups, min_size=options["min_size"])
    if heights is not None:
        cut = linkage.heights(heights, slots=slots, min_size=options["min_size"])
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
