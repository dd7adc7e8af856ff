"""Rounds of a system of FLGo (flgo 0.4.4) on ``family_problem.py``.

    python benchmarks/peers/flgo_side.py --system qfedavg --rounds 3 --out models.npz \
        --options '[2.0]' --settings '{"sample": "full"}'

Runs in an environment of ``requirements-flgo.txt``. Softmax regression, all examples in one batch.
Written is the server's model after the last round, arrays by the names of ``family_problem.py``.
With ``hierarchical`` clients are at the problem's two edges.
"""

import argparse
import importlib
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import flgo
import numpy as np
import torch
from family_problem import CLASSES, EDGES, EPOCHS, FEATURES, RATE, SIZES, problem
from flgo.benchmark.base import BasicTaskPipe
from flgo.benchmark.toolkits.cv.classification import GeneralCalculator
from flgo.utils.fmodule import FModule

NAMES = [f"client {number}" for number in range(len(SIZES))]


class Linear(FModule):
    """Softmax regression, as it begins."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(FEATURES, CLASSES)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(problem().linear["kernel"].T.copy()))
            self.head.bias.copy_(torch.from_numpy(problem().linear["bias"]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.head(x)


class OfServer:
    """What FLGo asks for a model: who begins with it."""

    @staticmethod
    def init_global_module(party) -> None:
        """The server has the first model."""
        if type(party).__name__ in ("Server", "BasicServer"):
            party.model = Linear().to(party.device)

    @staticmethod
    def init_local_module(party) -> None:
        """No client has one of its own."""


class Pipe(BasicTaskPipe):
    """In place of FLGo's files: who has which examples is given."""

    def load_data(self, running_time_option: dict) -> dict:
        """Training examples of each client; nothing is tested."""
        given, found = problem(), {"server": {"test": None}}
        for name, x, y in zip(NAMES, given.x, given.y, strict=True):
            rows = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
            found[name] = {"train": rows, "val": None, "test": None}
        return found


def task_in(folder: str) -> str:
    """A task of FLGo's whose data are the problem's; FLGo finds the pipe as a module, ``given``."""
    core = ModuleType("given.core")
    core.TaskPipe, core.TaskCalculator = Pipe, GeneralCalculator
    sys.modules |= {"given": ModuleType("given"), "given.core": core}
    groups = dict(zip(NAMES, EDGES, strict=True))
    data = {"client_names": NAMES, "num_edge_servers": max(EDGES) + 1, "client_group": groups}
    (Path(folder) / "data.json").write_text(json.dumps(data))
    (Path(folder) / "info").write_text(json.dumps({"benchmark": "given"}))
    return folder


def main() -> None:
    """Run the rounds and write the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", required=True, help="module in flgo.algorithm")
    parser.add_argument("--options", type=json.loads, default=[], help="the system's own, in order")
    parser.add_argument("--settings", type=json.loads, default={}, help="FLGo's, such as sample")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    sys.argv = sys.argv[:1]  # FLGo would read the command line, too
    settings = {"learning_rate": RATE, "num_epochs": EPOCHS, "batch_size": -1.0, "sample": "full"}
    settings |= {"proportion": 1.0, "lr_scheduler": -1, "eval_interval": 0, "no_log_console": True}
    settings |= {"algo_para": asked.options} | asked.settings
    scene = "hierarchical" if asked.system == "hierarchical" else "horizontal"
    system = importlib.import_module(f"flgo.algorithm.{asked.system}")
    with tempfile.TemporaryDirectory() as folder:
        server = flgo.init(task_in(folder), system, settings, model=OfServer, scene=scene)
        for _ in range(asked.rounds):
            server.gv.clock.step()
            server.iterate()
            server.current_round += 1
    weight, bias = (part.detach().numpy().T.copy() for part in server.model.parameters())
    np.savez(asked.out, kernel=weight, bias=bias)


if __name__ == "__main__":
    main()
