"""DemLearn against a loop over clients and a recursive tree in NumPy."""

from dataclasses import dataclass, field
from functools import cache, partial

import jax
import numpy as np
import optax
import pytest
import scipy.cluster.hierarchy
import scipy.spatial.distance
import tiny

from demjax import demlearn, fedavg, linkage, local_training

TASK = tiny.task()
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH)
CLIENTS = tiny.clients()
KEY = jax.random.key(3)


@dataclass
class Group:
    """A node of the reference's tree; clients who are in no child hang directly under it."""

    level: int
    members: frozenset
    children: list = field(default_factory=list)
    mean: dict | None = None
    model: dict | None = None

    def below(self):
        return [self, *[group for child in self.children for group in child.below()]]

    def path(self, client):
        """The groups that hold a client, from this one down."""
        for child in self.children:
            if client in child.members:
                return [self, *child.path(client)]
        return [self]


class Reference:
    """The published algorithm, round by round."""

    def __init__(
        self,
        model,
        clients,
        *,
        levels=3,
        mix=0.6,
        prox=0.002,
        period=1,
        soft=1.0,
        amplification=1.0,
        amplified_rounds=5,
        beta=None,
        metric="euclidean",
        method="average",
    ):
        vars(self).update({name: value for name, value in locals().items() if name != "self"})
        self.count = len(clients.train_size)
        self.agents = [model] * self.count
        self.root = None
        self.number = 0

    def build(self):
        points = np.stack([tiny.vector(agent) for agent in self.agents])
        merges = scipy.cluster.hierarchy.linkage(
            scipy.spatial.distance.pdist(points, self.metric), self.method
        )

        def leaves(node):
            if node < self.count:
                return [int(node)]
            left, right = merges[int(node) - self.count, :2]
            return leaves(left) + leaves(right)

        def grow(node, level):
            children = merges[int(node) - self.count, :2] if level else []
            children = [grow(child, level - 1) for child in children if child >= self.count]
            return Group(level, frozenset(leaves(node)), children)

        return grow(2 * self.count - 2, self.levels)

    def average(self, group, factor):
        for child in group.children:
            self.average(child, factor)
        alone = group.members.difference(*[child.members for child in group.children])
        share = 1 / len(group.members)
        terms = [(len(child.members) * share, child.mean) for child in group.children]
        terms += [(share, self.agents[n]) for n in alone]
        group.mean = tiny.combine((factor, tiny.combine(*terms)))

    def mix_groups(self, group):
        for child in group.children:
            child.model = tiny.combine((1 - self.mix, child.model), (self.mix, group.model))
            self.mix_groups(child)

    def start(self, n):
        """The model that an agent trains from and what pulls it."""
        own = self.agents[n]
        if self.number == 0:
            return own, []
        path = self.root.path(n)
        if self.beta is None:
            return own, [(self.prox, path[-1].model)]
        total = sum(1 / len(group.members) for group in path)
        general = tiny.combine(*[(1 / len(g.members) / total, g.model) for g in path])
        share = self.beta(self.number)
        pulls = [(self.prox / len(group.members), group.model) for group in path]
        return tiny.combine((1 - share, own), (share, general)), pulls

    def round(self, key):
        trained = []
        for n in range(self.count):
            model, pulls = self.start(n)
            trained.append(tiny.learn(key, model, self.clients, n, pulls=pulls))
        self.agents, losses = [list(column) for column in zip(*trained, strict=True)]
        regroup = self.number % self.period == 0
        if regroup:
            self.root = self.build()
        self.average(self.root, self.amplification if self.number < self.amplified_rounds else 1)
        for group in self.root.below():
            keep = 0 if regroup else 1 - self.soft
            group.model = tiny.combine((1 - keep, group.mean), (keep, group.model or group.mean))
        if self.beta is None:
            self.mix_groups(self.root)
            for n, agent in enumerate(self.agents):
                parent = self.root.path(n)[-1].model
                self.agents[n] = tiny.combine((1 - self.mix, agent), (self.mix, parent))
        self.number += 1
        return losses

    def groups(self):
        return {(group.level, group.members): group.model for group in self.root.below()}


EARLIER_BETA = optax.exponential_decay(1.0, 1, 0.7, end_value=0.001)


def mnist_schedule(number):
    return max(0.7**number, 0.001)


VARIANTS = {
    "defaults": {},
    "prox": {"prox": 0.8},
    "amplification": {"amplification": 1.15, "amplified_rounds": 2},
    "mix 0": {"mix": 0.0, "prox": 0.3},
    "period and soft": {"period": 3, "soft": 0.5, "prox": 0.3},
    "soft and amplification": {
        "period": 3,
        "soft": 0.7,
        "amplification": 1.15,
        "amplified_rounds": 4,
    },
    "no levels": {"levels": 0},
    "one level": {"levels": 1, "prox": 0.3},
    "many levels": {"levels": 6},
    "cosine": {"metric": "cosine", "levels": 2, "prox": 0.3},
    "ward": {"method": "ward"},
    "beta": {"period": 2, "beta": mnist_schedule, "prox": 0.5},
    "beta and soft": {"period": 2, "beta": mnist_schedule, "prox": 0.0, "soft": 0.4},
}
NUMBERS = {
    "mix": 0.6,
    "prox": 0.002,
    "soft": 1.0,
    "amplification": 1.0,
    "amplified_rounds": 5,
}


