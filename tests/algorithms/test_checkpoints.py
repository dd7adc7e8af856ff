"""Every registered algorithm goes on from a checkpoint as if it had never ended, bit for bit."""

import jax
import optax
import pytest
import tiny
from needs import OPTIONS, task_of

from demjax import Checkpoints, local_training
from demjax.registry import ALGORITHMS
from demjax.simulation.checkpoint import newest
from demjax.simulation.programs import programs
from demjax.simulation.rounds import Resumed, moments
from demjax.simulation.saving import Saver

FACTORIES = {
    c.name: c.make for c in ALGORITHMS.choices() if c.facts["module"].startswith("demjax.")
}
KEY, CLIENTS = jax.random.key(2), tiny.clients()


@pytest.mark.parametrize("name", FACTORIES)
def test_two_rounds_and_two_more_are_four(name, tmp_path):
    task = task_of(name)
    local = local_training(task, optax.sgd(0.1, momentum=0.9), epochs=1, batch_size=tiny.BATCH)
    algorithm = FACTORIES[name](local, **OPTIONS.get(name, {}))
    plan = {"rounds": 4, "eval_every": 4, "key": KEY, "take_measures": lambda models, clients: 0}
    compiled = programs(algorithm, task, CLIENTS, **plan)
    saver = Saver(Checkpoints(tmp_path / "c", every=2), rounds=4)
    for moment in moments(algorithm, task, CLIENTS, **plan, compiled=compiled):
        if saver.due(moment.round):
            assert saver.save(moment, {}, {}), saver.failed
    whole = moment
    (tmp_path / "c" / "round-4.json").unlink()
    point, _ = newest(tmp_path / "c")
    found = point.read(state=compiled.state, info=compiled.info)
    resumed = Resumed(2, found["state"], found["info"])
    for place, moment in enumerate(
        moments(algorithm, task, CLIENTS, **plan, compiled=compiled, resumed=resumed), start=2
    ):
        assert moment.round == place
    plain = [jax.tree.map(numbers, (one.state, one.info)) for one in (moment, whole)]
    tiny.same_bits(*plain)


def numbers(leaf):
    return (
        jax.random.key_data(leaf)
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else leaf
    )
