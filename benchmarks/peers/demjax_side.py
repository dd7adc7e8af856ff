"""demjax's side: every client in one compiled program, a device for each core.

A round of FedAvg is one call; one of DemLearn is the round and the call that takes all measures.
Compiling is that of all a run needs, its measures too, though FedAvg's timed rounds take none.
"""

import time

import jax
import jax.numpy as jnp
import optax
import side
from export import MODELS

import demjax
from demjax.simulation.run import programs


def nested(weights: dict) -> dict:
    """A tree of layers from names such as ``3/Dense_0/Dense_0/kernel``."""
    tree: dict = {}
    for name, value in weights.items():
        _, *layers, leaf = name.split("/")
        at = tree
        for layer in layers:
            at = at.setdefault(layer, {})
        at[leaf] = jnp.asarray(value)
    return tree


def main() -> None:
    """Run what is asked and tell of it."""
    asked = side.arguments()
    demjax.use_cores(asked.cores)
    split = side.load(asked.split)
    clients = demjax.ClientData(**{name: jnp.asarray(value) for name, value in split.items()})
    first = nested(side.load(asked.weights))
    task = demjax.classification(MODELS[asked.model](classes=side.CLASSES), clients.x[0])
    task = task._replace(init=lambda key: first)
    local = demjax.local_training(
        task, optax.sgd(side.LEARNING_RATE), epochs=side.EPOCHS, batch_size=asked.batch
    )
    measured = asked.algorithm == "demlearn"
    if measured:
        algorithm = demjax.demlearn(local, levels=side.LEVELS, mix=side.MIX, prox=side.PROX)
    else:
        algorithm = demjax.fedavg(local)
    rounds, key = asked.warmup + asked.rounds, jax.random.key(asked.seed)
    seconds = []
    with demjax.spread_over(asked.cores):
        compiled = programs(algorithm, task, clients, key=key)
        ready = time.time()
        every = 1 if measured else rounds
        moments = demjax.watch(
            algorithm, task, clients, rounds=rounds, key=key, eval_every=every, compiled=compiled
        )
        for moment in moments:
            if moment.round:
                seconds.append(moment.round_seconds + measured * moment.measure_seconds)
        root = jax.tree.map(lambda leaf: leaf[-1, 0], algorithm.models(moment.state).group)
        norm = float(optax.tree.norm(root))
    taken = moment.measures
    assert taken is not None
    side.tell(
        asked,
        ready=ready,
        seconds=seconds,
        accuracy=float(taken.global_score),
        norm=norm,
        packages=("demjax", "jax", "jaxlib", "flax"),
        uses={"devices": asked.cores},
        compile_seconds=compiled.seconds,
        measures={
            "c_spe": float(taken.c_spe),
            "c_gen": float(taken.c_gen),
            "g_spe": taken.g_spe.tolist(),
            "g_gen": taken.g_gen.tolist(),
            "global": float(taken.global_score),
        },
        measure_seconds=moment.measure_seconds if measured else None,
    )


if __name__ == "__main__":
    main()
