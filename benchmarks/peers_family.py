"""Rounds of demjax's systems held against those of fluke, where nothing is left to chance.

    python benchmarks/peers_family.py                     # everything, a minute or two
    python benchmarks/peers_family.py --systems ditto     # one
    python benchmarks/peers_family.py --report            # the table of what OUT holds

Softmax regression of five unequal clients, or where a system has parts of a model or a
representation a network of one hidden layer; all examples of a client in one batch, three steps a
round, from the same first model in float32: two programs that follow the same rule agree to
rounding. Told is the largest difference of a parameter after one round and after three, of the
global model and of the clients' own, beside the largest change that a parameter went through in
demjax. Where they differ, the reason is found in fluke's code and named; demjax is held against the
paper's equations by its tests, and so is this table.

fluke is fluke-fl 0.8.1, in an environment of its own that is made here. OUT is by default
``benchmarks/results/peers_family.json``, with ``.md`` beside it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import numpy as np
from peers_processes import HERE, environment, last_error, surroundings

sys.path.insert(0, str(HERE / "peers"))
from family_problem import CLASSES, EPOCHS, HIDDEN, RATE, problem

ROUNDS = (1, 3)


@dataclass(frozen=True)
class System:
    """A system on both sides.

    Attributes:
        options: demjax's.
        peer: fluke's class.
        client, server, optimizer: fluke's options.
        personal: Where fluke keeps a client's own model.
        why: Why they differ, where they do, or what else there is to know.
        name: The factory's, where the key is not.
        model: What learns, a class of ``fluke_side.py``: ``Linear`` or ``Network``.
        sent: What of it fluke's server has, if not all, likewise.
        then: What of demjax's options is other from the third round on.
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
}


def demjax_models(name: str, system: System) -> list[dict[str, np.ndarray]]:
    """The models of demjax after each of ``ROUNDS``, arrays named as fluke's side writes them."""
    import jax
    import jax.numpy as jnp

    import demjax
    from demjax.pytrees import as_pytree

    given = problem()
    sizes = [len(y) for y in given.y]
    rows = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    partition = demjax.data.Partition(rows, [row[:1] for row in rows])
    clients = demjax.data.client_data(np.concatenate(given.x), np.concatenate(given.y), partition)
    deep = system.model == "Network"
    hidden = demjax.models.MLP(classes=CLASSES, hidden=(HIDDEN,))
    task = demjax.classification(
        hidden if deep else demjax.models.Linear(classes=CLASSES), clients.x[0]
    )
    local = demjax.local_training(task, "sgd", lr=RATE, epochs=EPOCHS, batch_size=max(sizes))
    first = jax.eval_shape(task.init, jax.random.key(0))

    def begun(path, leaf):
        found = jnp.asarray(beginning(system)[_name(path, deep)])
        assert found.shape == leaf.shape
        return found

    first = jax.tree.map_with_path(begun, first)
    make = getattr(demjax, system.name or name)
    local = local._replace(init=lambda key: first)
    algorithm, later = make(local, **system.options), make(local, **system.options | system.then)
    state, found = algorithm.init(jax.random.key(0), clients), []
    for number in range(max(ROUNDS)):
        one_round = (algorithm if number < 2 else later).round
        state, _ = jax.jit(one_round)(jax.random.key(number), state, clients)
        if number + 1 in ROUNDS:
            models = algorithm.models(state)
            found.append(
                _named(as_pytree(models.group), "", (-1, 0), deep)
                | _named(as_pytree(models.client), "own_", (), deep)
            )
    return found


def _named(model: Any, before: str, row: tuple, deep: bool) -> dict[str, np.ndarray]:
    import jax

    leaves = jax.tree.leaves_with_path(model)
    return {before + _name(path, deep): np.asarray(leaf)[row] for path, leaf in leaves}


def _name(path: tuple, deep: bool) -> str:
    """Of an array, as ``family_problem.py`` names it."""
    return ("hidden_" if deep and path[0].key == "Dense_0" else "") + path[-1].key


