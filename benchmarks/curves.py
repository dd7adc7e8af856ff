"""A run's measures over its rounds, as the reproductions of published experiments keep them."""

import json
import os
import platform
import sys

from machine import cpu_model


def curve(algorithm, task, clients, *, rounds: int, seed: int, measured, name: str) -> dict:
    """Run an algorithm and take down its measures after the rounds ``measured``, as they come."""
    import jax
    import numpy as np

    import demjax

    moments = demjax.watch(
        algorithm, task, clients, rounds=rounds, key=jax.random.key(seed), eval_every=measured
    )
    points, round_seconds, measure_seconds, diverged_after = [], [], [], None
    for moment in moments:
        if moment.round > 0:
            round_seconds.append(moment.round_seconds)
        taken = moment.measures
        if taken is None:
            continue
        measure_seconds.append(moment.measure_seconds)
        points.append(
            {
                "round": moment.round,
                "c_spe": float(taken.c_spe),
                "c_gen": float(taken.c_gen),
                "global": float(taken.global_score),
                "g_spe": [float(v) if v == v else None for v in np.asarray(taken.g_spe)[:-1]],
                "g_gen": [float(v) if v == v else None for v in np.asarray(taken.g_gen)[:-1]],
                "group_sizes": [
                    sorted((int(s) for s in row if s), reverse=True)
                    for row in np.asarray(taken.hierarchy.size)
                ],
                "diverged": int(taken.diverged),
            }
        )
        print(name, seed, json.dumps(points[-1]), flush=True)
        if taken.diverged > 0:
            diverged_after = moment.round
            break
    modules = ("jax", "numpy", "demjax")
    return {
        "diverged_after": diverged_after,
        "round_seconds": float(np.median(round_seconds)),
        "measure_seconds": float(np.median(measure_seconds)),
        "compile_seconds": moment.compile_seconds,
        "machine": {"cpu": cpu_model(), "cores": len(os.sched_getaffinity(0))},
        "versions": {
            "python": platform.python_version(),
            **{module: sys.modules[module].__version__ for module in modules},
        },
        "curve": points,
    }
