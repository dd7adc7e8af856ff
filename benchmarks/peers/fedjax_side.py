"""fedjax's side: its ``federated_averaging``, its models in Haiku, its own batching.

Two ways to use the cores: ``pmap``, a device for each core and a client on each, and ``jit``, one
client after another with all of XLA's threads. fedjax goes on to the next epoch within a batch and
fills only the last one, so that it takes slightly fewer steps than the others.

fedjax calls ``jax.tree_map``, which jax 0.6 no longer has: 0.5.3 is the last that it works with.
"""

import time
from collections.abc import Callable, Iterator

import haiku as hk
import jax
import numpy as np
import side

asked = side.arguments()
devices = asked.cores if asked.way == "pmap" else 1
jax.config.update("jax_num_cpu_devices", devices)

import fedjax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from fedjax.algorithms import fed_avg  # noqa: E402
from fedjax.core.for_each_client import ForEachClientPmapBackend  # noqa: E402


def network(batch: dict, is_train: bool = True) -> jax.Array:
    """The same three models, in Haiku."""
    x = jnp.asarray(batch["x"])
    for _ in range(2 if asked.model == "cnn" else 0):
        x = jax.nn.relu(hk.Conv2D(32, 5)(x))
        x = hk.max_pool(x, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = hk.dropout(hk.next_rng_key(), 0.4, x) if is_train else x
    x = hk.Flatten()(x)
    hidden = {"cnn": 512, "mlp": 200}.get(asked.model)
    x = jax.nn.relu(hk.Linear(hidden)(x)) if hidden else x
    return hk.Linear(side.CLASSES)(x)


def filled(params: dict, weights: dict[str, np.ndarray]) -> dict:
    """The first model; layers come in the same order, with the same axes."""
    names = sorted({name.rpartition("/")[0] for name in weights})
    pairs = zip(params.items(), names, strict=True)
    result = {
        layer: {"b": jnp.asarray(weights[f"{name}/bias"]), "w": weights[f"{name}/kernel"]}
        for (layer, _), name in pairs
    }
    shapes = [jax.tree.map(np.shape, tree) for tree in (result, params)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"The layers are of shapes {shapes[1]}, the first model's {shapes[0]}.")
    return jax.tree.map(jnp.asarray, result)


class Pmap(ForEachClientPmapBackend):
    """fedjax's backend for several devices, which leaves the axis of devices on its results."""

    def __call__(self, *parts: Callable) -> Callable:
        """Take that axis off."""
        inner = super().__call__(*parts)

        def run(shared: dict, clients: list) -> Iterator:
            for client, output, steps in inner(shared, clients):
                yield client, jax.tree.map(lambda leaf: leaf[0], output), steps

        return run


def main() -> None:
    """Run what is asked and tell of it."""
    split = side.load(asked.split)
    train, test = side.clients(split, "train"), side.clients(split, "test")
    model = fedjax.create_model_from_haiku(
        hk.transform(network),
        {"x": np.zeros((1, *train[0].x.shape[1:]), np.float32)},
        train_loss=lambda batch, logits: fedjax.metrics.unreduced_cross_entropy_loss(
            batch["y"], logits
        ),
        eval_metrics={"accuracy": fedjax.metrics.Accuracy()},
        train_kwargs={"is_train": True},
        eval_kwargs={"is_train": False},
    )
    fedjax.set_for_each_client_backend(Pmap() if asked.way == "pmap" else "jit")
    algorithm = fed_avg.federated_averaging(
        fedjax.model_grad(model),
        fedjax.optimizers.sgd(side.LEARNING_RATE),
        fedjax.optimizers.sgd(1.0),
        fedjax.ShuffleRepeatBatchHParams(asked.batch, num_epochs=side.EPOCHS),
    )
    data = fedjax.InMemoryFederatedData(
        {f"{n:05}": {"x": one.x, "y": one.y} for n, one in enumerate(train)}
    )
    key = jax.random.PRNGKey(asked.seed)
    state = algorithm.init(filled(model.init(key), side.load(asked.weights)))
    ready, seconds = time.time(), []
    for number in range(asked.warmup + asked.rounds):
        start = time.perf_counter()
        keys = jax.random.split(jax.random.fold_in(key, number), len(train))
        clients = [(n, one, k) for (n, one), k in zip(data.clients(), keys, strict=True)]
        state, _ = algorithm.apply(state, clients)
        jax.block_until_ready(state.params)
        seconds.append(time.perf_counter() - start)
    pool = {"x": np.concatenate([t.x for t in test]), "y": np.concatenate([t.y for t in test])}
    batches = fedjax.ClientDataset(pool).padded_batch(batch_size=160)
    side.tell(
        asked,
        ready=ready,
        seconds=seconds,
        accuracy=float(fedjax.evaluate_model(model, state.params, batches)["accuracy"]),
        norm=float(fedjax.tree_util.tree_l2_norm(state.params)),
        packages=("fedjax", "jax", "jaxlib", "dm-haiku", "numpy"),
        uses={"devices": devices},
    )


if __name__ == "__main__":
    main()
