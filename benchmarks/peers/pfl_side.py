"""pfl's side: ``FederatedAveraging`` on its ``SimulatedBackend``, weighted by data points.

Two ways to use the cores: ``processes``, as many workers as cores under ``torchrun`` with a thread
each and users dealt by their sizes, which is how pfl runs in parallel; and ``threads``, one process
with all of PyTorch's threads. Users are tensors in memory whose batches pfl cuts once and keeps; it
does not shuffle them, which saves it time. Nothing is evaluated but at the end, outside the rounds.
"""

import os
import sys
import time
from itertools import pairwise

import side
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.data.sampling import MinimizeReuseUserSampler
from pfl.hyperparam import NNTrainHyperParams
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel
from torch import Tensor, nn
from torch_loop import MODELS, load_split
from torch_weights import accuracy, fill, norm


class Network(nn.Module):
    """A network with the loss and the metrics that pfl asks for."""

    def __init__(self, network: nn.Sequential):
        super().__init__()
        self.network = network

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy of a batch."""
        self.train()
        return nn.functional.cross_entropy(self.network(x), y)

    def metrics(self, x: Tensor, y: Tensor) -> dict:
        """Nothing: rounds are not evaluated."""
        return {}


class Clock(TrainingProcessCallback):
    """Notes when the first round begins and when each ends."""

    def __init__(self) -> None:
        self.ready, self.moments = 0.0, []

    def on_train_begin(self, *, model: PyTorchModel) -> Metrics:
        """The first round is about to begin."""
        self.ready = time.time()
        self.moments = [time.perf_counter()]
        return Metrics()

    def after_central_iteration(
        self, aggregate_metrics: Metrics, model: PyTorchModel, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        """A round is over."""
        self.moments.append(time.perf_counter())
        return False, Metrics()

    def seconds(self) -> list[float]:
        """Those of each round."""
        return [after - before for before, after in pairwise(self.moments)]


def main() -> None:
    """Run what is asked and tell of it, in the first worker."""
    asked = side.arguments()
    workers = int(os.environ.get("WORLD_SIZE", 1))
    threads = 1 if workers > 1 else asked.cores
    torch.set_num_threads(threads)
    torch.manual_seed(1000 * asked.seed + int(os.environ.get("RANK", 0)))
    train, test = load_split(asked.split)
    network = fill(MODELS[asked.model](), side.load(asked.weights))
    model = PyTorchModel(
        Network(network),
        local_optimizer_create=torch.optim.SGD,
        central_optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
    )
    users = {n: PyTorchTensorDataset(tuple(data), user_id=str(n)) for n, data in enumerate(train)}
    sizes = {n: len(data.y) for n, data in enumerate(train)}
    clock = Clock()
    dataset = FederatedDataset(users.__getitem__, MinimizeReuseUserSampler(list(users)), sizes)
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=asked.warmup + asked.rounds,
            evaluation_frequency=asked.warmup + asked.rounds + 1,
            train_cohort_size=len(train),
            val_cohort_size=0,
        ),
        backend=SimulatedBackend(dataset, dataset, postprocessors=[WeightByDatapoints()]),
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=side.EPOCHS,
            local_learning_rate=side.LEARNING_RATE,
            local_batch_size=asked.batch,
        ),
        callbacks=[clock],
        send_metrics_to_platform=False,
    )
    if int(os.environ.get("RANK", 0)) == 0:
        side.tell(
            asked,
            ready=clock.ready,
            seconds=clock.seconds(),
            accuracy=accuracy(network, test),
            norm=norm(network),
            packages=("pfl", "torch", "numpy"),
            uses={"processes": workers, "threads of each": threads},
        )


def as_workers(cores: int) -> None:
    """Become so many workers of ``torchrun``."""
    here = ["--nnodes", "1", "--master-addr", "127.0.0.1", "--nproc-per-node", str(cores)]
    command = [sys.executable, "-m", "torch.distributed.run", *here, *sys.argv]
    os.execve(sys.executable, command, {**os.environ, "OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    alone = "RANK" in os.environ or side.arguments().way != "processes"
    if not alone:
        as_workers(side.arguments().cores)
    main()
