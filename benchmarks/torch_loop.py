"""The yardstick: federated learning as a plain PyTorch loop over the clients.

Times one FedAvg round of local training, one client after another, for the CNN of the published
MNIST experiment. With ``--measures`` it times the scoring too: every model on every client's test
set in turn, as research code does it, and on the pooled test sets in full batches. Everything is
kept in memory and batches are slices of a permutation, so no data loader is in the way. It needs
NumPy and PyTorch only, and a machine with nothing else to do:

    pip install -r benchmarks/requirements-torch.txt
    python benchmarks/torch_loop.py --split split.npz --measures --out torch_loop.json

The split is an ``.npz`` of plain arrays, the clients' rows padded past their sizes:
``x`` float32 [T, 28, 28, 1], ``y`` int32 [T], ``train`` int32 [N, M], ``train_size`` int32 [N],
``test`` int32 [N, V], ``test_size`` int32 [N]. The last line of the output is JSON.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

EPOCHS, BATCH, LEARNING_RATE = 2, 10, 0.05
PARAMETERS = 834_922


class Examples(NamedTuple):
    """The examples of one client, or a batch of them."""

    x: Tensor  # float32 [n, 1, 28, 28]
    y: Tensor  # int64 [n]


def make_linear() -> nn.Module:
    """Softmax regression."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def make_mlp() -> nn.Module:
    """One hidden layer of 200."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))


def make_cnn() -> nn.Module:
    """The published CNN; PyTorch's own initialization is its uniform ±1/√fan_in."""
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.4)),
        *(nn.Conv2d(32, 32, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.4)),
        *(nn.Flatten(), nn.Linear(7 * 7 * 32, 512), nn.ReLU(), nn.Linear(512, 10)),
    )
    count = sum(p.numel() for p in model.parameters())
    assert count == PARAMETERS, f"the CNN has {count:,} parameters, not {PARAMETERS:,}"
    return model


MODELS = {"linear": make_linear, "mlp": make_mlp, "cnn": make_cnn}


def load_split(path: Path) -> tuple[list[Examples], list[Examples]]:
    """Read every client's training and test examples as tensors in NCHW."""
    with np.load(path, allow_pickle=False) as file:
        split = {name: torch.from_numpy(file[name]) for name in file.files}
    x, y = split["x"].permute(0, 3, 1, 2).contiguous(), split["y"].long()

    def gather(part: str) -> list[Examples]:
        rows = zip(split[part].long(), split[f"{part}_size"].tolist(), strict=True)
        return [Examples(x[row[:size]], y[row[:size]]) for row, size in rows]

    return gather("train"), gather("test")


def train_client(
    model: nn.Module,
    data: Examples,
    prox: float,
    anchor: list[Tensor] | None = None,
    batch_size: int = BATCH,
) -> None:
    """Local SGD from the present model, pulled to the anchor when ``prox`` (μ) is positive.

    The anchor is another model's parameters; by default the present model itself.
    """
    parameters = list(model.parameters())
    start = (anchor or [p.detach().clone() for p in parameters]) if prox > 0 else []
    optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE)
    model.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(data.y)).split(batch_size):  # the last one may be short
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(model(data.x[batch]), data.y[batch]).backward()
            for p, origin in zip(parameters, start, strict=False):
                p.grad.add_(p.detach() - origin, alpha=prox)
            optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def train_clients(
    models: list[nn.Module], train: list[Examples], prox: float, batch_size: int = BATCH
) -> None:
    """One round of local training: every client in turn, from the global model, the last one."""
    state = models[-1].state_dict()
    for model, data in zip(models[:-1], train, strict=True):
        model.load_state_dict(state)
        train_client(model, data, prox, batch_size=batch_size)


@torch.no_grad()
def average(models: list[nn.Module], train: list[Examples]) -> None:
    """Set the global model to the clients' mean, weighted by training examples."""
    total = sum(len(data.y) for data in train)
    mean = torch.zeros_like(parameters_to_vector(models[-1].parameters()))
    for model, data in zip(models[:-1], train, strict=True):
        mean.add_(parameters_to_vector(model.parameters()), alpha=len(data.y) / total)
    vector_to_parameters(mean, models[-1].parameters())


