"""Flower's side: its ``FedAvg`` strategy on its simulation engine, which runs clients in Ray.

One client at a time on each core: ``num_cpus`` of a client is 1, Ray is given all cores, and
PyTorch one thread in each actor. An actor reads the data once and keeps them. Clients do not
evaluate, and telemetry is off. The first round begins before Ray is up, so that start-up is taken
to last until its end, less the median round. The memory is that of all of Ray's processes too.
"""

import os
import statistics
import time
from itertools import pairwise

import side

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
asked = side.arguments()
os.environ["PEERS_MODEL"], os.environ["PEERS_SPLIT"] = asked.model, str(asked.split)
os.environ["PEERS_BATCH"] = str(asked.batch)

import flwr_client  # noqa: E402
from flwr.app import ArrayRecord, Context  # noqa: E402
from flwr.serverapp import Grid, ServerApp  # noqa: E402
from flwr.serverapp.strategy import FedAvg  # noqa: E402
from flwr.simulation import run_simulation  # noqa: E402
from torch_loop import MODELS, load_split  # noqa: E402
from torch_weights import accuracy, fill, norm  # noqa: E402

server = ServerApp()
told: dict = {}


@server.main()
def serve(grid: Grid, context: Context) -> None:
    """Run all rounds; the strategy evaluates before the first and after each: the clock."""
    _, test = load_split(asked.split)
    model = fill(MODELS[asked.model](), side.load(asked.weights))
    strategy = FedAvg(fraction_train=1.0, fraction_evaluate=0.0, min_available_nodes=len(test))
    moments: list[float] = []
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(model.state_dict()),
        num_rounds=asked.warmup + asked.rounds,
        evaluate_fn=lambda number, arrays: moments.append(time.time()),
    )
    model.load_state_dict(result.arrays.to_torch_state_dict())
    seconds = [after - before for before, after in pairwise(moments)]
    told["seconds"] = seconds
    told["ready"] = moments[1] - statistics.median(seconds[asked.warmup :])
    told["accuracy"], told["norm"] = accuracy(model, test), norm(model)


if __name__ == "__main__":
    run_simulation(
        server_app=server,
        client_app=flwr_client.app,
        num_supernodes=len(side.load(asked.split)["train_size"]),
        backend_config={
            "init_args": {"num_cpus": asked.cores, "include_dashboard": False},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )
    side.tell(
        asked,
        **told,
        compile_seconds=0.0,
        packages=("flwr", "ray", "torch", "numpy"),
        uses={"actors": asked.cores, "threads of each": 1},
    )
