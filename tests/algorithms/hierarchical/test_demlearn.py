"""DemLearn against a loop over clients and a recursive tree in NumPy."""

import re
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.cluster.hierarchy
import scipy.spatial.distance
import tiny

from demjax import clustering, demlearn, fedavg, hierarchy, local_training
from demjax.clients import participation
from demjax.pytrees import StackedModels
from demjax.registry import ALGORITHMS, CUTS, expand

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
        linkage="average",
        start="own",
        weighting="clients",
        average_layers=(),
        features="weights",
        linkage_backend="xla",
        cohort=None,
        recency=0.5,
    ):
        vars(self).update({name: value for name, value in locals().items() if name != "self"})
        self.count = len(clients.train_size)
        self.agents = [model] * self.count
        self.root = None
        self.number = 0
        self.added = [tiny.combine((0, model))] * self.count
        self.merges = self.before = None
        self.last = np.full(self.count, -1)

    def per_level(self, given, level):
        return given[level] if isinstance(given, tuple) else given

    def chosen(self, new, old):
        """New where layers are averaged, else old."""
        return {
            k: new[k] if not self.average_layers or k in self.average_layers else old[k]
            for k in old
        }

    def looked_at(self):
        """What likeness is judged by, of each agent after training."""
        kinds = {"weights": self.agents, "updates": self.added, "gradients": self.slopes}
        return np.stack([tiny.vector(kinds[self.features][n]) for n in self.known])

    def build(self):
        """The tree of those that have trained; the others are in the root alone."""
        self.known = np.flatnonzero(self.last >= 0)
        count = len(self.known)
        self.merges = merges = scipy.cluster.hierarchy.linkage(
            scipy.spatial.distance.pdist(self.looked_at(), self.metric), self.linkage
        )

        def leaves(node):
            if node < count:
                return [int(self.known[int(node)])]
            left, right = merges[int(node) - count, :2]
            return leaves(left) + leaves(right)

        def grow(node, level):
            children = merges[int(node) - count, :2] if level else []
            children = [grow(child, level - 1) for child in children if child >= count]
            members = range(self.count) if level == self.levels else leaves(node)
            return Group(level, frozenset(members), children)

        return grow(2 * count - 2, self.levels)

    def average(self, group, factor):
        for child in group.children:
            self.average(child, factor)
        group.mean = tiny.combine(
            *[
                (share * factor ** (len(group.path(n))), self.agents[n])
                for n, share in self.shares(group).items()
            ]
        )

    def shares(self, group):
        """What each member counts in its group's mean."""
        size = self.clients.train_size
        examples = self.per_level(self.weighting, group.level) == "examples"
        counts = {n: float(size[n]) if examples else 1.0 for n in group.members}
        for n in group.members:
            latest = max(self.recency ** (self.number - self.last[n]), 1e-20)
            counts[n] *= latest if self.last[n] >= 0 else 0
        return {n: count / sum(counts.values()) for n, count in counts.items()}

    def mix_groups(self, group):
        for child in group.children:
            mix = self.per_level(self.mix, child.level + 1)
            child.model = tiny.combine((1 - mix, child.model), (mix, group.model))
            self.mix_groups(child)

    def begin(self, n):
        """The model that an agent trains from and its anchors."""
        own = self.agents[n]
        if self.root is not None and self.last[n] < 0:
            own = self.root.model
        if self.number == 0:
            return own, []
        path = self.root.path(n)
        if self.beta is None:
            starts = {"own": own, "parent": path[-1].model, "root": self.root.model}
            return self.chosen(starts[self.start], own), [(self.prox, path[-1].model)]
        total = sum(1 / len(group.members) for group in path)
        general = tiny.combine(*[(1 / len(g.members) / total, g.model) for g in path])
        share = self.beta(self.number)
        anchors = [(self.prox / len(group.members), group.model) for group in path]
        return tiny.combine((1 - share, own), (share, general)), anchors

    def round(self, key):
        trained, starts = [], []
        who = participation.draw(key, self.count, self.cohort)
        who = range(self.count) if who is None else np.asarray(who).tolist()
        for n in range(self.count):
            if n not in who:
                kept = tiny.combine((0, self.agents[n]))
                trained.append((self.agents[n], np.nan, kept))
                starts.append(self.agents[n])
                continue
            model, anchors = self.begin(n)
            trained.append(
                tiny.learn_and_slope(
                    key, model, self.clients, n, anchors=anchors, chosen=self.average_layers
                )
            )
            starts.append(model)
        self.agents, losses, self.slopes = [list(column) for column in zip(*trained, strict=True)]
        self.added = [
            tiny.combine((1, added), (1, after), (-1, before))
            for added, after, before in zip(self.added, self.agents, starts, strict=True)
        ]
        self.last[list(who)] = self.number
        regroup = self.number % self.period == 0
        if regroup:
            self.before = self.root
            self.root = self.build()
            self.added = [tiny.combine((0, added)) for added in self.added]
        self.average(self.root, self.amplification if self.number < self.amplified_rounds else 1)
        for group in self.root.below():
            keep = 0 if regroup else 1 - self.soft
            group.model = tiny.combine((1 - keep, group.mean), (keep, group.model or group.mean))
        if self.beta is None:
            self.mix_groups(self.root)
            for n in who:
                agent = self.agents[n]
                parent, mix = self.root.path(n)[-1].model, self.per_level(self.mix, 0)
                mixed = tiny.combine((1 - mix, agent), (mix, parent))
                self.agents[n] = self.chosen(mixed, agent)
        self.number += 1
        return losses

    def deployed(self):
        """Who has not trained yet has the root's model."""
        return [
            agent if last >= 0 else self.root.model
            for agent, last in zip(self.agents, self.last, strict=True)
        ]

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
    "cosine": {"metric": "cosine", "levels": 2, "prox": 0.3},
    "ward": {"linkage": "ward"},
    "beta": {"period": 2, "beta": mnist_schedule, "prox": 0.5},
    "beta and soft": {"period": 2, "beta": mnist_schedule, "prox": 0.0, "soft": 0.4},
    "a mix for each level": {"mix": (0.6, 0.6, 0.4, 0.2)},
    "by examples": {"weighting": "examples", "amplification": 1.15, "amplified_rounds": 2},
    "by examples on some levels": {"weighting": ("clients", "examples", "clients", "examples")},
    "from the parent": {"start": "parent", "prox": 0.3},
    "from the root, some layers": {
        "start": "root",
        "average_layers": ("w",),
        "prox": 0.5,
        "levels": 1,
    },
    "updates": {"features": "updates", "period": 3, "prox": 0.3},
    "gradients": {"features": "gradients", "prox": 0.3, "levels": 2},
    "on the host": {"linkage_backend": "scipy", "levels": 2},
    # Linkages for which copies at distance 0 change nothing, however many there are.
    "a cohort": {"cohort": 3, "linkage": "single", "levels": 2, "prox": 0.3},
    "a cohort, all alike": {"cohort": 2, "recency": 1.0, "linkage": "complete", "period": 2},
    "a cohort, the latest": {
        "cohort": 3,
        "recency": 0.0,
        "linkage": "complete",
        "weighting": "examples",
        "start": "parent",
    },
}
NUMBERS = {
    "mix": 0.6,
    "prox": 0.002,
    "soft": 1.0,
    "amplification": 1.0,
    "amplified_rounds": 5,
    "recency": 0.5,
}