def pool(data: list[Examples], batch_size: int) -> list[Examples]:
    """The examples of all clients, in their order, as full batches."""
    columns = [torch.cat(column).split(batch_size) for column in zip(*data, strict=True)]
    return [Examples(x, y) for x, y in zip(*columns, strict=True)]


@torch.inference_mode()
def measure(
    models: list[nn.Module], test: list[Examples], batches: list[Examples]
) -> dict[str, float]:
    """C-SPE, C-GEN and Global; ``batches`` are the test sets themselves or their pool."""
    right = torch.stack(  # bool [N + 1, examples]
        [torch.cat([model.eval()(x).argmax(1) == y for x, y in batches]) for model in models]
    )
    owner = torch.cat([torch.full_like(data.y, n) for n, data in enumerate(test)])
    own = right[owner, torch.arange(len(owner))]
    c_spe, c_gen, global_ = (r.double().mean().item() for r in (own, right[:-1], right[-1]))
    return {"c_spe": c_spe, "c_gen": c_gen, "global": global_}


def timed(
    label: str, repeats: int, warmup: int, action: Callable[[], object], after: Callable = lambda: 0
) -> dict[str, Any]:
    """Time ``action``, the warm-ups left out; ``after`` follows each call, untimed."""
    seconds = []
    for i in range(warmup + repeats):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
        after()
        print(f"{label} {i + 1}: {seconds[-1]:.3f} s{' (warm-up)' * (i < warmup)}", flush=True)
    kept = seconds[warmup:]
    print(f"{label}: median {statistics.median(kept):.3f} s, min {min(kept):.3f} s", flush=True)
    return {"median": statistics.median(kept), "min": min(kept), "all": kept}


def cpu_model() -> str:
    """The processor's name, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def benchmark(args: argparse.Namespace) -> dict[str, Any]:
    """Run what was asked for; everything that belongs in the report."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    train, test = load_split(args.split)
    models = [make_cnn() for _ in range(len(train) + 1)]  # the clients', then the global one
    report: dict[str, Any] = {
        "torch": torch.__version__,
        "cpu": cpu_model(),
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "clients": len(train),
        "parameters": PARAMETERS,
        "steps_per_round": sum(EPOCHS * -(-len(data.y) // BATCH) for data in train),
        "prox": args.prox,
    }
    training = partial(train_clients, models, train, args.prox)
    averaging = partial(average, models, train)
    report["training_seconds"] = timed("training", args.rounds, args.warmup, training, averaging)
    if args.measures:
        for way, batches in {"in_turn": test, "pooled": pool(test, args.eval_batch)}.items():
            action = partial(measure, models, test, batches)
            report[f"measure_{way}_seconds"] = timed(f"measure {way}", args.repeats, 1, action)
            report[f"measure_{way}"] = action()
    return report


def main() -> None:
    """Read the command line, run, and write the report."""
    parser = argparse.ArgumentParser(description="Time federated learning as a PyTorch loop.")
    add = partial(parser.add_argument, type=int)
    add("--split", type=Path, required=True, metavar="FILE", help="the .npz of examples and rows")
    add("--out", type=Path, metavar="FILE", help="write the JSON here too")
    add("--rounds", default=5, help="timed rounds of training (default: %(default)s)")
    add("--warmup", default=2, help="rounds before them (default: %(default)s)")
    add("--prox", type=float, default=0.0, help="proximal factor μ (default: %(default)s)")
    add("--repeats", default=3, help="timed measurements (default: %(default)s)")
    add("--eval-batch", default=128, help="batch of the pooled test data (default: %(default)s)")
    add("--threads", default=os.cpu_count(), help="threads of PyTorch (default: all, %(default)s)")
    add("--seed", default=0, help="of weights, order and dropout (default: %(default)s)")
    parser.add_argument("--measures", action="store_true", help="time C-SPE, C-GEN, Global too")
    args = parser.parse_args()
    line = json.dumps(benchmark(args))
    if args.out:
        args.out.write_text(line + "\n")
    print(line)


if __name__ == "__main__":
    main()
