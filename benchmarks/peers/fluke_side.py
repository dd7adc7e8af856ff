"""Rounds of a system of fluke (fluke-fl 0.8.1) on the problem of ``convex.py``.

    python benchmarks/peers/fluke_side.py --system fedavg.FedAVG --rounds 3 --out models.npz \
        --client '{"lam": 0.5}' --server '{"weighted": true}'

Runs in an environment of ``requirements-fluke.txt``. All examples are one batch, so that order
plays no part. Written are, after the last round, the server's model and all clients' personal ones,
where the system has them: ``kernel``, ``bias``, ``own_kernel``, ``own_bias``.
"""

import argparse
import importlib
import json
from pathlib import Path

import numpy as np
import torch
from convex import CLASSES, EPOCHS, FEATURES, RATE, problem
from fluke import FlukeENV
from fluke.data import FastDataLoader


class Linear(torch.nn.Module):
    """Softmax regression; as an encoder that changes nothing, and a head."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray):
        super().__init__()
        self.fc = torch.nn.Linear(FEATURES, CLASSES)
        with torch.no_grad():
            self.fc.weight.copy_(torch.from_numpy(kernel.T.copy()))
            self.fc.bias.copy_(torch.from_numpy(bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.fc(x)


class Fixed:
    """In place of fluke's splitter: who has which examples is given."""

    def __init__(self, loaders: list):
        self.loaders = loaders

    def assign(self, n_clients: int, batch_size: int) -> tuple:
        """Training examples of each client; nothing is tested."""
        return (self.loaders, [None] * n_clients), None


def arrays(model: torch.nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Kernel ``[in, out]`` and bias."""
    named = {name.rpartition(".")[2]: p.detach().numpy() for name, p in model.named_parameters()}
    return named["weight"].T.copy(), named["bias"].copy()


def main() -> None:
    """Run the rounds and write the models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", required=True, help="module.Class in fluke.algorithms")
    parser.add_argument("--client", type=json.loads, default={}, help="options of clients")
    parser.add_argument("--server", type=json.loads, default={}, help="options of the server")
    parser.add_argument("--optimizer", type=json.loads, default={}, help="of the optimizer")
    parser.add_argument("--personal", default="", help="attribute that holds a client's own model")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    FlukeENV().set_seed(0)
    FlukeENV().set_eval_cfg(locals=False, server=False, pre_fit=False, post_fit=False)
    module, _, name = asked.system.rpartition(".")
    system = getattr(importlib.import_module(f"fluke.algorithms.{module}"), name)
    given = problem()
    loaders = [
        FastDataLoader(torch.from_numpy(x), torch.from_numpy(y), num_labels=CLASSES, batch_size=0)
        for x, y in zip(given.x, given.y, strict=True)
    ]
    client = {
        "batch_size": 0,
        "local_epochs": EPOCHS,
        "loss": torch.nn.CrossEntropyLoss,
        "optimizer": {"name": "SGD", "lr": RATE, **asked.optimizer},
        "scheduler": {"name": "StepLR", "step_size": 1, "gamma": 1},
        **asked.client,
    }
    if asked.personal:
        client["model"] = Linear(given.kernel, given.bias)
    settings = {
        "model": Linear(given.kernel, given.bias),
        "client": client,
        "server": asked.server,
    }
    federation = system(len(loaders), Fixed(loaders), settings)
    federation.finalize = lambda: None  # it would give clients the server's model
    federation.run(asked.rounds, 1.0)
    kernel, bias = arrays(federation.server.model)
    found = {"kernel": kernel, "bias": bias}
    if asked.personal:
        own = [arrays(getattr(client, asked.personal)) for client in federation.clients]
        found |= {"own_kernel": np.stack([k for k, _ in own])}
        found |= {"own_bias": np.stack([b for _, b in own])}
    np.savez(asked.out, **found)


if __name__ == "__main__":
    main()
