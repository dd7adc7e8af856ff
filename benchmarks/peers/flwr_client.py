"""The client of Flower's side: what each of its actors imports."""

import os
from functools import cache
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import nn
from torch_loop import MODELS, Examples, load_split, train_client

app = ClientApp()


@cache
def everything() -> tuple[nn.Module, list[Examples]]:
    """A model and everybody's examples, read once in an actor."""
    torch.set_num_threads(1)
    return MODELS[os.environ["PEERS_MODEL"]](), load_split(Path(os.environ["PEERS_SPLIT"]))[0]


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train one client from the global model."""
    model, clients = everything()
    data = clients[int(context.node_config["partition-id"])]
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    train_client(model, data, prox=0.0, batch_size=int(os.environ["PEERS_BATCH"]))
    learned = {
        "arrays": ArrayRecord(model.state_dict()),
        "metrics": MetricRecord({"num-examples": len(data.y)}),
    }
    return Message(content=RecordDict(learned), reply_to=message)