@cache
def fixed(choices):
    """An algorithm, and its round with its numbers as they are."""
    algorithm = demlearn(LOCAL, **dict(choices))
    return algorithm, jax.jit(algorithm.round)


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
        choices["metric"] = getattr(clustering, choices["metric"])
    if "beta" in choices:
        choices["beta"] = EARLIER_BETA
    if "start" in choices:
        choices["start"] = getattr(hierarchy, f"from_{choices['start']}")
    if "features" in choices:
        choices["features"] = getattr(clustering, choices["features"])()
    algorithm, one_round = fixed(tuple(sorted(choices.items())))
    if choices != options:
        numbers = {name: options.get(name, value) for name, value in NUMBERS.items()}
        one_round = partial(traced(tuple(sorted(choices.items()))), numbers)
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
        tiny.close(tiny.unstack(models.client), reference.deployed())
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


def test_in_round_0_there_is_no_anchor():
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
        root = jax.tree.map(lambda leaf: leaf[0, 0], tiny.plain(models.group))
        for client in tiny.unstack(models.client):
            tiny.close(client, root, 1e-6)


def test_what_hangs_alone_mixes_with_the_group_that_was_split():
    """Three clients on a line, so that the tree is known without any linkage."""
    place = np.array([0.0, 1.0, 10.0], np.float32)

    def train(key, params, clients, proximal=None, gradients=False, cohort=None):
        return jax.tree.map(lambda w: place[:, None] + 0 * w, params), np.zeros(3)

    local = LOCAL._replace(init=lambda key: {"w": jax.numpy.zeros(1)}, train=train)
    clients = tiny.clients(sizes=(1, 1, 1), test_sizes=(1, 1, 1))
    algorithm = demlearn(local, levels=1, mix=0.5)
    models = algorithm.models(
        jax.jit(algorithm.round)(KEY, algorithm.init(KEY, clients), clients)[0]
    )
    # root 11/3; {0, 1} on level 0: mean 1/2, mixed (1/2 + 11/3)/2 = 25/12; 2 has no group there
    assert np.asarray(models.hierarchy.size).sum(axis=1).tolist() == [2, 3]
    groups = {key: float(model["w"][0]) for key, model in tiny.groups_of(models).items()}
    assert groups == pytest.approx(
        {(0, frozenset({0, 1})): 25 / 12, (1, frozenset({0, 1, 2})): 11 / 3}
    )
    wanted = [25 / 24, (1 + 25 / 12) / 2, (10 + 11 / 3) / 2]
    np.testing.assert_allclose(tiny.plain(models.client)["w"][:, 0], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "name", "value"),
    [({"levels": -1}, "levels", "-1"), ({"period": 0}, "period", "0"), ({"period": -3}, "p", "-3")],
)
def test_impossible_arguments_are_told_in_a_sentence(wrong, name, value):
    with pytest.raises(ValueError, match=rf"^.* needs .*{name}.*{value}.*\.$"):
        demlearn(LOCAL, **wrong)


