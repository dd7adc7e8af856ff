"""The systems of ``peers_family.py``, on both sides."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from family_problem import EDGES, EPOCHS, RATE


@dataclass(frozen=True)
class System:
    """A system on both sides.

    Attributes:
        options: demjax's.
        peer: fluke's class, or FLGo's module.
        client, server, optimizer: fluke's options.
        personal: Where fluke keeps a client's own model.
        why: Why they differ, where they do, or what else there is to know.
        name: The factory's, where the key is not.
        model: What learns, a class of ``fluke_side.py``: ``Linear``, ``Network`` or ``Normalized``.
        sent: What of it fluke's server has, if not all, likewise.
        then: What of demjax's options is other from the third round on.
        package: Whose the peer is, ``fluke`` or ``flgo``.
        own, settings: FLGo's options, of the system and of all.
        rounds: Of demjax, to one of the peer.
    """

    options: dict[str, Any]
    peer: str
    client: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=lambda: {"weighted": True})
    optimizer: dict[str, Any] = field(default_factory=dict)
    personal: str = ""
    why: str = ""
    name: str = ""
    model: str = "Linear"
    sent: str = ""
    then: dict[str, Any] = field(default_factory=dict)
    package: str = "fluke"
    own: list[Any] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    rounds: int = 1


FEDALA, FLUKE_FEDALA = {"weight_lr": 5.0, "sampled": 100.0}, {"eta": 5.0, "ala_sample_size": 1.0}

SYSTEMS = {
    "fedavg": System({}, "fedavg.FedAVG"),
    "fedprox": System({"prox": 0.5}, "fedprox.FedProx", client={"mu": 0.5}),
    "ditto": System(
        {"prox": 0.7},
        "ditto.Ditto",
        client={"lam": 0.7, "tau": EPOCHS},
        personal="personalized_model",
    ),
    "scaffold": System({}, "scaffold.SCAFFOLD", server={"weighted": False}),
    "fednova": System({}, "fednova.FedNova"),
    "fedavgm": System(
        {"server_momentum": 0.9},
        "fedavgm.FedAVGM",
        server={"weighted": True, "momentum": 0.9},
        why="fluke's first round leaves the model as it was: its momentum is made then, as zeros, "
        "and nothing is added to it",
    ),
    "fedadam": System(
        {"server_lr": 0.1, "server_b1": 0.9, "server_b2": 0.99, "adaptivity": 0.001},
        "fedopt.FedOpt",
        server={"mode": "adam", "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "tau": 0.001},
        why="fluke takes the mean itself at the server's rate before it steps at that rate, and "
        "its v begins at 0, the paper's at τ² (algorithm 2)",
    ),
    "fedyogi": System(
        {"server_lr": 0.1, "server_b1": 0.9, "server_b2": 0.99, "adaptivity": 0.001},
        "fedopt.FedOpt",
        server={"mode": "yogi", "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "tau": 0.001},
        why="as of FedAdam",
    ),
    "fedadagrad": System(
        {"server_lr": 0.1, "server_b1": 0.0, "adaptivity": 0.001},
        "fedopt.FedOpt",
        server={"mode": "adagrad", "lr": 0.1, "beta1": 0.0, "beta2": 0.99, "tau": 0.001},
        why="as of FedAdam",
    ),
    "per_fedavg": System(
        {"personal_lr": 0.1},
        "per_fedavg.PerFedAVG",
        client={"mode": "FO", "beta": RATE, "local_epochs": 1},
        server={"weighted": False},
        optimizer={"name": "SGD", "lr": 0.1},
        why="fluke goes on from the adapted model, w̃ − β g, the paper from w (algorithm 1, line 8)",
    ),
    "pfedme": System(
        {"prox": 2.0, "personal_lr": 0.1, "personal_steps": 5},
        "pfedme.PFedMe",
        client={"k": 5},
        server={"weighted": False, "beta": 1.0},
        optimizer={"lr": 0.1, "lamda": 2.0, "mu": 0.0},
        why="fluke's personal step is drawn to itself, not to the local model, and what it sends "
        "is the personal model",
    ),
    "apfl": System(
        {"alpha": 0.5},
        "apfl.APFL",
        client={"lam": 0.5},
        server={"weighted": False, "tau": 1},
        personal="personalized_model",
        why="of the own models alone: fluke's gradient is that of a copy of the mixture, which no "
        "optimizer has, so that they are not trained",
    ),
    "fedper": System(
        {"measure_at": "trained"},
        "fedper.FedPer",
        personal="model",
        model="Network",
        sent="Body",
    ),
    "fedrep": System(
        {"head_epochs": 2, "measure_at": "trained"},
        "fedrep.FedRep",
        client={"local_epochs": 2, "tau": EPOCHS},
        server={"weighted": False},
        personal="model",
        model="Network",
        sent="Body",
    ),
    "fedala": System(
        FEDALA | {"weight_epochs": 11},
        "fedala.FedALA",
        client=FLUKE_FEDALA | {"conergence_threshold": 1.0},
        personal="model",
        why="both learn a client's first weights for 11 epochs, in the second round, and all later "
        "ones for one: fluke is told that they have converged when it first looks",
        model="Network",
        then={"weight_epochs": 1},
    ),
    "fedala_converging": System(
        FEDALA,
        "fedala.FedALA",
        client=FLUKE_FEDALA,
        personal="model",
        why="fluke, as the paper, learns a client's first weights until its losses stand still; "
        "demjax takes as many epochs in every round, here one",
        name="fedala",
        model="Network",
    ),
    "moon": System(
        {"contrast": 2.0, "temperature": 0.7},
        "moon.MOON",
        client={"mu": 2.0, "tau": 0.7},
        why="neither has the projection head that the paper adds",
        model="Network",
    ),
    "fedbn": System(
        {"measure_at": "trained"},
        "fedbn.FedBN",
        server={"weighted": False},
        personal="model",
        model="Normalized",
        why="all clients with seven examples, with batch normalization before the ReLU",
    ),
    "feddyn": System(
        {"prox": 0.5},
        "feddyn.FedDyn",
        client={"alpha": 0.5, "clipping": 0},
        server={"weighted": False, "alpha": 0.5},
        why="fluke keeps α Σ (θ − θ_n) where the paper's rule adds Σ (θ_n − θ), to gradients and "
        "to the mean, and the model told is the mean without it",
    ),
    "feddyn_flgo": System({"prox": 0.5}, "feddyn", own=[0.5], name="feddyn", package="flgo"),
    "q_fedavg": System({"q": 2.0}, "qfedavg", own=[2.0], package="flgo"),
    "hierfavg": System(
        {"kappa2": 2, "client_groups": np.array(EDGES)},
        "hierarchical",
        settings={"num_edge_rounds": 2},
        package="flgo",
        rounds=2,
    ),
    "fedavg_flgo": System({}, "fedavg", name="fedavg", package="flgo"),
    "fedavgm_flgo": System(
        {"server_momentum": 0.9}, "fedavgm", own=[0.9], name="fedavgm", package="flgo"
    ),
    "scaffold_flgo": System({}, "scaffold", own=[1.0], name="scaffold", package="flgo"),
    "fednova_flgo": System({}, "fednova", name="fednova", package="flgo"),
}