@cache
def traced(choices):
    """A round that takes its numbers as arguments, so that variants share one compilation."""
    choices = dict(choices)

    def one_round(numbers, key, state, clients):
        return demlearn(LOCAL, **choices, **numbers).round(key, state, clients)

    return jax.jit(one_round)


def rounds(options, clients, count):
    """Models and losses after each round."""
    choices = {name: value for name, value in options.items() if name not in NUMBERS}
    if "metric" in choices:
        choices["metric"] = getattr(linkage, choices["metric"])
    if "beta" in choices:
        choices["beta"] = EARLIER_BETA
    algorithm = demlearn(LOCAL, **choices)
    if choices == options:
        one_round = jax.jit(algorithm.round)
    else:
        numbers = {name: options.get(name, value) for name, value in NUMBERS.items()}
        one_round = partial(traced(tuple(choices.items())), numbers)
    state = algorithm.init(KEY, clients)
    for number in range(count):
        state, info = one_round(jax.random.fold_in(KEY, number), state, clients)
        yield algorithm.models(state), info.loss


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_round_is_that_of_the_loop_over_clients(variant):
    options = VARIANTS[variant]
    reference = Reference(tiny.float64(LOCAL.init(KEY)), CLIENTS, **options)
    for number, (models, loss) in enumerate(rounds(options, CLIENTS, 7)):
        losses = reference.round(jax.random.fold_in(KEY, number))
        np.testing.assert_allclose(loss, losses, rtol=2e-5, atol=2e-5)
        tiny.close(tiny.unstack(models.client), reference.agents)
        got, wanted = tiny.groups_of(models), reference.groups()
        assert got.keys() == wanted.keys()
        for group in wanted:
            tiny.close(got[group], wanted[group])


def test_the_trees_of_these_tests_are_ragged_and_change():
    """Otherwise the test above would prove less than it says."""
    reference = Reference(tiny.float64(LOCAL.init(KEY)), CLIENTS)
    trees = []
    for number in range(7):
        reference.round(jax.random.fold_in(KEY, number))
        trees.append(set(reference.groups()))
    assert len({frozenset(tree) for tree in trees}) > 1
    held = [set().union(*[m for level, m in tree if level == 0]) for tree in trees]
    assert any(held)
    assert any(len(members) < len(tiny.SIZES) for members in held)


def test_in_round_0_nothing_pulls():
    strong, none = [
        [models.client for models, _ in rounds({"prox": prox}, CLIENTS, 2)] for prox in (0.9, 0.0)
    ]
    tiny.same_bits(strong[0], none[0])
    assert tiny.differ([strong[1]], [none[1]])


def test_under_one_root_with_full_mixing_and_equal_clients_it_is_fedavg():
    equal = tiny.clients(sizes=(6,) * 5, test_sizes=(2,) * 5)
    averaged = fedavg(LOCAL)
    state, one_round = averaged.init(KEY, equal), jax.jit(averaged.round)
    democratic = rounds({"levels": 0, "mix": 1.0, "prox": 0.0}, equal, 6)
    for number, (models, _) in enumerate(democratic):
        state, _ = one_round(jax.random.fold_in(KEY, number), state, equal)
        tiny.close(models.group, averaged.models(state).group, 5e-6)
        root = jax.tree.map(lambda leaf: leaf[0, 0], models.group)
        for client in tiny.unstack(models.client):
            tiny.close(client, root, 1e-6)


def test_what_hangs_alone_mixes_with_the_group_that_was_split():
    """Three clients on a line, so that the tree is known without any linkage."""
    place = np.array([0.0, 1.0, 10.0], np.float32)

    def train(key, params, clients, pull=None):
        return {"w": place[:, None] + 0 * params["w"]}, np.zeros(3)

    local = LOCAL._replace(init=lambda key: {"w": jax.numpy.zeros(1)}, train=train)
    clients = tiny.clients(sizes=(1, 1, 1), test_sizes=(1, 1, 1))
    algorithm = demlearn(local, levels=2, mix=0.5)
    models = algorithm.models(
        jax.jit(algorithm.round)(KEY, algorithm.init(KEY, clients), clients)[0]
    )
    # root 11/3; {0, 1} on level 1: mean 1/2, mixed (1/2 + 11/3)/2 = 25/12; no group on level 0
    assert np.asarray(models.hierarchy.size).sum(axis=1).tolist() == [0, 2, 3]
    groups = {key: float(model["w"][0]) for key, model in tiny.groups_of(models).items()}
    assert groups == pytest.approx(
        {(1, frozenset({0, 1})): 25 / 12, (2, frozenset({0, 1, 2})): 11 / 3}
    )
    wanted = [25 / 24, (1 + 25 / 12) / 2, (10 + 11 / 3) / 2]
    np.testing.assert_allclose(models.client["w"][:, 0], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "name", "value"),
    [({"levels": -1}, "levels", "-1"), ({"period": 0}, "period", "0"), ({"period": -3}, "p", "-3")],
)
def test_impossible_arguments_are_told_in_a_sentence(wrong, name, value):
    with pytest.raises(ValueError, match=rf"^.* needs .*{name}.*{value}.*\.$"):
        demlearn(LOCAL, **wrong)


def test_an_unknown_method_is_told_before_anything_runs():
    with pytest.raises(ValueError, match=r"centroid.*average.*\.$"):
        demlearn(LOCAL, method="centroid")