def test_an_unknown_method_is_told_before_anything_runs():
    with pytest.raises(ValueError, match=r"centroid.*average.*\.$"):
        demlearn(LOCAL, linkage="centroid")


# ---- what else there is to choose ---------------------------------------------------------------


@cache
def organized():
    """States of seven rounds with a regrouping every third, and the reference's."""
    one_round = partial(traced((("period", 3),)), NUMBERS)
    state = demlearn(LOCAL, period=3).init(KEY, CLIENTS)
    states, reference = [state], Reference(tiny.float64(LOCAL.init(KEY)), CLIENTS, period=3)
    found = []
    for number in range(7):
        key = jax.random.fold_in(KEY, number)
        state, _ = one_round(key, state, CLIENTS)
        reference.round(key)
        states.append(state)
        found.append((reference.merges, reference.before))
    return states, found


def test_before_the_first_round_nothing_is_organized():
    organization = organized()[0][0].organization
    assert int(organization.times) == 0
    assert np.isnan(organization.cophenetic)
    assert not np.asarray(organization.merges).any()


def test_a_state_counts_its_regroupings_and_keeps_the_groups_before_the_last():
    states, found = organized()
    assert [int(state.organization.times) for state in states] == [0, 1, 1, 1, 2, 2, 2, 3]
    for number, (_, before) in enumerate(found, start=1):
        got = np.asarray(states[number].organization.before)
        last = 3 * ((number - 1) // 3)  # the round of the last regrouping
        np.testing.assert_array_equal(got, states[last].hierarchy.groups)
        wanted = {(3, frozenset(range(len(tiny.SIZES))))}
        if before is not None:
            wanted = {(group.level, group.members) for group in before.below()}
        assert wanted == {
            (level, frozenset(np.flatnonzero(row == slot).tolist()))
            for level, row in enumerate(got)
            for slot in set(row.tolist()) - {-1}
        }


def test_the_dendrogram_that_was_cut_is_scipys_until_the_next():
    states, found = organized()
    for state, (wanted, _) in zip(states[1:], found, strict=True):
        got = np.asarray(state.organization.merges)
        np.testing.assert_array_equal(got[:, [0, 1, 3]], wanted[:, [0, 1, 3]])
        np.testing.assert_allclose(got[:, 2], wanted[:, 2], rtol=1e-4)
        assert -1 <= float(state.organization.cophenetic) <= 1


@pytest.mark.parametrize(
    "cut",
    [
        clustering.counts((4, 2), min_size=2),
        clustering.heights((0.5, 1.0, 2.0), slots=5, min_size=2),
        clustering.depth(2, min_size=2),
    ],
    ids=["counts", "heights", "depth"],
)
def test_another_cut_makes_a_tree_without_groups_that_are_too_small(cut):
    algorithm = demlearn(LOCAL, cut=cut)
    one_round, state = jax.jit(algorithm.round), algorithm.init(KEY, CLIENTS)
    for number in range(3):
        state, _ = one_round(jax.random.fold_in(KEY, number), state, CLIENTS)
        groups, size = (np.asarray(part) for part in state.hierarchy)
        assert groups.shape == (cut.levels + 1, len(tiny.SIZES))
        assert size.shape == (cut.levels + 1, cut.slots)
        assert (groups[-1] == 0).all()
        assert size[size > 0].min() >= 2
        assert len(tiny.groups_of(algorithm.models(state))) == np.count_nonzero(size)
        for lower, above in pairwise(groups):
            for slot in set(lower.tolist()) - {-1}:
                assert len(set(above[lower == slot].tolist())) == 1, "groups nest"


def test_both_backends_give_the_same_models():
    ends = [
        [models for models, _ in rounds({"levels": 2, "linkage_backend": backend}, CLIENTS, 3)][-1]
        for backend in ("xla", "scipy")
    ]
    np.testing.assert_array_equal(*[models.hierarchy.groups for models in ends])
    tiny.close(*[models.client for models in ends], 1e-6)


def test_layers_that_are_not_averaged_are_as_if_each_trained_alone():
    """With nothing else averaged, the leaf ``b`` would follow ``w``; so hold ``w`` still."""

    def train(key, params, clients, proximal=None, gradients=False, cohort=None):
        now = params.as_pytree()
        moved = {"w": now["w"], "b": now["b"] + jnp.arange(8.0)[:, None]}
        return StackedModels.from_pytree(moved), jnp.zeros(8)

    algorithm = demlearn(LOCAL._replace(train=train), average_layers=("w",))
    one_round, state = jax.jit(algorithm.round), algorithm.init(KEY, CLIENTS)
    for number in range(3):
        state, _ = one_round(jax.random.fold_in(KEY, number), state, CLIENTS)
    wanted = 3.0 * np.arange(8)[:, None] * np.ones((1, tiny.CLASSES))
    np.testing.assert_allclose(tiny.plain(state.client)["b"], wanted, rtol=1e-6)


def test_an_unknown_layer_is_told_with_those_there_are():
    algorithm = demlearn(LOCAL, average_layers=("v",))
    with pytest.raises(ValueError, match=r"no layer 'v'; possible are b, w"):
        jax.eval_shape(algorithm.round, KEY, algorithm.init(KEY, CLIENTS), CLIENTS)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mix": (0.5, 0.5)}, "mix as one value or as 4, but 2 were given"),
        ({"weighting": ("examples",)}, "weighting as one value or as 4, but 1 were given"),
        ({"mix": (0.5, 0.5, 1.5, 0.5)}, "mix as 0 to 1, but 1.5 was given"),
        ({"linkage_backend": "abacus"}, "possible are xla, scipy"),
        ({"min_size": 0}, "min_size as 1 or more, but 0"),
        ({"cut": clustering.counts((3, 2)), "mix": (0.5,) * 4}, "as 3, but 4 were given"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_choices_that_do_not_fit_are_told_in_a_sentence(wrong, words):
    with pytest.raises(ValueError, match=words):
        demlearn(LOCAL, **wrong)


def test_the_docstring_names_all_that_can_be_given():
    for cut in CUTS:
        for name in expand(demlearn, {"cut": cut}, given=ALGORITHMS.given):
            assert re.search(rf"\b{name}\b", demlearn.__doc__), name


def test_distances_that_are_kept_are_in_the_state_and_in_no_measurement():
    clients = tiny.clients((3,) * 24, (1,) * 24)
    local = local_training(tiny.task(), optax.sgd(0.1), epochs=1, batch_size=4)
    algorithm = demlearn(local, cohort=2, levels=1)
    state = jax.eval_shape(algorithm.init, jax.random.key(0), clients)
    assert state.organization.known.distances.shape == (24, 24)
    assert jax.eval_shape(algorithm.models, state).organization.known == ()
