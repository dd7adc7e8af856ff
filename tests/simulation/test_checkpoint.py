"""Checkpoints: whole or not taken for one, and runs that go on from them bit for bit."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from demjax import Checkpoints, fedavg, local_training, simulate
from demjax.simulation.checkpoint import newest, prune, write

TASK, CLIENTS, KEY = tiny.task(), tiny.clients(), jax.random.key(0)
LOCAL = local_training(TASK, optax.sgd(0.1), epochs=1, batch_size=4)
TREE = {
    "key": jax.random.split(jax.random.key(3), 2),
    "narrow": jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3) / 3,
    "nothing": jnp.zeros((0, 4)),
    "numbers": (np.float64(1 / 3), jnp.int32(-5), jnp.array([True, False])),
}


def written(folder, *numbers):
    for number in numbers:
        write(folder, number, {"state": TREE}, {"of": number}, writes=True)
    return folder


def test_what_is_read_is_what_was_written_in_every_type(tmp_path):
    point, said = newest(written(tmp_path / "c", 3))
    assert (point.round, point.about, said) == (3, {"of": 3}, [])
    found = point.read(state=TREE)["state"]
    assert jnp.issubdtype(found["key"].dtype, jax.dtypes.prng_key)
    keys = map(jax.random.key_data, (found.pop("key"), TREE["key"]))
    np.testing.assert_array_equal(*keys)
    tiny.same_bits(found, {name: leaf for name, leaf in TREE.items() if name != "key"})
    for other in ({"x": TREE["narrow"]}, {**TREE, "narrow": jnp.zeros((2, 4))}):
        with pytest.raises(ValueError, match="is of another experiment"):
            point.read(state=other)


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


BREAKS = {
    "one bit": lambda c: flipped(next((c / "round-9").rglob("0.0"))),
    "half a file": lambda c: (c / "round-9" / "_METADATA").write_bytes(b"{"),
    "a file less": lambda c: (c / "round-9" / "_sharding").unlink(),
    "a file more": lambda c: (c / "round-9" / "more").write_bytes(b""),
    "a link": lambda c: (c / "round-9" / "link").symlink_to("/etc/passwd"),
    "no arrays": lambda c: (c / "round-9").rename(c / "elsewhere"),
    "half a JSON": lambda c: (c / "round-9.json").write_text('{"form": 1'),
    "another JSON": lambda c: (c / "round-9.json").write_text("[[[]]]"),
    "no object": lambda c: (c / "round-9.json").write_text('{"form": 1, "round": 9}'),
    "a list of files": lambda c: (c / "round-9.json").write_text(
        '{"form": 1, "round": 9, "about": {}, "trees": {}, "files": [1]}'
    ),
    "nested": lambda c: (c / "round-9.json").write_text("[" * 10**5),
    "of a later demjax": lambda c: (c / "round-9.json").write_text('{"form": 2, "round": 9}'),
}


def test_a_broken_checkpoint_is_seen_and_the_one_before_is_used(tmp_path):
    for number, (how, harm) in enumerate(BREAKS.items()):
        folder = written(tmp_path / str(number), 5, 9)
        harm(folder)
        point, said = newest(folder)
        assert point is not None, how
        assert point.round == 5, how
        assert len(said) == 1, how
        assert "The checkpoint after round 9" in said[0]
    (folder / "round-5.json").unlink()  # what a kill before the last step leaves
    assert newest(folder)[0] is None
    written(folder, 7)  # after which the run went on from before the broken ones
    prune(folder, 1, 7)
    assert sorted(path.name for path in folder.iterdir()) == ["round-7", "round-7.json"]


def test_an_array_that_declares_more_than_is_wanted_is_refused_before_it_is_read(tmp_path):
    point, _ = newest(written(tmp_path / "c", 1))
    for file in point.arrays.rglob(".zarray"):
        said = file.read_text()
        file.write_text(said.replace('"chunks":[2,3]', '"chunks":[2000000,300000]'))
    with pytest.raises(ValueError, match="does not declare the shape"):
        point.read(state=TREE)


@pytest.mark.parametrize("kind", ["|V1000000000", "<f8", [["a", "<f4"]], None])
def test_an_array_of_another_type_is_refused_before_it_is_read(kind, tmp_path):
    point, _ = newest(written(tmp_path / "c", 1))
    for file in point.arrays.rglob(".zarray"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"dtype": kind}))
    with pytest.raises(ValueError, match="does not declare the shape"):
        point.read(state=TREE)


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"tree_metadata": null}', "[" * 10**5])
def test_what_orbax_cannot_read_is_told(said, tmp_path):
    point, _ = newest(written(tmp_path / "c", 1))
    (point.arrays / "_METADATA").write_text(said)
    with pytest.raises(ValueError, match="is not as it was written"):
        point.read(state=TREE)


def run(folder, rounds, **options):
    given = {"rounds": rounds, "key": KEY, "eval_every": 2, **options}
    return simulate(fedavg(LOCAL, cohort=3), TASK, CLIENTS, **given, checkpoint=folder)


def test_simulate_goes_on_as_if_it_had_never_ended(tmp_path):
    whole, folder = run(None, 7), tmp_path / "new" / "c"
    run(Checkpoints(folder, every=2, keep=1), 3)  # its last round is none of the longer run's
    assert sorted(path.name for path in folder.iterdir()) == ["round-3", "round-3.json"]
    again = run(Checkpoints(folder, every=2), 7)
    assert again.round.tolist() == [0, 2, 4, 6, 7]
    tiny.same_bits(again, whole)
    tiny.same_bits(run(folder, 7), whole)  # nothing is left to do
    for words, options in {
        "has 7 rounds behind it": {"rounds": 6},
        "another key": {"key": jax.random.key(1)},
        "measured in other rounds": {"eval_every": 3},
    }.items():
        with pytest.raises(ValueError, match=words):
            run(folder, **{"rounds": 8, **options})
    with pytest.raises(ValueError, match="on other data"):
        simulate(fedavg(LOCAL), TASK, tiny.clients(seed=1), rounds=8, key=KEY, checkpoint=folder)


def test_what_cannot_be_saved_is_said_once_and_the_run_goes_on(tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    for number in range(1, 4):  # no file has this name then
        (folder / f"round-{number}.partial").mkdir()
    with pytest.warns(RuntimeWarning, match="cannot be written into") as said:
        found = run(Checkpoints(folder, every=1), 3)
    assert len(said) == 1
    assert found.round.tolist() == [0, 2, 3]
    with pytest.raises(ValueError, match="needs keep of at least 1, but 0"):
        Checkpoints(folder, keep=0)
