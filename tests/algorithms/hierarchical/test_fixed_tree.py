"""A given tree against a loop over clients and nested groups, and as DemLearn keeps one."""

import jax
import numpy as np
import optax
import pytest
import tiny
from partitions_alike import failure

from demjax import demlearn, fedavg, fixed_tree, local_training
from demjax.base import NO_GROUP
from demjax.clients import participation

LOCAL = local_training(tiny.task(), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
COUNT = len(tiny.SIZES)
KEY = jax.random.key(31)
TREE = np.array([[0, 1, 0, 2, 1, NO_GROUP, 2, 0], [1, 0, 1, 1, 0, 0, 1, 1]])
ROOT = (len(TREE), 0)


def history(algorithm, count, clients=CLIENTS):
    """Models and losses after each round."""
    one_round, state = jax.jit(algorithm.round), algorithm.init(KEY, clients)
    for number in range(count):
        state, info = one_round(jax.random.fold_in(KEY, number), state, clients)
        yield algorithm.models(state), info.loss


def path(n):
    """The groups that hold a client, from its lowest up: pairs of a level and a slot."""
    rows = [*TREE, np.zeros(COUNT, int)]
    return [(level, int(row[n])) for level, row in enumerate(rows) if row[n] != NO_GROUP]


def above(group):
    """The group that a group hangs under."""
    (parent,) = {path(n)[path(n).index(group) + 1] for n in range(COUNT) if group in path(n)}
    return parent


def reference(*, mix, prox, soft, examples, start, cohort, recency, rounds):
    """The equations, round by round: losses, models of clients and of groups."""
    first = tiny.float64(LOCAL.init(KEY))
    existing = sorted({group for n in range(COUNT) for group in path(n)}, reverse=True)
    own, group = [first] * COUNT, dict.fromkeys(existing, first)
    last = np.full(COUNT, -1)
    for number in range(rounds):
        key, losses = jax.random.fold_in(KEY, number), np.full(COUNT, np.nan)
        who = participation.draw(key, COUNT, cohort)
        who = range(COUNT) if who is None else np.asarray(who).tolist()
        for n in who:
            parent = group[path(n)[0]]
            begin = own[n] if last[n] >= 0 else parent
            begin = {"own": begin, "parent": parent, "root": group[ROOT]}[start]
            anchors = [(prox, parent)] if number else []
            own[n], losses[n] = tiny.learn(key, begin, CLIENTS, n, anchors=anchors)
            last[n] = number
        for one in existing:
            members = [n for n in range(COUNT) if one in path(n)]
            trained = [n for n in members if last[n] >= 0]
            count = {n: tiny.SIZES[n] if examples[one[0]] else 1 for n in members}
            if trained:
                count = {n: count[n] * recency ** (number - last[n]) for n in trained}
            total = sum(count.values())
            mean = tiny.combine(*[(share / total, own[n]) for n, share in count.items()])
            keep = 1 - soft if number else 0
            group[one] = tiny.combine((1 - keep, mean), (keep, group[one]))
        for one in existing[1:]:  # the root comes first, and every group before those under it
            rate = mix[one[0] + 1]
            group[one] = tiny.combine((1 - rate, group[one]), (rate, group[above(one)]))
        for n in who:
            own[n] = tiny.combine((1 - mix[0], own[n]), (mix[0], group[path(n)[0]]))
        shown = [own[n] if last[n] >= 0 else group[path(n)[0]] for n in range(COUNT)]
        yield losses, shown, dict(group)


PLAIN = {"mix": (0.6, 0.6, 0.6), "prox": 0.3, "soft": 1.0, "start": "own", "recency": 0.5}
VARIANTS = {
    "everyone": {},
    "softly, a mix for each level": {"soft": 0.4, "mix": (0.5, 0.3, 0.8)},
    "by examples, from the parent": {"examples": (False, True, True), "start": "parent"},
    "three at a time": {"cohort": 3},
    "two at a time, from the root, softly": {"cohort": 2, "start": "root", "soft": 0.5},
    "three at a time, all alike": {"cohort": 3, "recency": 1.0, "examples": (True,) * 3},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_round_is_that_of_the_loop_over_clients_and_groups(variant):
    options = PLAIN | {"cohort": None, "examples": (False,) * 3} | VARIANTS[variant]
    wanted = reference(rounds=5, **options)
    words = tuple("examples" if yes else "clients" for yes in options.pop("examples"))
    algorithm = fixed_tree(LOCAL, client_groups=TREE, weighting=words, **options)
    for (models, loss), (losses, own, group) in zip(history(algorithm, 5), wanted, strict=True):
        np.testing.assert_allclose(loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), own)
        found = tiny.groups_of(models)
        assert len(found) == len(group)
        for (level, slot), model in group.items():
            members = frozenset(n for n in range(COUNT) if (level, slot) in path(n))
            tiny.close(found[level, members], model)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prox": 0.5, "soft": 0.4, "mix": (0.5, 0.3, 0.8), "weighting": "examples"},
        {"average_layers": ("w",), "start": "parent", "measure_at": "trained"},
    ],
    ids=str,
)
def test_with_the_tree_that_demlearn_finds_it_is_demlearn_that_keeps_it(options):
    kept = list(history(demlearn(LOCAL, levels=2, period=100, **options), 5))
    groups = np.asarray(kept[0][0].hierarchy.groups)
    assert len(set(groups[0])) > 2
    given = history(fixed_tree(LOCAL, client_groups=groups[:-1], **options), 5)
    for (models, loss), (wanted, its_loss) in zip(given, kept, strict=True):
        np.testing.assert_array_equal(models.hierarchy.groups, groups)
        np.testing.assert_allclose(loss, its_loss, rtol=1e-5)
        tiny.close(models.client, wanted.client, 1e-5)
        found, theirs = tiny.groups_of(models), tiny.groups_of(wanted)
        assert found.keys() == theirs.keys()
        for place, model in found.items():
            tiny.close(model, theirs[place], 1e-5)


def test_a_root_alone_that_all_take_on_is_federated_averaging():
    nobody = np.zeros((0, COUNT), int)
    options = {"client_groups": nobody, "mix": 1.0, "prox": 0.0, "weighting": "examples"}
    mixed = fedavg(LOCAL, measure_at="averaged")
    for (models, _), (wanted, _) in zip(
        history(fixed_tree(LOCAL, **options), 4), history(mixed, 4), strict=True
    ):
        tiny.close(models.client, wanted.client, 1e-6)


def test_the_usual_tree_is_of_as_many_neighbours_each():
    models, _ = next(history(fixed_tree(LOCAL), 1))
    wanted = [[0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 1, 1, 1, 1], [0] * 8]
    np.testing.assert_array_equal(models.hierarchy.groups, wanted)


def test_wrong_trees_are_refused():
    failure(lambda: fixed_tree(LOCAL, groups=(2, 4)), "2, 4 groups", "possible is 4, 2")
    failure(lambda: fixed_tree(LOCAL, mix=(0.1, 0.2)), "mix", "as 3", "2 were given")
    crossed = np.array([[0] * 4 + [1] * 4, [0, 1] * 4])
    failure(
        lambda: fixed_tree(LOCAL, client_groups=crossed), "nest", "group 0 of level 1", "0 and 1"
    )
    both = {"client_groups": TREE, "placement": "random"}
    failure(lambda: fixed_tree(LOCAL, **both), "drawn at random", "one of them")
