"""Rounds of a system of fluke (fluke-fl 0.8.1) on ``family_problem.py``.

    python benchmarks/peers/fluke_side.py --system fedavg.FedAVG --rounds 3 --out models.npz \
        --client '{"lam": 0.5}' --server '{"weighted": true}'

Runs in an environment of ``requirements-fluke.txt``. All examples are one batch, so that order
plays no part. Written are, after the last round, the server's model and all clients' personal ones,
where the system has them: arrays by the names of ``family_problem.py``, the clients' after
``own_``.
"""

import argparse
import importlib
import json
from pathlib import Path

import numpy as np
import torch
from family_problem import CLASSES, EPOCHS, FEATURES, HIDDEN, RATE, problem
from fluke import FlukeENV
from fluke.data import FastDataLoader
from fluke.nets import EncoderHeadNet


class Linear(torch.nn.Module):
    """Softmax regression, as it begins."""

    def __init__(self):
        super().__init__()
        self.head = dense(FEATURES, CLASSES, problem().linear)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.head(x)


class Body(torch.nn.Module):
    """The network but for its last layer, as it begins."""

    def __init__(self):
        super().__init__()
        self.hidden = dense(FEATURES, HIDDEN, problem().network, "hidden_")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Representations."""
        return torch.relu(self.hidden(x))


class NormalizedBody(Body):
    """Likewise, with batch normalization before the ReLU."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(HIDDEN)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Representations."""
        return torch.relu(self.norm(self.hidden(x)))


class Normalized(EncoderHeadNet):
    """The network with batch normalization, as it begins."""

    def __init__(self):
        super().__init__(NormalizedBody(), dense(HIDDEN, CLASSES, problem().network))


class Network(EncoderHeadNet):
    """The network, as it begins."""

    def __init__(self):
        super().__init__(Body(), dense(HIDDEN, CLASSES, problem().network))


def dense(width: int, outputs: int, first: dict, before: str = "") -> torch.nn.Linear:
    """A layer that begins with given arrays."""
    layer = torch.nn.Linear(width, outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(first[f"{before}kernel"].T.copy()))
        layer.bias.copy_(torch.from_numpy(first[f"{before}bias"]))
    return layer


class Fixed:
    """In place of fluke's splitter: who has which examples is given."""

    def __init__(self, loaders: list):
        self.loaders = loaders

    def assign(self, n_clients: int, batch_size: int) -> tuple:
        """Training examples of each client; nothing is tested."""
        return (self.loaders, [None] * n_clients), None


def arrays(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Its arrays by name, kernels as ``[in, out]``."""
    found = {}
    for name, parameter in model.named_parameters():
        before = "hidden_" if "hidden" in name else "norm_" if "norm" in name else ""
        weight = "scale" if "norm" in name else "kernel"
        kind = weight if name.endswith("weight") else "bias"
        found[before + kind] = parameter.detach().numpy().T.copy()
    return found


def main() -> None:
    """Run the rounds and write the models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", required=True, help="module.Class in fluke.algorithms")
    parser.add_argument("--client", type=json.loads, default={}, help="options of clients")
    parser.add_argument("--server", type=json.loads, default={}, help="options of the server")
    parser.add_argument("--optimizer", type=json.loads, default={}, help="of the optimizer")
    parser.add_argument("--personal", default="", help="attribute that holds a client's own model")
    parser.add_argument("--model", default="Linear", choices=("Linear", "Network", "Normalized"))
    parser.add_argument("--sent", default="", help="what of it the server has, if not all: Body")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    FlukeENV().set_seed(0)
    FlukeENV().set_eval_cfg(locals=False, server=False, pre_fit=False, post_fit=False)
    module, _, name = asked.system.rpartition(".")
    system = getattr(importlib.import_module(f"fluke.algorithms.{module}"), name)
    given = problem(alike=asked.model == "Normalized")
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
    if asked.personal:  # by name: given as an object, FedRep's clients would share one head
        client["model"] = f"__main__.{asked.model}"
    settings = {
        "model": f"__main__.{asked.sent or asked.model}",
        "client": client,
        "server": asked.server,
    }
    federation = system(len(loaders), Fixed(loaders), settings)
    federation.finalize = lambda: None  # it would give clients the server's model
    federation.run(asked.rounds, 1.0)
    found = arrays(federation.server.model)
    if asked.personal:
        own = [arrays(getattr(client, asked.personal)) for client in federation.clients]
        found |= {f"own_{name}": np.stack([one[name] for one in own]) for name in own[0]}
    np.savez(asked.out, **found)


if __name__ == "__main__":
    main()
