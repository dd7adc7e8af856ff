"""Robust means and attacks beside byzfl's, on the same numbers.

byzfl (0.0.11, with PyTorch) has an environment of its own, whose Python is given:

    python -m venv venv-byzfl && venv-byzfl/bin/pip install byzfl==0.0.11
    python benchmarks/robust_against_byzfl.py --python venv-byzfl/bin/python

Models are updates, so that what is replaced is 0, as byzfl's estimators begin from. Both sides
compute in single precision; the table says how far they are apart beside the length of what byzfl
gives. Krum is given byzfl's number of neighbours, ``margin=1``; the paper's is one less.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "results" / "robust_against_byzfl"
CASES = ((11, 2), (30, 6), (50, 10))
PARAMETERS, STEPS, NORM = 1000, 5, 10.0
ATTACKS = ("none", "far", "a little is enough", "inner product")

BYZFL = """
import sys
import numpy as np
import byzfl

given = np.load(sys.argv[1])
made = {}
for name in given.files:
    x, liars = given[name], int(name.split("/")[1])
    n, norm, steps = len(x), float(sys.argv[3]), int(sys.argv[4])
    honest = x[liars:]
    made[f"{name}/median"] = byzfl.Median()(x)
    made[f"{name}/trimmed_mean"] = byzfl.TrMean(f=liars)(x)
    made[f"{name}/krum"] = byzfl.Krum(f=liars)(x)
    made[f"{name}/multi_krum"] = byzfl.MultiKrum(f=liars)(x)
    made[f"{name}/geometric_median"] = byzfl.GeometricMedian(nu=0.1, T=steps)(x)
    made[f"{name}/norm_clipping"] = byzfl.CenteredClipping(L=1, tau=norm)(x)
    made[f"{name}/centered_clipping"] = byzfl.CenteredClipping(L=steps, tau=norm)(x)
    made[f"{name}/attack a_little_is_enough"] = byzfl.ALittleIsEnough(tau=-1.5)(honest)
    made[f"{name}/attack inner_product"] = byzfl.InnerProductManipulation(tau=0.5)(honest)
np.savez(sys.argv[2], **made)
"""


def inputs() -> dict[str, np.ndarray]:
    """Updates ``[n, P]``, the liars' first, by ``n/f/what they do``."""
    rng, found = np.random.default_rng(0), {}
    for clients, liars in CASES:
        honest = rng.normal(0.2, 1.0, (clients - liars, PARAMETERS)).astype(np.float32)
        mean, std = honest.mean(axis=0), honest.std(axis=0)
        sent = {
            "none": rng.normal(0.2, 1.0, (liars, PARAMETERS)),
            "far": rng.normal(0, 1e4, (liars, PARAMETERS)),
            "a little is enough": mean - 1.5 * std + np.zeros((liars, 1)),
            "inner product": -0.5 * mean + np.zeros((liars, 1)),
        }
        for attack in ATTACKS:
            rows = np.concatenate([sent[attack].astype(np.float32), honest])
            found[f"{clients}/{liars}/{attack}"] = rows
    return found


def of_demjax(name: str, x: np.ndarray) -> dict[str, np.ndarray]:
    """What demjax makes of the same."""
    import jax
    import jax.numpy as jnp

    from demjax.clients.attacks import a_little_is_enough, inner_product
    from demjax.hierarchy import estimators as means

    clients, liars, _ = name.split("/")
    share = int(liars) / int(clients)
    averages = {
        "median": means.median(),
        "trimmed_mean": means.trimmed_mean(liars=share),
        "krum": means.krum(liars=share, margin=1),
        "multi_krum": means.multi_krum(liars=share, margin=1),
        "geometric_median": means.geometric_median(iterations=STEPS, smoothing=0.1),
        "norm_clipping": means.norm_clipping(norm=NORM),
        "centered_clipping": means.centered_clipping(norm=NORM, iterations=STEPS),
    }
    one, nothing = jnp.ones((1, len(x))), {"w": jnp.zeros((1, x.shape[1]))}
    found = {
        mean: average({"w": jnp.asarray(x)}, one, reference=nothing, key=None)["w"][0]
        for mean, average in averages.items()
    }
    honest = jnp.arange(len(x)) >= int(liars)
    for attack in (a_little_is_enough(z=1.5), inner_product(epsilon=0.5)):
        sent = attack.lie({"w": jnp.asarray(x)}, honest, jax.random.key(0))["w"][0]
        found["attack " + attack_name(attack)] = sent
    return {name: np.asarray(leaf, np.float64) for name, leaf in found.items()}


def attack_name(attack: object) -> str:
    """The attack's name, by the function that makes its lies."""
    return attack.lie.__qualname__.split(".")[0]


def main() -> None:
    """Compute both sides and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="the Python that has byzfl")
    python = parser.parse_args().python
    given = inputs()
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "asked.npz"), Path(folder, "answered.npz")
        np.savez(asked, **given)
        words = [python, "-W", "ignore", "-c", BYZFL, asked, answered, str(NORM), str(STEPS)]
        subprocess.run(list(map(str, words)), check=True)
        with np.load(answered) as loaded:
            byzfl = {name: loaded[name].astype(np.float64) for name in loaded.files}
    rows: dict[str, dict[str, float]] = {}
    for name, x in given.items():
        for what, ours in of_demjax(name, x).items():
            theirs = byzfl[f"{name}/{what}"]
            apart = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
            rows.setdefault(what, {})[name] = float(apart)
    lines = [f"# Beside byzfl 0.0.11: {PARAMETERS} parameters, relative distance of results", ""]
    lines += ["| liars | send | " + " | ".join(rows) + " |", "|---|---|" + "---|" * len(rows)]
    for kind in given:
        clients, liars, attack = kind.split("/")
        apart = " | ".join(f"{row[kind]:.1e}" for row in rows.values())
        lines.append(f"| {liars} of {clients} | {attack} | {apart} |")
    worst = max(value for apart in rows.values() for value in apart.values())
    lines += ["", f"Largest: {worst:.1e}.", ""]
    OUT.with_suffix(".md").write_text("\n".join(lines), encoding="utf-8")
    OUT.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    main()
