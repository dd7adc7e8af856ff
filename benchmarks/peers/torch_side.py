"""PyTorch's side: a plain loop over the clients, as research code does it.

Two ways to use the cores: ``threads``, all of them in each operation, and ``one thread``, which
is faster where models are small. Data are tensors in memory, batches slices of a permutation.
DemLearn is in ``torch_demlearn.py``; one round of it includes all measures, test set after test
set. What these take in full batches of the pooled test sets is timed once, after the rounds.
"""

import time
from collections.abc import Callable
from functools import partial

import side
import torch
from torch_demlearn import DemLearn, measures
from torch_loop import MODELS, average, load_split, pool, train_clients
from torch_weights import accuracy, fill, norm


def timed(action: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    """Run what is asked and tell of it."""
    asked = side.arguments()
    threads = 1 if asked.way == "one thread" else asked.cores
    torch.set_num_threads(threads)
    torch.manual_seed(asked.seed)
    train, test = load_split(asked.split)
    weights = side.load(asked.weights)
    models = [fill(MODELS[asked.model](), weights) for _ in range(len(train) + 1)]
    more: dict = {}
    rounds = range(asked.warmup + asked.rounds)
    if asked.algorithm == "fedavg":

        def one_round() -> None:
            train_clients(models, train, 0.0, asked.batch)
            average(models, train)

        ready = time.time()
        seconds = [timed(one_round) for _ in rounds]
    else:
        system = DemLearn(models[:-1], models[-1], MODELS[asked.model])

        def one_round() -> None:
            system.one_round(train, asked.batch)
            more["measures"] = measures(system, test, batches=test)

        ready = time.time()
        seconds = [timed(one_round) for _ in rounds]
        for name, batches in {"measure": test, "measure_in_full_batches": pool(test, 128)}.items():
            more[f"{name}_seconds"] = timed(partial(measures, system, test, batches))
    side.tell(
        asked,
        ready=ready,
        seconds=seconds,
        accuracy=accuracy(models[-1], test),
        norm=norm(models[-1]),
        packages=("torch", "numpy", "scipy"),
        uses={"threads": threads},
        **more,
    )


if __name__ == "__main__":
    main()
