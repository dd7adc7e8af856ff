"""Every registered algorithm on devices of one or several processes: what its models are then.

python spread_out.py OUT DEVICES [PORT PROCESSES NUMBER]
"""

import sys
from contextlib import nullcontext
from pathlib import Path

import jax
import numpy as np

ROUNDS = 2
ROWS = "rows on a device: "
SIZES = (7, 3, 12, 5, 9, 4, 10, 1, 6, 2, 8, 11, 3, 5, 7, 4)


def settings():
    """By name how each algorithm is made, on how many clients, and if examples lie in parts.

    Each second one trains three clients at a time, where it can.
    """
    from demjax.registry import ALGORITHMS, accepts

    for number, choice in enumerate(ALGORITHMS.choices()):
        if number % 2 and accepts(choice.make, "cohort"):
            few, some = {"cohort": 3}, ", three at a time"
        else:
            few, some = {}, ""
        yield f"{choice.name}{some}", choice.make, few, 15, True


def outcomes():
    """By setting and leaf the clients' models after some rounds, and their groups.

    And for each setting the most rows of clients' models that a device has.
    """
    import optax
    import tiny
    from needs import OPTIONS, task_of

    import demjax
    from demjax.backend.examples import placed
    from demjax.backend.placement import state_shardings, stored_evenly, whole
    from demjax.backend.policy import dividing_examples

    found, most = {}, {}
    for name, make, options, count, parts in settings():
        with dividing_examples(parts):
            clients = placed(tiny.clients(SIZES[:count], (1,) * count))
        of, key = name.split(",")[0], jax.random.key(3)
        local = demjax.local_training(task_of(of), optax.sgd(0.3), epochs=2, batch_size=4)
        algorithm = make(local, **OPTIONS.get(of, {}), **options)
        algorithm = stored_evenly(algorithm, clients)
        where = state_shardings(jax.eval_shape(algorithm.init, key, clients), count)
        state = jax.jit(algorithm.init, out_shardings=where)(key, clients)
        one_round = jax.jit(algorithm.round, donate_argnums=1, out_shardings=(where, whole()))
        for number in range(ROUNDS):
            state, info = one_round(jax.random.fold_in(key, number), state, clients)
        seen = jax.jit(lambda state, see=algorithm.models: see(state), out_shardings=whole())(state)
        leaves = jax.tree_util.tree_leaves_with_path((seen.client, seen.hierarchy.groups, info))
        for path, leaf in leaves:
            found[f"{name}:{jax.tree_util.keystr(path)}"] = np.asarray(leaf)
        stacked = [x for x in jax.tree.leaves(state) if x.ndim > 1 and x.shape[0] >= count]
        shards = [leaf.addressable_shards for leaf in stacked]
        # 0 where a system holds nothing for each client
        most[name] = max((shard.data.shape[0] for some in shards for shard in some), default=0)
    return found, most


def main(out, devices, port=None, processes="1", number="0"):
    """Be one of the processes, and let the first write the outcomes down."""
    jax.config.update("jax_num_cpu_devices", int(devices))
    from demjax.backend.processes import together
    from demjax.backend.sharding import spread_over

    coordinator = f"localhost:{port}"
    joined = together(coordinator, int(processes), int(number)) if port else nullcontext()
    with joined as seen, spread_over():
        found, most = outcomes()
        assert jax.device_count() == int(devices) * int(processes)
        if seen is None or seen.writes:
            np.savez(Path(out), **found, **{ROWS + name: rows for name, rows in most.items()})
        if seen is not None:
            seen.code = 0  # else whoever is first done tells the other that it died


if __name__ == "__main__":
    main(*sys.argv[1:])