def beginning(system: System) -> dict[str, np.ndarray]:
    """The first model's arrays."""
    return problem().network if system.model == "Network" else problem().linear


def fluke_models(python: Path, system: System) -> list[dict[str, np.ndarray]]:
    """Likewise of fluke, a process for each number of rounds."""
    found = []
    for rounds in ROUNDS:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "models.npz"
            command = [str(python), str(HERE / "peers" / "fluke_side.py"), "--system", system.peer]
            command += ["--rounds", str(rounds), "--out", str(out), "--model", system.model]
            command += ["--sent", system.sent] if system.sent else []
            command += ["--personal", system.personal] if system.personal else []
            for option in ("client", "server", "optimizer"):
                command += [f"--{option}", json.dumps(getattr(system, option))]
            done = subprocess.run(command, capture_output=True, text=True, env=surroundings())
            if done.returncode:
                sys.exit(f"{system.peer}: {last_error(done.stderr)}")
            with np.load(out, allow_pickle=False) as file:
                found.append({name: file[name] for name in file.files})
    return found


def compared(python: Path, name: str) -> dict[str, Any]:
    """A row of the table."""
    system = SYSTEMS[name]
    ours, theirs = demjax_models(name, system), fluke_models(python, system)

    def largest(mine: dict, other: dict, own: bool = False) -> float:
        names = [leaf for leaf in other if leaf.startswith("own_") == own]
        return float(max(np.max(np.abs(mine[leaf] - other[leaf])) for leaf in names))

    return {
        "peer": system.peer,
        "model": system.model,
        "rounds": ROUNDS,
        "moved": largest(ours[-1], beginning(system)),
        "global": [largest(a, b) for a, b in zip(ours, theirs, strict=True)],
        "personal": [largest(a, b, own=True) for a, b in zip(ours, theirs, strict=True)]
        if system.personal
        else None,
        "why": system.why,
    }


def report(found: dict[str, Any]) -> str:
    """The table in Markdown."""
    lines = [
        "# demjax's systems and fluke's, the same rounds",
        "",
        "Largest difference of a parameter after one round / three; whole batches, three steps a "
        f"round. Linear is softmax regression, a network has {HIDDEN} hidden units and a ReLU.",
        "",
        "| system | fluke's | model | it moved by | global model | clients' own models | note |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in found["systems"].items():
        two = [
            " / ".join(f"{x:.1e}" for x in row[kind]) if row[kind] else "–"
            for kind in ("global", "personal")
        ]
        model, moved = row["model"].lower(), f"{row['moved']:.2f}"
        cells = (name, f"`{row['peer']}`", model, moved, *two, row["why"] or "–")
        lines.append(f"| {' | '.join(cells)} |")
    made = f"{found['machine']['cpu']}, jax {found['versions']['jax']}, fluke-fl 0.8.1."
    return "\n".join([*lines, "", made, ""])


def main() -> None:
    """Compare what is asked for, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "peers_family.json")
    parser.add_argument("--environments", type=Path, default=HERE / ".peers")
    parser.add_argument("--python", default="python3", help="to make fluke's environment with")
    parser.add_argument("--fluke-python", type=Path, help="an environment that is there already")
    parser.add_argument("--report", action="store_true", help="the table of what OUT holds")
    asked = parser.parse_args()
    found = json.loads(asked.out.read_text()) if asked.out.exists() else {"systems": {}}
    if not asked.report:
        python = asked.fluke_python or environment("fluke", asked.environments, asked.python)
        for name in asked.systems:
            found["systems"][name] = compared(python, name)
            print(name, found["systems"][name], flush=True)
        empty = machine.empty_result("softmax regression, five clients", 1)
        found |= {part: empty[part] for part in ("machine", "versions")}
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
    asked.out.with_suffix(".md").write_text(report(found))


if __name__ == "__main__":
    main()
