"""How evenly clients of unlike sizes are divided among devices: most steps of one over the mean.

    python benchmarks/balance.py          # the table of docs/accelerators.md, in half a minute

Sizes are drawn: log-normal with the mean and standard deviation that LEAF's paper (Caldas et al.,
arXiv 1812.01097, table 1) tells of its data, by a Dirichlet distribution as ``quantity`` draws
them, or by a power law. A step is a batch of 10 of the 80 percent that clients train on.
"""

import argparse

import jax
import numpy as np

DEVICES, TRIES = 8, 100
SIZES = {"FEMNIST": (226.83, 88.94), "CelebA": (21.44, 7.63)}
SIZES |= {"Shakespeare": (3743.28, 6212.26), "Reddit": (34.07, 62.95)}


def steps(name: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Steps of an epoch of each of so many clients."""
    if name in SIZES:
        mean, deviation = SIZES[name]
        variance = np.log1p((deviation / mean) ** 2)
        sizes = rng.lognormal(np.log(mean) - variance / 2, np.sqrt(variance), count)
    elif name == "quantity":
        sizes = rng.dirichlet(np.full(count, 0.5)) * 60 * count
    else:
        sizes = np.minimum(5000, 10 * rng.pareto(1.5, count) + 10)
    return np.ceil(np.maximum(1, sizes.round()) * 0.8 / 10)


def unevenness(work: np.ndarray) -> float:
    """Most over mean of the devices' sums, each of a part of the rows, in order."""
    sums = np.pad(work, (0, -len(work) % DEVICES)).reshape(DEVICES, -1).sum(axis=1)
    return sums.max() / sums.mean()


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    jax.config.update("jax_num_cpu_devices", DEVICES)
    from demjax.backend.balance import dealt_out
    from demjax.backend.sharding import spread_over

    rng = np.random.default_rng(0)
    with spread_over(DEVICES):
        order = jax.jit(dealt_out)
        print("sizes        1,000 at random  sorted  dealt out  64 at random  dealt out")
        for name in (*SIZES, "quantity", "power law"):
            found = []
            for _ in range(TRIES):
                many, few = steps(name, 1000, rng), steps(name, 64, rng)
                ways = many, np.sort(many), many[order(many)], few, few[order(few)]
                found.append([unevenness(way) for way in ways])
            print(f"{name:12s}", *(f"{mean:.2f}" for mean in np.mean(found, axis=0)))


if __name__ == "__main__":
    main()
