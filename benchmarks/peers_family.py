"""Rounds of demjax's systems held against those of fluke and FLGo, where nothing is left to chance.

    python benchmarks/peers_family.py                     # everything, a minute or two
    python benchmarks/peers_family.py --systems ditto     # one
    python benchmarks/peers_family.py --report            # the table of what OUT holds

Softmax regression of five unequal clients, or where a system has parts of a model or a
representation a network of one hidden layer; all examples of a client in one batch, three steps a
round, from the same first model in float32: two programs that follow the same rule agree to
rounding. Told is the largest difference of a parameter after one round and after three, of the
global model and of the clients' own, beside the largest change that a parameter went through in
demjax. Where they differ, the reason is found in the other's code and named; demjax is held
against the paper's equations by its tests, and so is this table.

fluke is fluke-fl 0.8.1 and FLGo flgo 0.4.4, each in an environment of its own that is made here;
what is compared stands in ``peers/family_systems.py``. OUT is by default
``benchmarks/results/peers_family.json``, with ``.md`` beside it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine
import numpy as np
from peers_processes import HERE, environment, last_error, surroundings

sys.path.insert(0, str(HERE / "peers"))
from family_problem import CLASSES, EPOCHS, HIDDEN, RATE, problem
from family_systems import SYSTEMS, System

ROUNDS = (1, 3)
PACKAGES = {"fluke": "fluke-fl 0.8.1", "flgo": "flgo 0.4.4"}


def demjax_models(name: str, system: System) -> list[dict[str, np.ndarray]]:
    """The models of demjax after each of ``ROUNDS``, arrays named as the other sides write them."""
    import jax
    import jax.numpy as jnp

    import demjax
    from demjax.pytrees import as_pytree

    given = problem(alike=system.model == "Normalized")
    sizes = [len(y) for y in given.y]
    rows = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    partition = demjax.data.Partition(rows, [row[:1] for row in rows])
    clients = demjax.data.client_data(np.concatenate(given.x), np.concatenate(given.y), partition)
    deep = system.model != "Linear"
    model = {
        "Linear": demjax.models.Linear(classes=CLASSES),
        "Network": demjax.models.MLP(classes=CLASSES, hidden=(HIDDEN,)),
        "Normalized": normalized(),
    }[system.model]
    task = demjax.classification(model, clients.x[0])
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
        one_round = jax.jit((algorithm if number < 2 else later).round)
        for part in range(system.rounds):
            state, _ = one_round(jax.random.key(number * system.rounds + part), state, clients)
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
    before = {"Dense_0": "hidden_" if deep else "", "BatchNorm_0": "norm_"}
    layers = [key.key for key in path if key.key not in ("params", "batch_stats")]
    return before.get(layers[0], "") + layers[-1]


def normalized() -> Any:
    """The network with batch normalization before its ReLU."""
    import flax.linen as nn

    class Normalized(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(HIDDEN)(x))
            return nn.Dense(CLASSES)(nn.relu(x))

    return Normalized()


def beginning(system: System) -> dict[str, np.ndarray]:
    """The first model's arrays."""
    norm = {f"norm_{part}": np.ones(HIDDEN, "float32") for part in ("scale", "var")}
    norm |= {f"norm_{part}": np.zeros(HIDDEN, "float32") for part in ("bias", "mean")}
    return {
        "Linear": problem().linear,
        "Network": problem().network,
        "Normalized": problem().network | norm,
    }[system.model]


def peer_models(python: Path, system: System) -> list[dict[str, np.ndarray]]:
    """Likewise of the other package, a process for each number of rounds."""
    found = []
    for rounds in ROUNDS:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "models.npz"
            side = HERE / "peers" / f"{system.package}_side.py"
            command = [str(python), str(side), "--system", system.peer]
            command += ["--rounds", str(rounds), "--out", str(out)]
            command += flgo_options(system) if system.package == "flgo" else fluke_options(system)
            done = subprocess.run(command, capture_output=True, text=True, env=surroundings())
            if done.returncode:
                sys.exit(f"{system.peer}: {last_error(done.stderr)}")
            with np.load(out, allow_pickle=False) as file:
                found.append({name: file[name] for name in file.files})
    return found


def fluke_options(system: System) -> list[str]:
    """What ``fluke_side.py`` is told."""
    told = ["--model", system.model]
    told += ["--sent", system.sent] if system.sent else []
    told += ["--personal", system.personal] if system.personal else []
    for option in ("client", "server", "optimizer"):
        told += [f"--{option}", json.dumps(getattr(system, option))]
    return told


def flgo_options(system: System) -> list[str]:
    """What ``flgo_side.py`` is told."""
    return ["--options", json.dumps(system.own), "--settings", json.dumps(system.settings)]


def compared(python: Path, name: str) -> dict[str, Any]:
    """A row of the table."""
    system = SYSTEMS[name]
    ours, theirs = demjax_models(name, system), peer_models(python, system)

    def largest(mine: dict, other: dict, own: bool = False) -> float:
        names = [leaf for leaf in other if leaf.startswith("own_") == own]
        return float(max(np.max(np.abs(mine[leaf] - other[leaf])) for leaf in names))

    return {
        "peer": f"{system.package}: {system.peer}",
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
        "# demjax's systems and those of fluke and FLGo, the same rounds",
        "",
        "Largest difference of a parameter after one round / three; whole batches, three steps a "
        "round; of hierfavg two rounds at the edges, then one average in the cloud. Linear is "
        f"softmax regression, a network has {HIDDEN} hidden units and a ReLU.",
        "",
        "| system | held against | model | it moved by | global model | clients' models | note |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in found["systems"].items():
        two = [
            " / ".join(f"{x:.1e}" for x in row[kind]) if row[kind] else "–"
            for kind in ("global", "personal")
        ]
        model, moved = row["model"].lower(), f"{row['moved']:.2f}"
        package, _, peer = row["peer"].partition(": ")
        cells = (
            name.removesuffix("_flgo"),
            f"{package} `{peer}`",
            model,
            moved,
            *two,
            row["why"] or "–",
        )
        lines.append(f"| {' | '.join(cells)} |")
    made = f"{found['machine']['cpu']}, jax {found['versions']['jax']}, "
    made += " and ".join(PACKAGES.values()) + "."
    return "\n".join([*lines, "", made, ""])


def main() -> None:
    """Compare what is asked for, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "peers_family.json")
    parser.add_argument("--environments", type=Path, default=HERE / ".peers")
    parser.add_argument("--python", default="python3", help="to make environments with")
    for package in PACKAGES:
        told = "an environment that is there already"
        parser.add_argument(f"--{package}-python", type=Path, help=told)
    parser.add_argument("--report", action="store_true", help="the table of what OUT holds")
    asked = parser.parse_args()
    found = json.loads(asked.out.read_text()) if asked.out.exists() else {"systems": {}}
    if not asked.report:
        empty = machine.empty_result("softmax regression, five clients", 1)
        found |= {part: empty[part] for part in ("machine", "versions")}
        for name in asked.systems:
            package = SYSTEMS[name].package
            python = getattr(asked, f"{package}_python")
            python = python or environment(package, asked.environments, asked.python)
            found["systems"][name] = compared(python, name)
            print(name, found["systems"][name], flush=True)
            asked.out.write_text(json.dumps(found, indent=1) + "\n")
    asked.out.with_suffix(".md").write_text(report(found))


if __name__ == "__main__":
    main()
